import multiprocessing
import os
import shutil
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from photos import write_noise, write_photos
from test_cli import Run, toy, vae_train
from test_dsprites import read, write_archive
from test_source import pack

from vae_runner import files
from vae_runner.datasets import CelebA_HQ, SimpleImageFolder, dSprites
from vae_runner.datasets.photos import contents
from vae_runner.datasets.reading.source import FolderSource, ZipSource
from vae_runner.errors import UserError
from vae_runner.experiment.saved_run.resume import compare_data

__all__ = ["read", "vae_train"]  # fixtures

COUNT = 20


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Files of one size, made long ago."""
    for number in range(COUNT):
        write_noise(tmp_path / f"photos/{number:02d}.bmp", (8, 8, 3), seed=number)
    return tmp_path / "photos"


@pytest.fixture
def long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files were made before they were read, though not by much."""
    monkeypatch.setattr(contents, "_TICK", 0)
    time.sleep(0.02)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were opened so far."""
    names: list[str] = []
    for kind in (FolderSource, ZipSource):
        monkeypatch.setattr(
            kind, "open", lambda self, entry, was=kind.open: names.append(entry.name) or was(self, entry)
        )
    return names


def exchange(file: Path, seed: int = 99) -> None:
    """Other content of the same size and, as far as a program can set them, the same times."""
    about = file.stat()
    write_noise(file, (8, 8, 3), seed)
    assert file.stat().st_size == about.st_size
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))


def content(root: Path, **given: Any) -> str:
    return SimpleImageFolder(root, image_size=8, **given).provenance["content"]


@pytest.mark.parametrize("store", [True, False])
def test_one_image_exchanged_for_another_of_its_name_size_and_time_is_another_set(
    photos: Path, tmp_path: Path, store: bool, long_ago: None
) -> None:
    def looked(**given: Any) -> tuple[str, str]:
        data = SimpleImageFolder(photos, image_size=8, cache_dir=tmp_path / "cache", store=store)
        return data.fingerprint(), data.provenance["content"]

    before = looked()
    assert looked() == before
    exchange(photos / "13.bmp")
    after = looked()
    assert not set(before) & set(after)
    write_noise(photos / "13.bmp", (8, 8, 3), seed=13)
    assert looked() == before


def test_a_store_of_images_that_were_exchanged_is_made_again(
    photos: Path, tmp_path: Path, long_ago: None, caplog: pytest.LogCaptureFixture
) -> None:
    given = {"image_size": 8, "cache_dir": tmp_path / "cache"}
    SimpleImageFolder(photos, **given).fingerprint()
    exchange(photos / "03.bmp", seed=55)
    expected = np.random.default_rng(55).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for live in (False, True):
        pixels = SimpleImageFolder(photos, store=not live, **given).gather(torch.tensor([3]))[0]
        np.testing.assert_array_equal((255 * pixels).round().permute(1, 2, 0), expected)
    assert caplog.text.count("have changed, though not their sizes and times: preparing it again") == 1


@pytest.mark.parametrize("store", [True, False])
def test_files_are_read_once_and_then_known_by_their_times(
    photos: Path, tmp_path: Path, store: bool, long_ago: None, opened: list[str]
) -> None:
    given = {"cache_dir": tmp_path / "cache", "store": store}
    known = content(photos, **given)
    SimpleImageFolder(photos, image_size=8, **given).fingerprint()
    opened.clear()
    assert content(photos, **given) == known
    assert opened == []
    os.utime(photos / "05.bmp", ns=(0, 1))
    (photos / "06.bmp").chmod(0o600)
    assert content(photos, **given) == known
    assert sorted(opened) == ["05.bmp", "06.bmp"]


def test_what_a_killed_start_had_begun_to_note_is_taken_away_by_the_next(
    photos: Path, tmp_path: Path, long_ago: None
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        gone = pool.apply(os.getpid)
        pool.terminate()
        pool.join()
    begun = cache / f".contents-0.npz.{gone}-{files._HOST}-abcdefgh.tmp"
    begun.write_bytes(b"half")
    mine = cache / "notes.tmp"
    mine.write_bytes(b"")
    SimpleImageFolder(photos, image_size=8, store=False, cache_dir=cache).fingerprint()
    assert not begun.exists()
    assert mine.exists()
    assert list(cache.glob("contents-*.npz"))


def test_what_was_touched_just_before_it_was_read_is_read_again(
    photos: Path, tmp_path: Path, opened: list[str]
) -> None:
    for _ in range(2):
        SimpleImageFolder(photos, image_size=8, store=False, cache_dir=tmp_path / "cache").fingerprint()
        assert len(opened) == COUNT
        opened.clear()


@pytest.mark.parametrize("harm", ["cut", "garbage", "empty", "other"])
def test_what_is_known_of_files_and_damaged_costs_a_reading_only(
    photos: Path, tmp_path: Path, long_ago: None, harm: str
) -> None:
    given = {"cache_dir": tmp_path / "cache", "store": False}
    SimpleImageFolder(photos, image_size=8, **given).fingerprint()
    known = content(photos, **given)
    (file,) = (tmp_path / "cache").glob("contents-*.npz")
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[:-200], "garbage": b"x" * 99, "empty": b""}.get(harm, b""))
    if harm == "other":
        np.savez(file, names=np.array([1]))
    assert content(photos, **given) == known


def test_a_cache_that_cannot_be_written_is_no_obstacle(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    data = SimpleImageFolder(photos, image_size=8, store=False, cache_dir=tmp_path / "cache")
    assert len(data.gather(torch.arange(COUNT))) == COUNT
    assert data.provenance["content"] == content(photos, store=False)


def test_the_files_are_known_again_wherever_they_are(photos: Path, tmp_path: Path, opened: list[str]) -> None:
    known = content(photos)
    moved = Path(shutil.copytree(photos, tmp_path / "moved", copy_function=shutil.copyfile))  # with other times
    packed = pack(photos, tmp_path / "packed.zip")
    opened.clear()
    assert content(packed) == known
    assert opened == []  # its directory has the checksums
    assert content(moved) == known
    (moved / "05.bmp").rename(moved / "05b.bmp")
    assert content(moved) != known
    assert content(photos, skip_bad=True) == known
    exchange(photos / "07.bmp")
    assert content(pack(photos, tmp_path / "packed.zip")) != known


def test_arrays_are_told_apart_too(tmp_path: Path) -> None:
    def content() -> str:
        return CelebA_HQ(tmp_path, True, image_size=8, store=False).provenance["content"]

    for number in range(3):
        np.save(tmp_path / f"{number}.npy", np.full((1, 3, 8, 8), number, np.uint8))
    known = content()
    about = (tmp_path / "1.npy").stat()
    np.save(tmp_path / "1.npy", np.full((1, 3, 8, 8), 77, np.uint8))
    os.utime(tmp_path / "1.npy", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert content() != known


@pytest.mark.parametrize("stores", [(False, False), (True, False), (False, True), (True, True)])
def test_a_run_is_not_resumed_on_other_images_with_a_store_or_without(
    photos: Path, tmp_path: Path, stores: tuple[bool, bool], long_ago: None
) -> None:
    def record(store: bool) -> dict[str, Any]:
        data = SimpleImageFolder(photos, image_size=8, store=store, cache_dir=tmp_path / "cache")
        return {**data.provenance, "fingerprint": data.fingerprint()}

    before = record(stores[0])
    compare_data(before, record(stores[1]))
    exchange(photos / "11.bmp")
    with pytest.raises(UserError, match="are not those that the run was trained on"):
        compare_data(before, record(stores[1]))


def test_a_published_file_of_dsprites_exchanged_for_another_is_another_set(
    tmp_path: Path, read: Callable[..., Any]
) -> None:
    def record() -> dict[str, Any]:
        data = dSprites(tmp_path, cache_dir=tmp_path / "cache")
        return {**data.provenance, "fingerprint": data.fingerprint()}

    file = write_archive(tmp_path)
    before, about = record(), file.stat()
    write_archive(tmp_path, 700_000)
    with open(file, "ab") as archive:
        archive.truncate(max(about.st_size, file.stat().st_size))
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    with pytest.raises(UserError, match="are not those that the run was trained on"):
        compare_data(before, record())


@pytest.mark.slow
def test_a_run_without_a_store_is_refused_where_its_images_were_exchanged(vae_train: Run, inside: Path) -> None:
    for number in range(COUNT):
        write_noise(inside / f"photos/{number:02d}.bmp", (16, 16, 3), seed=number)
    arguments = ("dataset=folder", "dataset.root=photos", "dataset.store=false", "dataset.image_size=16")
    assert vae_train(*toy(*arguments, "engine.steps=4", "visualisation=[]", "hydra.run.dir=mine"))[0] == 0
    for number in range(1, COUNT):
        about = (inside / f"photos/{number:02d}.bmp").stat()
        write_noise(inside / f"photos/{number:02d}.bmp", (16, 16, 3), seed=number + 100)
        os.utime(inside / f"photos/{number:02d}.bmp", ns=(about.st_atime_ns, about.st_mtime_ns))
    code, _, errors = vae_train("resume=mine", "engine.steps=6")
    assert code == 2
    assert "are not those that the run was trained on" in errors
    assert errors.count("\n") == 1


def test_a_photo_is_known_by_a_checksum_of_its_bytes(tmp_path: Path) -> None:
    data = SimpleImageFolder(write_photos(tmp_path / "x", 2), image_size=8, cache_dir=tmp_path / "cache")
    data.fingerprint()
    assert data.contents._crc == {path.name: zlib.crc32(path.read_bytes()) for path in data.paths}
