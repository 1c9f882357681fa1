"""`dataset=arrays`: images and factors of one's own, in files that NumPy and h5py write."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from arrays import NAMES, bars, write_arrays
from omegaconf import DictConfig

from vae_runner.datasets import ArrayImages, SplitConfig, split
from vae_runner.datasets.arrays.columns import grid_of_columns
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.experiment.checking.check import check

ROOT = Path(__file__).parent.parent
PIXELS, FACTORS = bars()
COUNT = len(PIXELS)
EVERY = torch.arange(COUNT)
GRAY = PIXELS[..., 1]
CHANNELS_FIRST = PIXELS.transpose(0, 3, 1, 2)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., ArrayImages]:
    """make(FILE, ...) -> the data set of a file in the test's folder."""

    def made(images: str = "bars.npz", **settings: Any) -> ArrayImages:
        return ArrayImages(images, **{"root": tmp_path, "cache_dir": tmp_path / "cache", **settings})

    return made


def write(path: Path, array: np.ndarray) -> None:
    """One array, by the writer of its format."""
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez_compressed(path, images=array)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("images", data=array, compression="gzip")


def expected(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).float() / 255


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.h5"])
@pytest.mark.parametrize(
    ("array", "shown"),
    [
        (PIXELS, CHANNELS_FIRST),
        (CHANNELS_FIRST, CHANNELS_FIRST),
        (GRAY, GRAY[:, None]),
        (GRAY[..., None], GRAY[:, None]),
        (GRAY > 100, (GRAY > 100)[:, None] * np.uint8(255)),
        ((PIXELS / 255).astype(np.float32), CHANNELS_FIRST),
        (np.asfortranarray(PIXELS) / 255, CHANNELS_FIRST),
    ],
    ids=["NHWC", "NCHW", "NHW", "NHW1", "bool", "float32", "float64"],
)
def test_an_array_of_any_kind_gives_the_images_that_it_shows(
    tmp_path: Path, make: Callable[..., ArrayImages], name: str, array: np.ndarray, shown: np.ndarray
) -> None:
    write(tmp_path / name, np.ascontiguousarray(array) if name == "x.npz" else array)
    data = make(name)
    assert data.image_shape == shown.shape[1:]
    assert torch.equal(data.gather(EVERY), expected(shown))
    assert torch.equal(data.gather(torch.tensor([7, 3, 7])), expected(shown[[7, 3, 7]]))
    assert (data.grid, data.factors(EVERY)) == (None, {})


def test_floats_between_the_levels_are_kept(tmp_path: Path, make: Callable[..., ArrayImages]) -> None:
    fine = np.random.default_rng(0).random((5, 4, 6), np.float32)
    np.save(tmp_path / "x.npy", fine)
    assert torch.equal(make("x.npy").gather(torch.arange(5)), torch.from_numpy(fine)[:, None])


def test_images_not_told_apart_from_channels_want_their_order_said(
    tmp_path: Path, make: Callable[..., ArrayImages]
) -> None:
    np.save(tmp_path / "x.npy", GRAY[:, :3, :, None])
    with pytest.raises(UserError, match="the channels are first or last, and both can be 1 or 3; set dataset"):
        make("x.npy")
    assert make("x.npy", layout="NHWC").image_shape == (1, 3, 16)
    assert make("x.npy", layout="NCHW").image_shape == (3, 16, 1)


