import os
import pickle
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from photos import write_noise, write_photos
from PIL import Image

from vae_runner.datasets import CelebA, CelebA_HQ, SimpleImageFolder
from vae_runner.datasets.photos.celeba import LIST_NAME
from vae_runner.datasets.reading import source
from vae_runner.datasets.split import Parts
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.experiment.provenance import describe_data
from vae_runner.experiment.saved_run.resume import compare_data


def pack(folder: Path, file: Path, **renamed: str) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*.*")):
            packed.write(path, renamed.get(path.stem, path.relative_to(folder).as_posix()))
    return file


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(4):
        write_noise(tmp_path / f"photos/{'ba'[number % 2]}/n{number}.PNG", (8, 8, 3), seed=number)
    return tmp_path / "photos"


def test_a_zip_is_the_folder_that_was_packed(photos: Path, tmp_path: Path) -> None:
    packed, loose = SimpleImageFolder(pack(photos, tmp_path / "x.zip"), image_size=8), SimpleImageFolder(photos)
    assert [str(path.relative_to(tmp_path / "x.zip")) for path in packed.paths] == [
        str(path.relative_to(photos)) for path in loose.paths
    ]
    np.testing.assert_array_equal(packed[1][0], loose[1][0])
    for data in (packed, SimpleImageFolder(tmp_path / "x.zip", image_size=8, store=False)):
        everything = data.gather(torch.arange(4))
        for index, image in enumerate(everything):
            np.testing.assert_array_equal((255 * image).round().permute(1, 2, 0), loose[index][0])
        assert torch.equal(pickle.loads(pickle.dumps(data)).gather(torch.arange(4)), everything)
    assert packed.provenance["source"] == "zip"
    (tmp_path / "moved").mkdir()
    moved = (tmp_path / "x.zip").rename(tmp_path / "moved/y.zip")
    assert SimpleImageFolder(moved, image_size=8)._key() == packed._key()


def test_names_that_climb_out_of_a_zip_lead_nowhere(photos: Path, tmp_path: Path) -> None:
    packed = pack(photos, tmp_path / "x.zip", n0="../../climbed.png", n1="/tmp/absolute.png")
    before = sorted(tmp_path.rglob("*"))
    data = SimpleImageFolder(packed, image_size=8)
    assert len(data.gather(torch.arange(4))) == 4
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/tmp/absolute.png").exists()


def test_hidden_members_and_those_of_macos_do_not_count(photos: Path, tmp_path: Path) -> None:
    packed = pack(photos, tmp_path / "x.zip", n0="__MACOSX/a/n1.PNG", n1="a/.n1.PNG")
    assert len(SimpleImageFolder(packed)) == 2


