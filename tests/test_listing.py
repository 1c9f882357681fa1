import os
from pathlib import Path

import pytest
from photos import write_noise
from torchvision.datasets import ImageFolder

from vae_runner.datasets import SimpleImageFolder, make_dataset
from vae_runner.datasets.listing import IMAGE_EXTENSIONS
from vae_runner.errors import UserError


def names(folder: Path, *extensions: str) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in make_dataset(folder, extensions or IMAGE_EXTENSIONS)]


def touch(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def test_the_files_are_those_of_torchvision_in_its_order(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/10.png", "a/x.PNG", "a/deep/er/y.png", "a/z.webp", "a b/1.bmp"):
        write_noise(tmp_path / name)
    touch(tmp_path, "a/notes.txt", "a/png", "b/list.csv")
    expected = [path for path, _ in ImageFolder(tmp_path).samples]
    assert sorted(map(str, make_dataset(tmp_path, IMAGE_EXTENSIONS))) == sorted(expected)
    assert names(tmp_path) == ["a/deep/er/y.png", "a/x.PNG", "a/z.webp", "a b/1.bmp", "b/10.png", "b/2.png"]


def test_the_order_depends_on_the_names_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # S1
    touch(tmp_path, *(f"{folder}/{file}.png" for folder in "cab" for file in (3, 1, 2)), "b.png", "B.png")
    expected = names(tmp_path)
    assert expected == sorted(expected, key=lambda name: name.split("/"))
    listed = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: reversed(list(listed(path))))
    assert names(tmp_path) == expected


@pytest.mark.parametrize("given", [["png"], [".png"], [".PNG"], ["PNG", ".png"], "png"])
def test_endings_may_be_written_in_every_way(tmp_path: Path, given: list[str]) -> None:
    touch(tmp_path, "a.png", "b.PnG", "c.jpg", "dpng")
    assert [path.name for path in make_dataset(tmp_path, given)] == ["a.png", "b.PnG"]


@pytest.mark.parametrize("given", [[], [""], ["."]])
def test_endings_that_name_no_file_are_refused(tmp_path: Path, given: list[str]) -> None:
    with pytest.raises(UserError, match=r"dataset.extensions must be a list of endings such as .png, got "):
        make_dataset(tmp_path, given)


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:  # S1
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    touch(root, "z/own.png", "a.png")
    touch(elsewhere, "far.png", "sub/further.png")
    (root / "linked").symlink_to(elsewhere)
    (root / "z/up").symlink_to(root)
    (elsewhere / "sub/back").symlink_to(elsewhere)
    (elsewhere / "home").symlink_to(root / "z")
    (root / "self").symlink_to(root / "self")
    (root / "file.png").symlink_to(elsewhere / "far.png")
    assert names(root) == ["a.png", "file.png", "linked/far.png", "linked/sub/further.png", "z/own.png"]
    (tmp_path / "link").symlink_to(root)
    assert names(tmp_path / "link") == names(root)


def test_a_folder_that_a_link_repeats_is_read_once_under_its_own_name(tmp_path: Path) -> None:
    touch(tmp_path, "m/real/1.png")
    (tmp_path / "a").symlink_to(tmp_path / "m/real")
    (tmp_path / "m/b").symlink_to(tmp_path / "m/real")
    assert names(tmp_path) == ["m/real/1.png"]


def test_a_link_to_nothing_is_listed_to_be_found_missing(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    assert names(tmp_path) == ["gone.png", "self.png"]


def test_hidden_files_folders_and_pipes_do_not_count(tmp_path: Path) -> None:
    touch(tmp_path, "._a.png", ".thumbnails/a.png", "a.png", ".png", "folder.png/b.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert names(tmp_path) == ["a.png", "folder.png/b.png"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:  # S1
    with pytest.raises(UserError) as caught:
        SimpleImageFolder(tmp_path / "x")
    assert str(caught.value) == f"dataset.root={tmp_path}/x does not exist; set dataset.root=DIR"
    touch(tmp_path, "x")
    with pytest.raises(UserError) as caught:
        make_dataset(tmp_path / "x", [".png"])
    assert str(caught.value) == f"dataset.root={tmp_path}/x is not a folder; set dataset.root=DIR"


def test_an_empty_folder_is_named_with_the_endings(tmp_path: Path) -> None:  # S1
    touch(tmp_path, "a.txt")
    with pytest.raises(UserError) as caught:
        make_dataset(tmp_path, ["JPG", ".jpeg"])
    assert str(caught.value) == f"no images (.jpg .jpeg) under {tmp_path}; set dataset.root=DIR"
    with pytest.raises(UserError, match=r"no images \(\.jpg \.jpeg \.png \.webp \.bmp .*\) under "):
        SimpleImageFolder(tmp_path)


def test_a_folder_that_may_not_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a.png", "locked/b.png")
    listed = os.scandir

    def scandir(path: Path) -> object:  # tests may run as root, whom no mode keeps out
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match=f"cannot read {tmp_path}/locked: Permission denied"):
        names(tmp_path)