def test_a_second_start_reads_the_prepared_images_alone(
    tmp_path: Path, make: Callable[..., ArrayImages], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_arrays(tmp_path)
    first = make()
    monkeypatch.setattr("vae_runner.datasets.arrays.array_file.ArrayFile.read", None)
    again = make()
    assert torch.equal(first.gather(EVERY), again.gather(EVERY))
    assert first.fingerprint() == again.fingerprint()


def check_bars(data: ArrayImages) -> None:
    assert data.grid is not None
    assert data.grid.names == tuple(NAMES)
    assert data.grid.sizes == (2, 3, 8)
    known = data.factors(EVERY)
    for place, name in enumerate(NAMES):
        assert known[name].tolist() == FACTORS[:, place].tolist()


def test_factors_are_read_from_the_file_of_the_images_or_another_and_by_columns(
    tmp_path: Path, make: Callable[..., ArrayImages]
) -> None:
    write_arrays(tmp_path)
    np.save(tmp_path / "f.npy", FACTORS.astype(np.float64))
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["labels"], file["names"] = FACTORS, NAMES
        for place, name in enumerate(NAMES):
            file[name] = FACTORS[:, place]
    check_bars(make(factors="bars.npz"))
    check_bars(make(factors="f.npy", names=NAMES))
    check_bars(make(factors="f.h5"))
    check_bars(make(factors="f.h5", factor_key=NAMES))
    one = make(factors="f.npy", names=NAMES, categories=["shape"], circular=["place"])
    assert [factor.is_category for factor in one.grid.factors] == [True, False, False]
    assert [factor.period for factor in one.grid.factors] == [None, None, 8]  # 0 to 7, and 8 is 0 again


def test_a_grid_says_of_what_each_image_is(tmp_path: Path, make: Callable[..., ArrayImages]) -> None:
    write_arrays(tmp_path)
    data = make(factors={"shape": ["row", "column"], "size": [2, 4, 6], "place": 8})
    check_bars(data)
    assert data.listed is None
    assert data.factor_classes == {"shape": ("row", "column")}


def test_texts_are_classes_without_an_order(tmp_path: Path) -> None:
    shapes = np.array(["row", "column"])[FACTORS[:, 0]]
    for column in (shapes, shapes.astype(bytes)):
        grid, listed = grid_of_columns({"shape": column, "size": FACTORS[:, 1]})
        assert grid.factors[0].labels == ("column", "row")
        assert grid.factors[0].is_category
        assert grid.classes_of(listed)[:, 0].tolist() == (1 - FACTORS[:, 0]).tolist()


def test_images_in_another_order_are_a_list_of_their_combinations(
    tmp_path: Path, make: Callable[..., ArrayImages]
) -> None:
    order = np.random.default_rng(0).permutation(COUNT)[:40]
    np.savez(tmp_path / "some.npz", images=PIXELS[order], factors=FACTORS[order], names=NAMES)
    data = make("some.npz", factors="some.npz")
    wanted = data.grid_indices(torch.tensor([5]))
    assert torch.equal(data.images(wanted), expected(CHANNELS_FIRST[order[5:6]]))


def test_other_factors_are_another_set(tmp_path: Path, make: Callable[..., ArrayImages]) -> None:
    write_arrays(tmp_path)
    np.save(tmp_path / "f.npy", FACTORS[::-1])
    given: list[dict[str, Any]] = [
        {},
        {"factors": "bars.npz"},
        {"factors": "f.npy", "names": NAMES},
        {"factors": "bars.npz", "circular": ["place"]},
    ]
    assert len({make(**settings).fingerprint() for settings in given}) == 4


def bad(**arrays: Any) -> Callable[[Path], None]:
    return lambda folder: np.savez(folder / "x.npz", **arrays)


def cut(folder: Path, name: str = "x.npz", half: float = 0.5) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: int(len(whole) * half)])


def grouped_h5(folder: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "x.h5", "w") as file:
        file.create_group("images")["x"] = PIXELS


def cut_h5(folder: Path) -> None:
    write(folder / "x.h5", np.random.default_rng(0).integers(0, 256, (40, 32, 32), dtype=np.uint8))
    cut(folder, "x.h5")


def cut_npz(folder: Path) -> None:
    np.savez(folder / "x.npz", images=PIXELS)
    cut(folder)


def cut_npy(folder: Path) -> None:
    np.save(folder / "x.npy", PIXELS)
    cut(folder, "x.npy")


def text(folder: Path) -> None:
    (folder / "x.npy").write_text("no array")


