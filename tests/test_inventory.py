import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from photos import write_photos

from vae_runner.cli import data as cli
from vae_runner.datasets import SimpleImageFolder
from vae_runner.files import locked

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True, scope="module")
def quick_collections() -> Iterator[None]:
    """What is there already is left out of the collections of garbage: they are many here."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def vae_data(capsys: pytest.CaptureFixture, tmp_path: Path) -> Told:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = cli.run(["stores", f"dataset.cache_dir={tmp_path}/cache", *map(str, arguments)])
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", 5)


def prepare(photos: Path, size: int) -> Path:
    """Make a store of images of that size; returns its folder. Nobody holds it afterwards."""
    cache = photos.parent / "cache"
    before = set(cache.glob("images-*"))
    SimpleImageFolder(photos, image_size=size, cache_dir=cache).gather(torch.arange(5))
    gc.collect()  # a set and the function that decodes for its store hold each other
    (made,) = set(cache.glob("images-*")) - before
    return made


def key(store: Path) -> str:
    return store.name.removeprefix("images-")


def age(store: Path, days: float) -> None:
    for file in store.iterdir():
        os.utime(file, (time.time() - days * 86400,) * 2)


def test_the_stores_are_listed_with_what_they_take_and_where_they_are_from(photos: Path, vae_data: Told) -> None:
    assert vae_data() == (0, f"no prepared images in {photos.parent}/cache\n", "")
    old, new = prepare(photos, 64), prepare(photos, 128)
    age(old, 40.2)
    code, out, errors = vae_data()
    lines = out.splitlines()
    assert (code, errors, len(lines)) == (0, "", 4)
    assert lines[0].split() == ["key", "size", "images", "last", "used", "source"]
    assert lines[1].split() == [key(new)[:12], "0.2", "MB", "5", "today", str(photos)]  # 5 x 3 x 128 x 128 = 245,760
    assert lines[2].split() == [key(old)[:12], "0.1", "MB", "5", "40", "days", "ago", str(photos)]
    assert lines[3].startswith("2 stores, 0.3 MB in ")


def test_opening_a_store_counts_as_use(photos: Path, vae_data: Told) -> None:
    store = prepare(photos, 8)
    age(store, 40)
    SimpleImageFolder(photos, image_size=8, cache_dir=photos.parent / "cache").gather(torch.arange(2))
    assert "today" in vae_data()[1]


@pytest.mark.parametrize(
    ("arguments", "gone"),
    [
        (["--remove", "KEY0"], {0}),
        (["--remove=KEY1"], {1}),
        (["--older-than", "30"], {0, 1}),
        (["--older-than=90"], {0}),
        (["--older-than", "200"], set()),
        (["--all"], {0, 1, 2}),
    ],
)
def test_what_is_asked_for_is_removed_and_nothing_else(
    photos: Path, vae_data: Told, arguments: list[str], gone: set[int]
) -> None:
    stores = [prepare(photos, size) for size in (8, 16, 24)]
    for store, days in zip(stores, (100, 40, 2), strict=True):
        age(store, days)
    filled = [argument.replace("KEY0", key(stores[0])[:7]).replace("KEY1", key(stores[1])) for argument in arguments]
    code, out, errors = vae_data(*filled)
    assert (code, errors) == (0, "")
    assert {number for number, store in enumerate(stores) if not store.exists()} == gone
    assert out.splitlines()[-1].startswith(f"{len(gone)} of 3 stores removed, ")
    assert all(f"removed  {key(stores[number])}" in out for number in gone)
    if 0 in gone:
        assert prepare(photos, 8) == stores[0]  # made again as if nothing had been


def test_an_unfinished_preparation_is_listed_and_removed_unless_it_goes_on(photos: Path, vae_data: Told) -> None:
    store = prepare(photos, 8)
    part = store.rename(store.with_name(store.name + ".part"))
    (part / "index.json").unlink()
    assert "unfinished" in vae_data()[1]
    with locked(store.with_name(f".{store.name}.lock")):
        code, out, _ = vae_data("--all")
        assert (code, part.exists()) == (1, True)
        assert f"in use, kept  {key(store)}" in out
    assert vae_data("--all")[0] == 0
    assert not part.exists()


READ = """
import sys, torch
from vae_runner.datasets import SimpleImageFolder
data = SimpleImageFolder(sys.argv[1], image_size=8, cache_dir=sys.argv[2])
print(data.gather(torch.arange(5)).sum().item(), flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_store_that_a_process_reads_is_kept_until_it_ends(photos: Path, vae_data: Told) -> None:
    store = prepare(photos, 8)
    arguments = [sys.executable, "-c", READ, str(photos), str(photos.parent / "cache")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout.readline()
        code, out, _ = vae_data("--all")
        assert (code, store.exists()) == (1, True)
        assert f"in use, kept  {key(store)}" in out
        assert out.splitlines()[-1].startswith("0 of 1 stores removed")
        reader.stdin.close()
    assert reader.returncode == 0
    assert vae_data("--all")[0] == 0
    assert not store.exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--remove", "x"], "--remove x: no store in "),
        (["--remove"], "--remove : no store in "),
        (["--remove", ""], "--remove : no store in "),
        (["--older-than", "soon"], "--older-than takes a number of days, got 'soon'"),
        (["--older-than"], "--older-than takes a number of days, got ''"),
        (["--older-than", "nan"], "--older-than takes a number of days, got 'nan'"),
        (["--older-than", "-1"], "--older-than takes a number of days, got '-1'"),
        (["--all", "--remove", "x"], "--all and --remove: give one of --remove KEY, --older-than DAYS or --all"),
        (["dataset=folder"], "vae-data stores takes --remove KEY, --older-than DAYS or --all, and dataset.cache_"),
        (["--all=yes"], "vae-data stores takes --remove KEY"),
    ],
)  # fmt: skip
def test_mistakes_remove_nothing(photos: Path, vae_data: Told, arguments: list[str], line: str) -> None:
    store = prepare(photos, 8)
    code, out, errors = vae_data(*arguments)
    assert (code, out, store.exists()) == (2, "", True)
    assert errors.startswith(f"vae-data: error: {line}")
    assert errors.count("\n") == 1


def test_a_key_that_several_stores_share_removes_none(photos: Path, vae_data: Told) -> None:
    store = prepare(photos, 8)
    twin = store.with_name(store.name[:20] + "x")
    twin.mkdir()
    code, _, errors = vae_data("--remove", key(store)[:5])
    assert (code, store.exists(), twin.exists()) == (2, True, True)
    assert "2 stores in " in errors
