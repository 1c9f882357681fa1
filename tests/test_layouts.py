import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from photos import write_noise, write_photos
from test_source import pack

from vae_runner.datasets import CelebA, CelebA_HQ, SimpleImageFolder
from vae_runner.datasets.photos.layouts import describe_folders, hq_photos
from vae_runner.datasets.reading.listing import Entry
from vae_runner.engine import Engine
from vae_runner.errors import UserError


def entries(*names: str) -> list[Entry]:
    return [Entry(name, 1, 1) for name in names]


def write_masks(folder: Path) -> None:
    for number in range(4):
        write_noise(folder / f"{number // 2}/{number:05d}_hair.png", (16, 16))


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """The published folder: photos, masks beside them, lists."""
    root = tmp_path / "CelebAMask-HQ"
    write_photos(root / "CelebA-HQ-img", 5, (32, 32))
    write_masks(root / "CelebAMask-HQ-mask-anno")
    write_noise(root / "preview.png")
    (root / "CelebA-HQ-to-CelebA-mapping.txt").touch()
    return root


@pytest.mark.parametrize("place", [".", "..", "zip", "above"])
def test_of_the_published_folder_of_celebamask_hq_the_photos_are_taken(
    masked: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = pack(masked.parent, masked.parent.parent / "x.zip") if place == "zip" else masked / place
    if place == "above":
        (masked.parent / "data/celeba_hq").mkdir(parents=True)
        root = masked.parent / "data"
        masked.rename(root / "celeba_hq/CelebAMask-HQ")
    caplog.set_level(logging.INFO, "vae_runner")
    data = CelebA_HQ(root)
    assert [path.name for path in data.paths] == [f"{number:06d}.jpg" for number in range(1, 6)]
    taken, counted = caplog.messages
    assert "CelebA-HQ-img 5 are taken, and others are left out: " in taken
    assert "CelebAMask-HQ-mask-anno 4" in taken
    assert counted == f"CelebA-HQ under {root} has 5 images, expected 30,000"


def test_masks_and_sketches_beside_photos_of_another_name_are_left_out(tmp_path: Path) -> None:
    write_photos(tmp_path / "images", 3, (32, 32))
    for name in ("mask", "Label", "sketch", "CelebAMaskHQ-mask"):
        write_noise(tmp_path / name / "0.png", (16, 16))
    assert len(CelebA_HQ(tmp_path)) == 3
    assert len(CelebA_HQ(tmp_path / "mask")) == 1  # asked for by name
    shutil.rmtree(tmp_path / "images")
    assert len(CelebA_HQ(tmp_path)) == 4  # nothing but masks is no reason to find nothing


@pytest.mark.parametrize(
    ("folders", "taken"),
    [
        (["data128x128", "data1024x1024", "data256x256"], "data1024x1024"),
        (["celeba-64", "celeba-512", "celeba-128"], "celeba-512"),
        (["celebahq/256", "celebahq/1024"], "celebahq/1024"),
    ],
)
def test_of_several_sizes_of_the_same_faces_the_largest_is_taken(folders: list[str], taken: str) -> None:
    assert hq_photos(entries(*(f"{name}/1.png" for name in folders))) == entries(f"{taken}/1.png")


@pytest.mark.parametrize("folders", [["train/male", "val/female"], ["0", "1", "10"], ["celeba_hq_256"], ["."]])
def test_other_folders_of_celeba_hq_are_one_set(folders: list[str]) -> None:
    found = entries(*(f"{name}/1.png" for name in folders))
    assert hq_photos(found) == found


@pytest.mark.parametrize("packed", [False, True])
def test_of_celeba_the_aligned_photos_are_taken_once(tmp_path: Path, packed: bool) -> None:
    root = tmp_path / "celeba"
    write_photos(root / "img_align_celeba/img_align_celeba", 4, (178, 218))
    for name in ("img_align_celeba_png", "img_celeba", "samples"):
        write_photos(root / name, 2, (178, 218), ".png")
    shown = pack(root, tmp_path / "x.zip") if packed else root
    assert [path.parent.name for path in CelebA(shown).paths] == ["img_align_celeba"] * 4
    if not packed:
        shutil.rmtree(root / "img_align_celeba")
        assert [path.parent.name for path in CelebA(root).paths] == ["img_align_celeba_png"] * 2


def test_an_image_beside_the_zip_of_celeba_is_not_the_set(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_noise(tmp_path / "y/preview.png")
    pack(write_photos(tmp_path / "x/img_align_celeba", 4, (178, 218)).parent, tmp_path / "y/img_align_celeba.zip")
    caplog.set_level(logging.INFO, "vae_runner")
    assert len(CelebA(tmp_path / "y")) == 4
    assert caplog.messages[0] == (
        f"{tmp_path}/y/img_align_celeba.zip is read, and the images beside it are left out: . 1"
    )


def test_a_run_says_which_folders_it_reads(tmp_path: Path, experiment: Callable[..., Engine], caplog) -> None:
    write_photos(tmp_path / "a", 20)
    write_photos(tmp_path / "b/deep", 10)
    caplog.set_level(logging.INFO, "vae_runner")
    experiment("dataset=folder", f"dataset.root={tmp_path}").prepare()
    assert "images are read from several folders: a 20, b 10" in caplog.messages
    caplog.clear()
    experiment("dataset=folder", f"dataset.root={tmp_path / 'b'}", "engine.batch_size=2").prepare()
    assert "several folders" not in caplog.text


def test_many_folders_are_summed_up() -> None:
    many = entries(*(f"x/{number:02d}/{image}.png" for number in range(20) for image in range(number + 1)))
    told = describe_folders([*many, Entry("x/loose.png", 1, 1)])
    assert told == "x/19 20, x/18 19, x/17 18, x/16 17, x/15 16, x/14 15 and 15 more folders"


# The official list.

LIST = "".join(f"{number:06d}.jpg {part}\n" for number, part in enumerate([0, 0, 1, 2], 1))
CSV = "image_id,partition\r\n" + LIST.replace(" ", ",").replace("\n", "\r\n")


def official(root: Path) -> tuple[list[str], ...]:
    """The names of the training, validation and test images."""
    data = CelebA(root, split="official")
    return tuple([data.paths[index].stem for index in part.tolist()] for part in data.own_split())


@pytest.mark.parametrize("root", [".", "img_align_celeba", "img_align_celeba/img_align_celeba", ".."])
@pytest.mark.parametrize(("name", "text"), [("list_eval_partition.csv", CSV), ("list_eval_partition.txt", LIST)])
def test_the_official_parts_of_celeba_as_kaggle_ships_it_are_found(
    tmp_path: Path, root: str, name: str, text: str
) -> None:
    archive = tmp_path / "x/archive"
    write_photos(archive / "img_align_celeba/img_align_celeba", 4, (178, 218))
    (archive / name).write_text(text)
    (archive / "list_attr_celeba.csv").write_text("image_id,Smiling\n000001.jpg,-1\n")
    assert official(archive / root) == (["000001", "000002"], ["000003"], ["000004"])


@pytest.mark.parametrize("place", ["inside", "beside", "above"])
@pytest.mark.parametrize("name", ["list_eval_partition.csv", "list_eval_partition.txt"])
def test_the_list_is_found_inside_a_zip_beside_it_and_above(tmp_path: Path, place: str, name: str) -> None:
    source = tmp_path / "source/celeba"
    write_photos(source / "img_align_celeba", 4, (178, 218))
    text = CSV if name.endswith("csv") else LIST
    where = {"inside": source, "beside": tmp_path / "x/y", "above": tmp_path / "x"}[place]
    (tmp_path / "x/y").mkdir(parents=True)
    (where / name).write_text(text)
    assert official(pack(source.parent, tmp_path / "x/y/archive.zip")) == (["000001", "000002"], ["000003"], ["000004"])


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + CSV,
        '"image_id","partition"\n"000001.jpg","0"\n"000002.jpg","0"\n"000003.jpg","1"\n',
        ",image_id,partition\n0,000001.jpg,0\n1,000002.jpg,0\n2,000003.jpg,1\n",
        "partition,image_id\n0,000001.jpg\n0,000002.jpg\n1,000003.jpg\n",
        "image_id;partition\n000001.png;0\n000002.png;0\n000003.png;1\n",
        "img_align_celeba/000001.jpg 0\n000002.jpg\t0\n\n000003.jpg  1\n",
    ],
)
def test_the_list_is_read_in_every_spelling(tmp_path: Path, text: str) -> None:
    write_photos(tmp_path / "img_align_celeba_png", 3, (178, 218), ".png")  # whose endings are not those of the list
    (tmp_path / "list_eval_partition.csv").write_text(text)
    assert official(tmp_path) == (["000001", "000002"], ["000003"], [])


def test_a_csv_of_something_else_is_named_with_its_line(tmp_path: Path) -> None:
    write_photos(tmp_path, 2, (178, 218))
    (tmp_path / "list_eval_partition.csv").write_text("image_id,partition\n000001.jpg,0\n000002.jpg,train\n")
    with pytest.raises(UserError) as caught:
        CelebA(tmp_path, split="train")
    where = f"{tmp_path}/list_eval_partition.csv, line 3"
    assert str(caught.value) == f"{where}: expected 'NAME.jpg 0', 1 or 2, got '000002.jpg,train'"


def test_one_folder_says_nothing_of_folders(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "vae_runner")
    SimpleImageFolder(write_photos(tmp_path / "x", 3), image_size=8, cache_dir=tmp_path).fingerprint()
    assert "folders" not in caplog.text