@pytest.mark.parametrize(
    ("files", "settings", "line"),
    [
        (bad(images=PIXELS), {"images": "y.npz"}, "dataset.images=.*y.npz is not there; dataset.root is the folder"),
        (bad(images=PIXELS), {"images": "x.png"}, "dataset.images=.*x.png must end in one of .npy, .npz, .h5, .hdf5"),
        (bad(images=PIXELS), {"images": "."}, "dataset.images=.* must end in one of .npy"),
        (cut_npz, {}, "dataset.images=.*x.npz is damaged .*: write it again"),
        (cut_npy, {"images": "x.npy"}, "dataset.images=.*x.npy is damaged .*: write it again"),
        (cut_h5, {"images": "x.h5"}, "^dataset.images=.*x.h5 is damaged .*: write it again"),
        (grouped_h5, {"images": "x.h5"}, "x.h5 holds no arrays outside groups; set dataset.image_key=NAME"),
        (text, {"images": "x.npy"}, "x.npy .*expected numbers, as np.save writes"),
        (bad(a=PIXELS, b=PIXELS), {}, "dataset.images=.*x.npz holds a, b; set dataset.image_key=NAME"),
        (bad(images=PIXELS), {"image_key": "b"}, "dataset.image_key=b: .*x.npz has no such array, it holds images"),
        (bad(), {}, "x.npz holds no arrays; set dataset.image_key=NAME"),
        (bad(images=PIXELS[:0]), {}, r"images is \(0, 16, 16, 3\): there are no images"),
        (bad(images=PIXELS[0, 0]), {}, r"images is \(16, 3\), expected \(N, H, W\), \(N, H, W, C\) or"),
        (bad(images=PIXELS), {"layout": "NHW"}, r"images is \(48, 16, 16, 3\), expected NHW"),
        (bad(images=PIXELS), {"layout": "HWC"}, "dataset.layout must be one of auto, NHW, NHWC, NCHW, got 'HWC'"),
        (bad(images=PIXELS.astype(int)), {}, r"images is int64, expected uint8, .*images.astype\(numpy.uint8\)"),
        (bad(images=PIXELS.astype(np.uint16)), {}, "images is uint16, .*of more, images / numpy.float32"),
        (bad(images=PIXELS.astype(float)), {}, "images 0 to 47: its floats go from 0 to 280|0 to 255.*divide them"),
        (bad(images=PIXELS / 127 - 1), {}, "images 0 to 47: its floats go from -1 to .*expected .0, 1."),
        (bad(images=np.full((3, 4, 4), np.nan)), {}, "images 0 to 2: it has values that are not finite"),
        (bad(images=np.array(["a"])), {}, r"images is \(1,\), expected"),
        (bad(images=np.array([[[None]]])), {}, "images holds Python objects, which are not read; expected numbers"),
        (bad(images=PIXELS), {"names": NAMES}, "dataset.names: dataset.factors is not set: leave it out"),
        (bad(images=PIXELS), {"factors": "f.npy"}, "dataset.factors=.*f.npy is not there"),
        (bad(images=PIXELS, factors=FACTORS[1:]), {"factors": "x.npz"}, r"factors is \(47, 3\), expected \(48, numbe"),
        (bad(images=PIXELS, factors=FACTORS), {"factors": "x.npz"}, "factors has 3 columns; set dataset.names="),
        (bad(images=PIXELS, factors=FACTORS), {"factors": "x.npz", "names": ["a", "b"]}, "3 columns; .*got a, b"),
        (bad(images=PIXELS, factors=FACTORS), {"factors": "x.npz", "names": ["a", "b", "a"]}, "no two of.* a, b, a"),
        (bad(images=PIXELS, a=FACTORS), {"factors": "x.npz", "factor_key": ["a"]}, r"a is \(48, 3\), expected \(48,\)"),
        (bad(images=PIXELS, a=FACTORS), {"factors": "x.npz"}, "x.npz holds images, a; set dataset.factor_key=NAME"),
        (
            bad(images=PIXELS, y=np.where(FACTORS[:, 1] == 4, np.nan, 1.0)),
            {"factors": "x.npz"},
            "dataset.factors: y of image 8 is nan, expected a finite number",
        ),
        (bad(images=PIXELS, y=FACTORS[:, 0] * 1j), {"factors": "x.npz"}, "y is complex128, expected integers"),
        (
            bad(images=np.zeros((5000, 1, 2), np.uint8), y=np.arange(5000.0)),
            {"factors": "x.npz"},
            "y has 5,000 different values, at most 4,096 .*numpy.digitize",
        ),
        (bad(images=PIXELS, y=FACTORS[:, 0]), {"factors": "x.npz", "circular": ["hue"]}, "circular: there is no"),
        (bad(images=PIXELS), {"factors": {"a": 4, "b": 11}}, "a 4 x b 11 are 44 combinations, but there are 48 images"),
        (bad(images=PIXELS), {"factors": {"a": 0}}, "a must be the number of its classes, or a list .*, got 0"),
        (bad(images=PIXELS), {"factors": {"a": [3, 2, 1]}}, "values of the factor a must be finite and rise"),
        (bad(images=PIXELS), {"factors": {}}, "dataset.factors: there are none"),
        (bad(images=PIXELS), {"factors": {"a": 48}, "names": ["a"]}, "dataset.names: dataset.factors states a grid"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_in_a_line(
    tmp_path: Path, make: Callable[..., ArrayImages], files: Callable[[Path], None], settings: dict, line: str
) -> None:
    files(tmp_path)
    with pytest.raises(UserError, match=line) as told:
        make(**{"images": "x.npz"} | settings)
    assert "\n" not in str(told.value)


def test_without_h5py_the_line_names_what_to_install(
    tmp_path: Path, make: Callable[..., ArrayImages], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "x.h5", PIXELS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"x.h5 is read by h5py, which is not there: pip install 'vae_runner\[hdf5\]'$"):
        make("x.h5")


def test_a_piece_of_a_packed_file_is_read_at_a_time(
    tmp_path: Path, make: Callable[..., ArrayImages], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_runner.datasets.arrays.array_file._PIECE", 3 * PIXELS[0].nbytes)
    for name in ("x.npz", "x.h5"):
        write(tmp_path / name, PIXELS)
        assert torch.equal(make(name, cache_dir=tmp_path / name[2:]).gather(EVERY), expected(CHANNELS_FIRST))


def test_pairs_and_pictures_know_the_factors(experiment: Callable[..., Engine], tmp_path: Path) -> None:
    write_arrays(tmp_path)
    chosen = ["dataset=arrays", "dataset.images=bars.npz", f"dataset.root={tmp_path}", "dataset.factors=bars.npz"]
    engine = experiment(*chosen, f"dataset.cache_dir={tmp_path}", "divergence=ada_gvae", "dataset.validation=8")
    train, *_ = split(engine.train.data, SplitConfig(validation=8, test=0.1))
    assert torch.equal(engine.train.indices, train.indices)
    engine.train_step()


def test_pairs_of_images_without_factors_are_refused_before_any_is_read(compose: Callable[..., DictConfig]) -> None:
    _, problems = check(compose("dataset=arrays", "dataset.images=nowhere.npz", "divergence=ada_gvae"))
    assert len(problems) == 1
    assert "takes pairs of images that share factors, and ArrayImages knows none" in problems[0]


def program(module: str, *arguments: str) -> subprocess.CompletedProcess:
    code = f"from {module} import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_a_set_of_ones_own_trains_is_scored_and_resumes_as_it_is_printed(
    cache: Path, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs/data.md").read_text().partition("## An array of your own, with its factors")[2]
    code, yaml = (re.search(rf"```{kind}\n(.*?)```", page, re.S)[1] for kind in ("python", "yaml"))
    assert len(code.splitlines()) <= 15
    exec(compile(code, "docs/data.md", "exec"), {})  # the project's own documentation
    (inside / "mine/dataset").mkdir(parents=True)
    (inside / "mine/dataset/bars.yaml").write_text(yaml)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    lines = re.findall(r"^\$ (.*)$", page.replace("\\\n", ""), re.M)
    train, score, resume = (shlex.split(line)[1:] for line in lines[:3])
    short = ["engine.device=cpu", "engine.threads=1", "engine.compile=false"]
    small = ["visualisation=[factors,scatter]", "architecture=mlp", "hydra.run.dir=outputs/run"]
    program("vae_runner.cli", *train, *short, *small, "engine.steps=10")
    said = program("vae_runner.cli.evaluating.evaluate", *score, "score=[mig,factor_vae]", "samples=200")
    assert "factor_vae" in json.loads((inside / "outputs/run/evaluation.json").read_text()), said.stderr
    program("vae_runner.cli", *resume[:1], *short, "engine.steps=20")
    assert "20" in (inside / "outputs/run/metrics.jsonl").read_text().splitlines()[-1]


def test_scores_that_want_a_grid_say_so_where_combinations_are_missing(
    experiment: Callable[..., Engine], tmp_path: Path
) -> None:
    from vae_runner.experiment.scoring.curve import parts_of
    from vae_runner.experiment.scoring.evaluation import LeftOut, evaluate
    from vae_runner.experiment.scoring.subject import Settings, Subject

    np.savez(tmp_path / "some.npz", images=PIXELS[:40], factors=FACTORS[:40], names=NAMES)
    chosen = ["dataset=arrays", "dataset.images=some.npz", f"dataset.root={tmp_path}", "dataset.factors=some.npz"]
    engine = experiment(*chosen, f"dataset.cache_dir={tmp_path}", "dataset.validation=8", "architecture=mlp")

    class Run:
        model, data, device = engine.objective.model, parts_of(engine), torch.device("cpu")
        config, folder, step, checkpoint = engine, tmp_path, 0, "last"

    subject = Subject(Run(), Settings(part="all", samples=50))
    found = list(evaluate(subject, ["mig", "factor_vae", "beta_vae", "irs"]))
    assert found[0][0] == "mig"
    reason = "needs images of all combinations of the factors, and the data set has 40 of 48"
    assert found[1:] == [LeftOut(name, reason) for name in ("factor_vae", "beta_vae", "irs")]
