import contextlib
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from photos import write_noise
from PIL import Image
from torchvision.datasets import ImageFolder

from vae_runner.datasets import SimpleImageFolder, make_dataset
from vae_runner.datasets.reading.listing import IMAGE_EXTENSIONS, describe_others, list_folder
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


def test_only_regular_files_and_links_to_them_count(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "elsewhere/b.jpg", "folder.png/c.png")
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(tmp_path):  # a path of it has to be short
        listening.bind("socket.png")
    for name, target in {"p": "pipe.png", "s": "socket.png", "d": "/dev/zero", "f": "folder.png", "r": "a.png"}.items():
        (tmp_path / f"{name}.png").symlink_to(target)
    (tmp_path / "chain.png").symlink_to("p.png")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    entries, others = list_folder(tmp_path, [".png"])
    assert [entry.name for entry in entries] == ["a.png", "folder.png/c.png", "gone.png", "r.png"]
    assert others == {"pipes, sockets or devices": 6, ".jpg": 1}


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ["", "store=False", "store=False, skip_bad=True", "loader=Image.open"])
def test_a_file_that_becomes_a_pipe_is_not_waited_for(tmp_path: Path, arguments: str) -> None:
    for number in range(3):
        write_noise(tmp_path / f"x/{number}.png", (8, 8, 3))
    code = (
        "import os, torch\n"
        "from PIL import Image\n"
        "from vae_runner.datasets import SimpleImageFolder\n"
        f"data = SimpleImageFolder('x', image_size=8, cache_dir='cache'{', ' + arguments if arguments else ''})\n"
        "os.unlink('x/1.png'); os.mkfifo('x/1.png')\n"
        "for read in (lambda: data[1], lambda: data.gather(torch.tensor([0])), lambda: data.provenance):\n"
        "    try: read()\n"
        "    except Exception as error: print(error)\n"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert "1.png" in told.stdout + told.stderr


def test_what_is_left_out_is_counted_by_its_ending(tmp_path: Path) -> None:
    touch(tmp_path, "a.HEIC", "b.heic", "c/notes.txt", "README", ".hidden.txt", "d.averyverylongending", "e.")
    with pytest.raises(UserError) as caught:
        SimpleImageFolder(tmp_path)
    assert str(caught.value).endswith(
        f" under {tmp_path}; other files: 3 without an ending, 2 .heic, 1 .txt; set dataset.root=DIR"
    )
    others = Counter({f".{number}": number for number in range(1, 12)})
    assert describe_others(others).endswith(", 4 .4, 3 more endings")
    assert describe_others(Counter()) == ""


@pytest.mark.parametrize(
    "ending", ["jfif", "jpe", "jif", "avif", "jp2", "j2k", "webp", "apng", "dib", "tga", "qoi", "pnm"]
)
def test_every_ending_that_counts_can_be_read(tmp_path: Path, ending: str) -> None:
    if f".{ending}" not in IMAGE_EXTENSIONS:
        pytest.skip("this Pillow has no decoder for it")
    kind = {"jif": "JPEG", "apng": "PNG", "qoi": "QOI", "pnm": "PPM"}.get(ending)
    Image.new("RGB", (16, 16), (200, 100, 50)).save(tmp_path / f"x.{ending.upper()}", kind)
    pixels = 255 * SimpleImageFolder(tmp_path, image_size=16).gather(torch.tensor([0]))[0, :, 8, 8]
    assert (pixels - torch.tensor([200.0, 100, 50])).abs().max() < 6


@pytest.mark.slow
def test_endings_without_a_decoder_are_not_promised() -> None:
    code = (
        "from PIL import features\n"
        "features.check = lambda name: False\n"
        "from vae_runner.datasets.reading.listing import IMAGE_EXTENSIONS\n"
        "assert not {'.avif', '.jp2'} & set(IMAGE_EXTENSIONS) and '.jfif' in IMAGE_EXTENSIONS"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


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
    assert str(caught.value) == f"no images (.jpg .jpeg) under {tmp_path}; other files: 1 .txt; set dataset.root=DIR"
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
