import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from photos import write_noise

from vae_runner.datasets import SimpleImageFolder
from vae_runner.datasets.photos import image_folder
from vae_runner.datasets.reading.imaging import Recipe
from vae_runner.datasets.store import preparation
from vae_runner.datasets.store.stored_rows import BLOCK
from vae_runner.errors import RunError, UserError
from vae_runner.files import aside
from vae_runner.signature import mismatch, parameters

COUNT = 3 * BLOCK + 5
EVERY = torch.arange(COUNT)


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """Lossless images of the size that is wanted, so that every pixel is known."""
    for number in range(COUNT):
        write_noise(tmp_path / f"noise/{number:04d}.png", (8, 8, 3), seed=number)
    return tmp_path / "noise"


@pytest.fixture
def make(noise: Path, tmp_path: Path) -> Callable[..., SimpleImageFolder]:
    return lambda **given: SimpleImageFolder(noise, image_size=8, **{"cache_dir": tmp_path / "cache", **given})


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded so far."""
    names: list[str] = []
    decode = Recipe.decode
    monkeypatch.setattr(Recipe, "decode", lambda *args: names.append(args[2]) or decode(*args))
    return names


def expected(count: int = COUNT) -> torch.Tensor:
    pixels = [np.random.default_rng(n).integers(0, 256, (8, 8, 3), dtype=np.uint8) for n in range(count)]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 255


def stores(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "cache").iterdir() if path.name.startswith("images-"))


def test_the_store_has_every_pixel_and_is_used_again(
    make: Callable[..., Any], decoded: list[str], tmp_path: Path
) -> None:
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(make().gather(order), expected()[order], rtol=0, atol=0)
    assert len(decoded) == COUNT
    again = make()
    assert torch.equal(again.gather(EVERY), expected())
    assert again.fingerprint() == make().fingerprint()
    assert len(decoded) == COUNT
    (path,) = stores(tmp_path)
    assert (path / "pixels.u8").stat().st_size == COUNT * 3 * 8 * 8
    assert sorted(file.name for file in path.iterdir()) == ["index.json", "pixels.u8"]


def test_other_settings_and_other_files_have_other_stores(
    make: Callable[..., Any], noise: Path, tmp_path: Path
) -> None:
    for number, settings in enumerate(
        ({}, {"channels": 1}, {"crop": 4}, {"fit": "pad"}, {"background": "black"}, {"decoding": "exact"})
    ):
        make(**settings).gather(EVERY)
        assert len(stores(tmp_path)) == number + 1
    first = noise / "0000.png"
    shutil.copyfile(noise / "0001.png", first)  # of another time, if not of another size
    os.utime(first, ns=(0, 1))
    assert torch.equal(make().gather(torch.tensor([0]))[0], expected()[1])
    first.rename(noise / "0000b.png")
    make().gather(EVERY)
    assert len(stores(tmp_path)) == number + 3


def test_pixels_made_in_another_way_have_another_store(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, decoded: list[str], tmp_path: Path
) -> None:
    make().gather(EVERY)
    monkeypatch.setattr(image_folder, "VERSION", image_folder.VERSION + 1)
    make().gather(EVERY)
    assert len(decoded) == 2 * COUNT
    assert len(stores(tmp_path)) == 2


@pytest.mark.parametrize("setting", [{}, {"store": False}])
def test_a_limit_reads_only_the_chosen_files(
    make: Callable[..., Any], decoded: list[str], tmp_path: Path, setting: dict
) -> None:
    few = make(**setting).limited(20, seed=3)
    assert len(few) == 20
    batch = few.gather(torch.arange(20))
    assert sorted(decoded) == [path.name for path in few.paths]
    assert torch.equal(batch, expected()[[int(path.stem) for path in few.paths]])
    assert few.paths == make(**setting).limited(20, seed=3).paths != make(**setting).limited(20, seed=4).paths
    if not setting:
        assert (stores(tmp_path)[0] / "pixels.u8").stat().st_size == 20 * 3 * 8 * 8
    whole = make(**setting)
    assert whole.limited(COUNT, 0) is whole


def test_without_a_store_batches_are_the_same_in_the_same_layout(make: Callable[..., Any], decoded: list[str]) -> None:
    stored, live = make(), make(store=False)
    wanted = stored.gather(EVERY)
    decoded.clear()
    live.expect(EVERY[:40])
    live.expect(EVERY[20:60])
    positions = torch.tensor([3, 50, 3, 59, 0])
    batch = live.gather(positions)
    assert torch.equal(batch, wanted[positions])
    assert batch.stride() == stored.gather(positions).stride()  # else convolutions differ in the last digit
    live._rows._pool.shutdown()
    assert len(decoded) == 60  # none twice


def test_a_file_that_vanishes_in_training_is_one_line(make: Callable[..., Any], noise: Path) -> None:
    live = make(store=False)
    live.gather(EVERY[:2])
    (noise / "0009.png").unlink()
    with pytest.raises(RunError, match=r"cannot read .*0009.png: No such file or directory; vae-data check finds"):
        live.gather(torch.tensor([9]))


@pytest.mark.parametrize("setting", [{}, {"store": False}])
def test_a_file_that_changes_or_vanishes_after_the_listing_is_named(
    make: Callable[..., Any], noise: Path, setting: dict
) -> None:
    data = make(**setting)
    (noise / "0001.png").unlink()
    write_noise(noise / "0002.png", (9, 9, 3))
    with pytest.raises(UserError, match=f"2 of {COUNT} images cannot be read") as caught:
        data.gather(EVERY[:1])
    assert "0001.png: No such file or directory" in caught.value.__notes__[0]
    assert "0002.png: it has changed since it was listed" in caught.value.__notes__[0]


def test_a_flipped_bit_is_found_and_mended(
    make: Callable[..., Any], decoded: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture, noise: Path
) -> None:
    make().gather(EVERY)
    file = stores(tmp_path)[0] / "pixels.u8"
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[(BLOCK + 1) * 192 + 7] ^= 16
    file.write_bytes(damaged)
    decoded.clear()
    data = make()
    assert torch.equal(data.gather(EVERY), expected())
    assert len(decoded) == BLOCK
    assert "is damaged in block 1" in caplog.text
    assert file.read_bytes() == whole
    file.write_bytes(damaged)
    data = make()
    data.gather(EVERY[:1])
    (noise / f"{BLOCK + 1:04d}.png").unlink()
    with pytest.raises(RunError, match="is damaged and its files have changed: remove that folder"):
        data.gather(EVERY[BLOCK : BLOCK + 1])


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows that the system was asked to fetch; without waiting for the disk, it has every other one."""
    rows: list[int] = []
    read = os.preadv

    def without_cache(file: int, buffers: Any, offset: int, flags: int = 0) -> int:
        if flags and offset // (3 * 8 * 8) % 2:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return read(file, buffers, offset)

    def advise(file: int, offset: int, length: int, advice: int) -> None:
        if advice == os.POSIX_FADV_WILLNEED:
            assert length == 3 * 8 * 8
            rows.append(offset // length)

    monkeypatch.setattr(os, "preadv", without_cache)
    monkeypatch.setattr(os, "posix_fadvise", advise)
    return rows


def test_rows_on_the_disk_are_fetched_all_at_once_and_the_next_ones_meanwhile(
    make: Callable[..., Any], fetched: list[int]
) -> None:
    data = make()
    batches = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0)).split(32)[:-1]  # each with odd ones
    data.expect(batches[1])
    assert fetched == []  # as far as is known, all of them are in memory
    assert torch.equal(data.gather(batches[0]), expected()[batches[0]])
    assert fetched == batches[0].tolist()
    for batch in (*batches[1:3], *batches[1:4]):
        data.expect(batch)
    assert fetched == torch.cat(batches[:4]).tolist()  # none twice
    for batch in batches:
        assert torch.equal(data.gather(batch), expected()[batch])
    assert fetched == torch.cat(batches).tolist()


