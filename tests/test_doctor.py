import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from photos import write_noise, write_photos
from PIL import Image
from toy import Blobs

from vae_runner.cli import data as cli
from vae_runner.datasets import SimpleImageFolder, SplitConfig, split
from vae_runner.errors import UserError

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture
def vae_data(capsys: pytest.CaptureFixture) -> Told:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = cli.run([str(argument) for argument in arguments])
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", 12)


def huge_png() -> bytes:
    """The header of a PNG of 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    side = (60_000).to_bytes(4, "big")
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", side + side + b"\x08\x02\0\0\0")
        + chunk(b"IDAT", b"")
        + chunk(b"IEND", b"")
    )


BAD = {
    "empty.jpg": (b"", "not an image"),
    "garbage.jpg": (bytes(range(256)) * 9, "not an image"),
    "huge.png": (huge_png(), "it is too large for an image: image size (3600000000 pixels) exceeds limit"),
    "text.JPG": (b"this is no image\n" * 50, "not an image"),
    "truncated.jpg": (None, "truncated"),
}


def add_bad(folder: Path) -> None:
    whole = (folder / "000001.jpg").read_bytes()
    for name, (content, _) in BAD.items():
        (folder / name).write_bytes(whole[:-60] if content is None else content)


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("setting", ["true", "false"])
def test_each_bad_input_is_found_before_training(photos: Path, vae_data: Told, name: str, setting: str) -> None:
    add_bad(photos)
    for other in BAD:
        if other != name:
            (photos / other).unlink()
    code, out, errors = vae_data("check", "dataset=folder", f"dataset.root={photos}", f"dataset.skip_bad={setting}")
    assert (code, errors) == (int(setting == "false"), "")
    assert "unreadable  1 of 13; " in out
    (line,) = [line for line in out.splitlines() if "cannot read" in line]
    assert line.startswith(f"  cannot read {photos}/{name}: ")
    assert BAD[name][1] in line


def test_the_report_counts_what_is_there(tmp_path: Path, vae_data: Told) -> None:
    folder = write_photos(tmp_path / "x", 9, (100, 90))
    write_noise(folder / "gray.png", (50, 40))
    shutil.copyfile(folder / "gray.png", folder / "again.png")
    frames = [Image.new("L", (64, 64), value) for value in (0, 128, 255)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    code, out, _ = vae_data("check", "dataset=folder", f"dataset.root={folder}")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith(f"images      12 files under {folder}, ")
    assert lines[1:3] == ["formats     JPEG 9   PNG 2   GIF 1", "modes       RGB 9   L 2   P 1"]
    assert [line[12:].split()[:2] for line in lines[3:6]] == [["100x90", "9"], ["40x50", "2"], ["64x64", "1"]]
    assert lines[3].count("#") == 30
    assert lines[6:] == [
        "small       2 are smaller than 64 pixels on one side",
        "animated    1: their first frames are used",
        "duplicates  1 files repeat others (first: again.png = gray.png)",
        "unreadable  none",
        lines[-1],
    ]
    assert lines[-1].startswith("store       0.1 MB for 3x64x64, prepared once in about ")
    code, out, _ = vae_data("check", "dataset=folder", f"dataset.root={folder}", "dataset.image_size=[45,64]")
    assert (code, out.splitlines()[6]) == (0, "small       2 are smaller than 64 pixels across or 45 down")
    assert out.splitlines()[-1].startswith("store       0.1 MB for 3x45x64, prepared once in about ")
    first = SimpleImageFolder(folder, channels=1).gather(torch.tensor([11]))
    assert first.max() == 0  # the GIF's first frame


def test_arrays_and_zips_and_limits_are_checked_too(tmp_path: Path, vae_data: Told) -> None:
    for number in range(5):
        np.save(tmp_path / f"{number}.npy", np.zeros((1, 3, 8, 9), np.uint8))
    np.save(tmp_path / "wrong.npy", np.zeros((2, 2, 2, 2)))
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    settings = ("dataset=celeba_hq", f"dataset.root={tmp_path}", "dataset.as_npy=true")
    code, out, _ = vae_data("check", *settings)
    assert code == 1
    assert "formats     NPY 5" in out
    assert "9x8" in out
    assert "duplicates  4 files" in out
    assert "wrong.npy: an image is (1, C, H, W)" in out
    assert "pickle.npy: Object arrays cannot be loaded" in out
    shutil.make_archive(str(tmp_path / "x"), "zip", tmp_path)
    code, out, _ = vae_data("check", settings[0], f"dataset.root={tmp_path}/x.zip", settings[2], "dataset.limit=3")
    assert "images      3 files" in out


@pytest.mark.parametrize("setting", ["true", "false"])
def test_a_file_smaller_than_the_crop_is_an_error_as_it_is_for_a_run(
    tmp_path: Path, vae_data: Told, setting: str
) -> None:
    for name, side in {"large": 40, "small": 20}.items():
        write_noise(tmp_path / "x" / f"{name}.png", (side, side, 3))
    line = "dataset.crop=30 but small.png is only 20x20; set dataset.crop=null"
    settings = (f"dataset.root={tmp_path}/x", "dataset.crop=30", f"dataset.skip_bad={setting}")
    code, out, _ = vae_data("check", "dataset=folder", *settings)
    assert code == 1
    assert f"\nrefused     1 of 2; dataset.skip_bad=true does not leave them out\n  {line}\n" in out
    assert "\nunreadable  none\n" in out
    data = SimpleImageFolder(tmp_path / "x", crop=30, skip_bad=setting == "true", cache_dir=tmp_path / "cache")
    with pytest.raises(UserError, match=f"^{line}$"):
        data.gather(torch.tensor([0]))


@pytest.mark.parametrize("seed", [0, 3])
def test_of_a_limited_set_the_files_are_checked_that_a_run_would_take(
    tmp_path: Path, vae_data: Told, seed: int
) -> None:
    for side in range(20, 40):  # a size for each file, by which the check names it
        write_noise(tmp_path / "x" / f"{side}.png", (side, side, 3))
    limit = ("dataset.limit=6", f"dataset.split_seed={seed}")
    out = vae_data("check", "dataset=folder", f"dataset.root={tmp_path}/x", *limit)[1]
    data = SimpleImageFolder(tmp_path / "x", image_size=16, cache_dir=tmp_path / "cache")
    train, *_ = split(data, SplitConfig(validation=1, limit=6, split_seed=seed))
    taken = {entry.name.removesuffix(".png") for entry in train.data.entries}
    assert {side for side in map(str, range(20, 40)) if f"{side}x{side}" in out} == taken


def test_mixed_sizes_beyond_a_dozen_are_summed_up(tmp_path: Path, vae_data: Told) -> None:
    for side in range(20, 36):
        write_noise(tmp_path / f"{side}.png", (side, side, 3))
    out = vae_data("check", "dataset=folder", f"dataset.root={tmp_path}")[1]
    assert "            4 others            4  " in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["look"], "no command called 'look'; there are: vae-data check dataset=folder "),
        (["check", "dataset=folder"], "dataset.root is not set; set dataset.root=..."),
        (["check", "dataset=folder", "dataset.root=/x/none"], "dataset.root=/x/none does not exist; set dataset.root"),
        (["check", "dataset=folder", "dataset.root=EMPTY"], "no images (.jpg .jpeg .png"),
        (["check", "dataset=folder", "dataset.root=EMPTY", "dataset.image_size=99999"],
         "dataset.image_size must be at most 4096, got 99999"),
        (["check", "dataset=folder", "dataset.root=EMPTY", "dataset.fit=zoom"],
         "dataset.fit: expected one of crop, pad, stretch, got 'zoom'"),
        (["check", "dataset=foldr"], "no dataset called 'foldr'. Did you mean dataset=folder?"),
        (["check", "dataset=celeba", "dataset.root=EMPTY"], "no images"),
    ],
)  # fmt: skip
def test_mistakes_get_one_line_and_code_2(tmp_path: Path, vae_data: Told, arguments: list[str], line: str) -> None:
    code, out, errors = vae_data(*(argument.replace("EMPTY", str(tmp_path)) for argument in arguments))
    assert (code, out) == (2, "")
    assert errors.startswith(f"vae-data: error: {line}")
    assert errors.count("\n") == 1


def test_of_a_set_without_files_every_image_is_looked_at(vae_data: Told) -> None:
    own = f"--config-dir={Path(__file__).parent / 'conf'}"
    code, out, _ = vae_data("check", own, "dataset=toy", "dataset.count=300", "dataset.channels=3")
    images = Blobs(300, 16, 3).images
    assert (code, out.splitlines()[0]) == (0, "images      300 (made), 3x16x16")
    assert out.splitlines()[1] == f"values      0 to 1, {images.double().mean():.4g} on average"


def test_help_comes_without_torch() -> None:
    code = (
        "import sys, vae_runner.cli.data as cli\n"
        "assert cli.run(['--help']) == cli.run([]) == cli.run(['--version']) == 0\n"
        "assert not {'torch', 'numpy', 'hydra', 'omegaconf', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_one_image_only_leaves_nothing_to_validate(tmp_path: Path, experiment: Callable) -> None:
    write_photos(tmp_path, 1)
    with pytest.raises(Exception, match=r"dataset.validation=0.1 of 1 images leaves nothing to validate"):
        experiment("dataset=folder", f"dataset.root={tmp_path}")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_without_permission_is_named(photos: Path, vae_data: Told) -> None:
    (photos / "000003.jpg").chmod(0)
    code, out, _ = vae_data("check", "dataset=folder", f"dataset.root={photos}")
    assert code == 1
    assert "000003.jpg: Permission denied" in out