@pytest.mark.parametrize("harm", ["corrupt", "encrypted", "huge"])
def test_a_bad_member_is_like_any_unreadable_file(
    photos: Path, tmp_path: Path, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = pack(photos, tmp_path / "x.zip")
    whole = file.read_bytes()
    content = bytearray(whole)
    with zipfile.ZipFile(file) as packed:
        start = packed.getinfo("a/n1.PNG").header_offset
    if harm == "corrupt":
        content[start + 60] ^= 255
    elif harm == "encrypted":
        content[start + 6] |= 1
        content[content.index(b"PK\1\2") + 8] |= 1
    else:
        monkeypatch.setattr(source, "_LARGEST", 10)
    file.write_bytes(content)
    count = {"corrupt": "1 of 4", "encrypted": "1 of 4", "huge": "4 of 4"}[harm]
    with pytest.raises(UserError, match=rf"{count} images cannot be read \(first: a/n1.PNG\)") as caught:
        SimpleImageFolder(file, image_size=8, cache_dir=tmp_path).gather(torch.arange(1))
    reason = {"corrupt": ": its bytes in the zip are damaged", "encrypted": ": it is encrypted", "huge": "it claims"}[
        harm
    ]
    assert reason in caught.value.__notes__[0]
    if harm != "huge":
        assert len(SimpleImageFolder(file, image_size=8, cache_dir=tmp_path, skip_bad=True)) == 3
        file.write_bytes(whole)  # a copy that is not damaged has the same names, sizes and CRCs
        assert len(SimpleImageFolder(file, image_size=8, cache_dir=tmp_path)) == 4


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("x.zip", b"PK\3\4 cut off", "is a damaged zip (File is not a zip file); set dataset.root=DIR or a zip"),
        ("x.jpg", b"some image", "is neither a folder nor a zip (File is not a zip file); set dataset.root=DIR or a"),
    ],
)
def test_a_file_that_is_no_zip_is_named(tmp_path: Path, name: str, content: bytes, line: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        SimpleImageFolder(tmp_path / name)
    assert str(caught.value).startswith(f"dataset.root={tmp_path}/{name} {line}")


def test_a_zip_without_images_and_a_folder_with_a_zip_are_explained(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "z").mkdir()
    pack(photos, tmp_path / "z/x.zip")
    with pytest.raises(UserError, match=r"no images .* under .*/z, but .*/z/x.zip is there and can be the root itself"):
        SimpleImageFolder(tmp_path / "z")
    with pytest.raises(
        UserError, match=r"no images \(.blob\) in .*x.zip; other files: 4 .png; set dataset.root=DIR or a zip"
    ):
        SimpleImageFolder(tmp_path / "z/x.zip", extensions=["blob"])
    with pytest.raises(UserError, match=r"dataset.loader takes paths, and .* is a zip: unpack it"):
        SimpleImageFolder(tmp_path / "z/x.zip", loader=Image.open)


def test_a_link_in_a_zip_is_named_as_one(photos: Path, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a/link.png")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(pack(photos, tmp_path / "x.zip"), "a") as packed:
        packed.writestr(link, "n1.PNG")
    data = SimpleImageFolder(tmp_path / "x.zip", image_size=8, cache_dir=tmp_path, skip_bad=True)
    assert data.skipped["a/link.png"].endswith(": it is a link; pack the file that it leads to")


def test_names_that_are_no_utf8_are_read_and_can_be_printed(tmp_path: Path) -> None:
    pixels = write_noise(tmp_path / "a.png", (8, 8, 3))
    os.rename(tmp_path / "a.png", os.fsencode(tmp_path) + b"/\xff\xe4.png")
    data = SimpleImageFolder(tmp_path, image_size=8)
    np.testing.assert_array_equal((255 * data.gather(torch.tensor([0]))[0]).round().permute(1, 2, 0), pixels)
    (tmp_path / "ok.png").write_bytes(data.paths[0].read_bytes())
    data.paths[0].write_bytes(b"")
    data = SimpleImageFolder(tmp_path, image_size=8, skip_bad=True)
    assert list(data.skipped) == ["\\xff\\xe4.png"]
    str(data.provenance).encode()


def test_npy_files_in_a_zip(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 8, 8), dtype=np.uint8)
    (tmp_path / "n").mkdir()
    np.save(tmp_path / "n/x.npy", pixels)
    for root in (tmp_path / "n", pack(tmp_path / "n", tmp_path / "x.zip")):
        for stored in (True, False):
            data = CelebA_HQ(root, True, image_size=8, store=stored)
            np.testing.assert_array_equal((255 * data.gather(torch.tensor([0]))).round(), pixels)
            np.testing.assert_array_equal(np.asarray(data[0][0]).transpose(2, 0, 1), pixels[0])


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    """As it is published: Img/img_align_celeba.zip and Eval/list_eval_partition.txt."""
    write_photos(tmp_path / "all/img_align_celeba", 12, (178, 218))
    for name in ("Img", "Eval"):
        (tmp_path / "celeba" / name).mkdir(parents=True)
    pack(tmp_path / "all", tmp_path / "celeba/Img/img_align_celeba.zip")
    lines = (f"{n:06d}.jpg {0 if n <= 6 else 1 if n <= 9 else 2}\n" for n in range(1, 13))
    (tmp_path / "celeba/Eval" / LIST_NAME).write_text("".join(lines))
    return tmp_path / "celeba"


@pytest.mark.parametrize("root", ["", "Img", "Img/img_align_celeba.zip"])
def test_celeba_as_published_is_found_and_split_officially(
    celeba: Path, root: str, experiment: Callable[..., Engine]
) -> None:
    engine = experiment("dataset=celeba", f"dataset.root={celeba / root}", "engine.batch_size=2")
    data = engine.train.data

    def names(subset: object) -> list[str]:
        return [data.paths[index].name for index in subset.indices.tolist()]

    assert names(engine.train) == [f"{n:06d}.jpg" for n in range(1, 7)]
    assert names(engine.validation) == [f"{n:06d}.jpg" for n in range(7, 10)]
    assert names(engine.test) == [f"{n:06d}.jpg" for n in range(10, 13)]
    engine = experiment("dataset=celeba", f"dataset.root={celeba}", "engine.batch_size=2", "dataset.validation=2")
    assert (len(engine.train), len(engine.validation), len(engine.test)) == (6, 2, 3)


def test_without_a_test_part_nothing_of_the_official_one_is_read(
    celeba: Path, experiment: Callable[..., Engine]
) -> None:
    engine = experiment("dataset=celeba", f"dataset.root={celeba}", "engine.batch_size=2", "dataset.test=0")
    assert (len(engine.train), len(engine.validation), engine.test) == (6, 3, None)
    assert [path.stem for path in engine.train.data.paths] == [f"{n:06d}" for n in range(1, 10)]


def test_without_the_list_celeba_is_split_at_random_with_a_warning(
    celeba: Path, experiment: Callable[..., Engine], caplog: pytest.LogCaptureFixture
) -> None:
    (celeba / "Eval" / LIST_NAME).unlink()
    overrides = ("dataset=celeba", f"dataset.root={celeba}", "engine.batch_size=2")
    engine = experiment(*overrides, "dataset.validation=4")
    assert "validating on images chosen at random instead of the official ones" in caplog.text
    assert (len(engine.train), len(engine.validation), len(engine.test)) == (7, 4, 1)
    with pytest.raises(UserError, match=r"dataset.split=valid needs list_eval_partition.txt"):
        experiment(*overrides, "dataset.split=valid")


def test_a_run_that_would_hold_back_other_images_than_before_is_refused(
    celeba: Path, experiment: Callable[..., Engine]
) -> None:
    def described() -> dict[str, Any]:
        settings = ("dataset.validation=3", "dataset.test=3", "engine.batch_size=2")
        engine = experiment("dataset=celeba", f"dataset.root={celeba}", *settings)
        return describe_data(Parts(engine.train, engine.validation, engine.test))

    before = described()
    compare_data(before, described())
    (celeba / "Eval" / LIST_NAME).unlink()
    with pytest.raises(UserError) as told:
        compare_data(before, now := described())
    assert str(told.value) == (
        "other images than before are held back, now 6 training + 3 validation + 3 test images; "
        "restore what the split depends on, such as a list of parts, or start a new run"
    )
    compare_data({name: value for name, value in before.items() if name != "parts"}, now)  # of an older version


def test_a_limit_keeps_the_official_parts_apart(celeba: Path, experiment: Callable[..., Engine]) -> None:
    engine = experiment("dataset=celeba", f"dataset.root={celeba}", "engine.batch_size=2", "dataset.limit=7")
    data = CelebA(celeba, split="official")
    assert len(data) == 12
    parts = engine.train, engine.validation, engine.test
    assert sum(map(len, parts)) == len(engine.train.data) == 7
    train = {engine.train.data.paths[index].stem for index in engine.train.indices.tolist()}
    assert train <= {f"{n:06d}" for n in range(1, 7)}


def test_an_official_part_that_a_limit_empties_is_an_error(celeba: Path, experiment: Callable[..., Engine]) -> None:
    with pytest.raises(UserError, match="the split of 1 images leaves nothing to"):
        experiment("dataset=celeba", f"dataset.root={celeba}", "engine.batch_size=1", "dataset.limit=1")