def test_rows_of_which_a_part_is_in_memory_are_whole(make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    read = os.preadv
    monkeypatch.setattr(
        os, "preadv", lambda file, buffers, *at: read(file, [memoryview(buffers[0]).cast("B")[:100]], *at)
    )
    assert torch.equal(make().gather(EVERY.flip(0)), expected().flip(0))


def test_rows_are_read_where_the_system_knows_no_advice(
    make: Callable[..., Any], fetched: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fadvise")
    data = make()
    for _ in range(2):
        data.expect(EVERY)
        assert torch.equal(data.gather(EVERY), expected())


def test_a_store_that_becomes_shorter_in_training_is_one_line(make: Callable[..., Any], tmp_path: Path) -> None:
    data = make()
    data.gather(EVERY)
    (path,) = stores(tmp_path)
    os.truncate(path / "pixels.u8", (COUNT - 1) * 3 * 8 * 8 + 5)
    assert torch.equal(data.gather(EVERY[:-1]), expected()[:-1])
    with pytest.raises(RunError, match=r"has become shorter: remove that folder"):
        data.gather(EVERY[-1:])


@pytest.mark.parametrize("harm", ["shorter", "longer", "no index", "index cut", "other index"])
def test_a_store_damaged_as_a_whole_is_made_again(
    make: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    make().gather(EVERY)
    (path,) = stores(tmp_path)
    pixels, index = path / "pixels.u8", path / "index.json"
    if harm in ("shorter", "longer"):
        os.truncate(pixels, pixels.stat().st_size + (1 if harm == "longer" else -1))
    elif harm == "no index":
        index.unlink()
    else:
        text = index.read_text()
        index.write_text(text[:40] if harm == "index cut" else text.replace(f'"count": {COUNT}', '"count": 7'))
    assert torch.equal(make().gather(EVERY), expected())
    assert "preparing it again" in caplog.text


PREPARE = """
import sys, time
import torch
from vae_runner.datasets import SimpleImageFolder
from vae_runner.datasets.reading.imaging import Recipe
decode = Recipe.decode
def slow(*args):
    time.sleep(float(sys.argv[3]))
    with open(sys.argv[4], "a") as file:
        file.write(args[2] + "\\n")
    return decode(*args)
Recipe.decode = slow
data = SimpleImageFolder(sys.argv[1], image_size=8, cache_dir=sys.argv[2])
print(data.gather(torch.arange(len(data))).sum().item())
"""


def prepare(noise: Path, tmp_path: Path, seconds: float, log: str) -> subprocess.Popen:
    arguments = [str(noise), str(tmp_path / "cache"), str(seconds), str(tmp_path / log)]
    return subprocess.Popen([sys.executable, "-c", PREPARE, *arguments], stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_preparation_goes_on_where_it_was(
    make: Callable[..., Any], noise: Path, tmp_path: Path, decoded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    process = prepare(noise, tmp_path, 0.01, "log")
    journal = None
    for _ in range(600):
        journal = journal or next((tmp_path / "cache").glob("*.part/journal.jsonl"), None)
        if journal and journal.stat().st_size:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (part,) = stores(tmp_path)
    assert part.name.endswith(".part")
    done = (part / "journal.jsonl").read_text().count("\n")
    assert done >= 1
    with open(part / "journal.jsonl", "a") as file:
        file.write('{"block": 2, "crc')  # a line that was cut off
    with caplog.at_level("INFO", logger="vae_runner"):
        assert torch.equal(make().gather(EVERY), expected())
    assert len(decoded) <= COUNT - done * min(BLOCK, COUNT - 3 * BLOCK)
    assert "that an earlier start has prepared" in caplog.text
    assert [path.name for path in stores(tmp_path)] == [part.name.removesuffix(".part")]


def test_what_a_kill_left_is_believed_only_with_its_checksum(
    make: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    decoded: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(preparation._Preparation, "_finish", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make().gather(EVERY)
    pixels = stores(tmp_path)[0] / "pixels.u8"
    with open(pixels, "r+b") as file:
        file.seek(5)
        file.write(b"\0\1\2")
    decoded.clear()
    assert torch.equal(make().gather(EVERY), expected())
    assert sorted(decoded) == [f"{number:04d}.png" for number in range(BLOCK)]
    assert "is damaged" not in caplog.text  # it was not taken into the store at all


def test_what_kills_left_in_a_store_is_tidied(make: Callable[..., Any], tmp_path: Path) -> None:
    make().gather(EVERY)
    (path,) = stores(tmp_path)
    names = sorted(os.listdir(path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (path / "journal.jsonl").touch()  # killed behind the rename, which is what makes the store a finished one
    make().gather(EVERY)
    assert sorted(os.listdir(path)) == names
    path.rename(path.with_name(f"{path.name}.part"))
    with aside(path.with_name(f"{path.name}.part") / "index.json") as left:  # killed while it was written
        pass
    left.with_name(left.name.replace(str(os.getpid()), str(gone.pid))).touch()
    assert torch.equal(make().gather(EVERY), expected())
    assert sorted(os.listdir(path)) == names


@pytest.mark.slow
def test_of_two_processes_one_prepares_and_the_other_waits(noise: Path, tmp_path: Path) -> None:
    both = [prepare(noise, tmp_path, 0.002, "log") for _ in range(2)]
    sums = {process.communicate(timeout=300)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(sums) == 1
    names = (tmp_path / "log").read_text().split()
    assert sorted(names) == [f"{number:04d}.png" for number in range(COUNT)]


@pytest.mark.parametrize("call", ["posix_fallocate", "pwrite"])
def test_a_full_disk_is_one_line_and_nothing_counts_as_done(
    make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*args: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(preparation.os, call, full)
        with pytest.raises(RunError) as caught:
            make().gather(EVERY)
    assert str(caught.value) == (
        f"no space left on {tmp_path}/cache preparing the images; set dataset.cache_dir=DIR, or dataset.store=false "
        "to train straight from the files"
    )
    assert all(path.name.endswith(".part") for path in stores(tmp_path))
    assert bool(stores(tmp_path)) == (call == "pwrite")
    assert torch.equal(make().gather(EVERY), expected())


def test_a_store_that_would_not_fit_is_refused_before_a_file_is_read(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    monkeypatch.setattr(preparation.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, COUNT * 3 * 49))
    with pytest.raises(
        UserError, match=r"images 3x8x8 take 0.0 GB, and .* dataset.image_size=7 would fit, or set data"
    ):
        make().gather(EVERY)
    assert decoded == []


def test_a_cache_that_cannot_be_written_is_one_line(make: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write to .*; set dataset.cache_dir=DIR, or dataset.store=false"):
        make(cache_dir=tmp_path / "file").gather(EVERY)


def test_an_absurd_size_is_refused_at_once() -> None:
    hint = parameters(SimpleImageFolder)["image_size"][1]
    assert mismatch(100_000, hint) == "must be at most 4096"
    assert mismatch(4096, hint) is None


@pytest.mark.parametrize("stored", [True, False])
def test_bad_files_are_left_out_of_a_store_and_tried_again_where_they_may_return(
    make: Callable[..., Any], noise: Path, decoded: list[str], stored: bool
) -> None:
    (noise / "0003.png").write_bytes((noise / "0003.png").read_bytes()[:60])
    target = noise.parent / "elsewhere.png"
    (noise / "0005.png").rename(target)
    (noise / "0005.png").symlink_to(noise / "nowhere.png")
    data = make(skip_bad=True, store=stored)
    kept = [number for number in range(COUNT) if number not in (3, 5)]
    assert torch.equal(data.gather(torch.arange(len(data))), expected()[kept])
    assert list(data.skipped) == ["0003.png", "0005.png"]
    if stored:
        decoded.clear()
        again = make(skip_bad=True)
        assert len(again) == COUNT - 2
        assert list(again.skipped) == ["0003.png", "0005.png"]
        assert len(decoded) == 0  # the link still leads nowhere, the cut file is not tried again
        with pytest.raises(UserError, match=f"2 of {COUNT} images cannot be read .first: 0003.png"):
            make().gather(EVERY)


def test_a_permission_given_later_is_noticed(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened = image_folder.SimpleImageFolder._pixels

    def refused(self: Any, file: Any, entry: Any, look: Any) -> np.ndarray:
        if entry.name == "0007.png":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(self, file, entry, look)

    with monkeypatch.context() as patch:
        patch.setattr(image_folder.SimpleImageFolder, "_pixels", refused)
        assert make(skip_bad=True).skipped["0007.png"].endswith("Permission denied")
    assert torch.equal(make().gather(EVERY), expected())
