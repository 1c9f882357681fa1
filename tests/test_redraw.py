"""`vae-redraw`: pictures of a saved run, drawn again."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from vae_runner.cli import redraw
from vae_runner.cli import run as vae_train

TESTS = Path(__file__).parent
SMALL = [
    f"--config-dir={TESTS / 'conf'}",
    "dataset=toy",
    "divergence=capacity",
    "engine.steps=8",
    "engine.batch_size=16",
]
SMALL += ["engine.precision=fp32", "engine.device=cpu", "engine.progress=false"]
OWN = ["trust=true", "engine.device=cpu"]  # the data set is the tests' own

Run = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "first"
    chosen = ["visualisation=[traversal,samples,schedule,curves,animation]", "visualisation.traversal.lin_steps=5"]
    assert vae_train([*SMALL, *chosen, f"hydra.run.dir={path}"]) == 0
    return path


@pytest.fixture
def vae_redraw(folder: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    def call(*arguments: str, to: Path | None = tmp_path) -> tuple[int, list[str], list[str]]:
        capfd.readouterr()
        code = redraw.run([str(folder), *arguments, *(["--out", str(to)] if to else [])])
        output, errors = capfd.readouterr()
        return code, output.splitlines(), errors.splitlines()

    return call


@pytest.mark.slow
def test_a_setting_that_is_younger_than_the_run_has_its_default_and_can_be_set(
    vae_redraw: Run, folder: Path, tmp_path: Path
) -> None:
    older, config = tmp_path / "older", yaml.safe_load((folder / "config.yaml").read_text())
    shutil.copytree(folder, older)
    del config["visualisation"]["samples"]["scale"]
    (older / "config.yaml").write_text(yaml.safe_dump(config))
    for wish in ("visualisation=[samples]", "checkpoint=best"):
        arguments = [str(older), wish, "visualisation.samples.scale=3", *OWN, "--out", str(tmp_path / wish)]
        assert redraw.run(arguments) == 0
        assert (tmp_path / wish / "samples.png").exists()


@pytest.mark.slow
def test_without_wishes_all_pictures_are_those_of_the_run(vae_redraw: Run, folder: Path) -> None:
    code, output, errors = vae_redraw("checkpoint=last", *OWN, to=None)
    assert (code, errors) == (0, [])
    out = folder / "redrawn"
    names = ["traversal.png", "samples.png", "schedule.png", "schedule.svg", "curves.png", "curves.svg"]
    names += ["animations/traversal.gif", "animations/training.gif"]
    assert output == [str(out / name) for name in names]
    for name in names:
        source = folder / name if "/" in name else folder / "grids" / name
        assert (out / name).read_bytes() == source.read_bytes(), name


def test_ranges_images_and_sizes_are_set_anew(vae_redraw: Run, tmp_path: Path) -> None:
    wishes = ["lin_start=-3", "lin_end=3", "images=2", "scale=1"]
    code, output, errors = vae_redraw(
        "visualisation=[traversal]", *(f"visualisation.traversal.{w}" for w in wishes), *OWN
    )
    assert (code, errors, output) == (0, [], [str(tmp_path / "traversal.png")])
    details = json.loads((tmp_path / "traversal.json").read_text())
    assert details["rows"][0]["values"] == pytest.approx([-3, -1.5, 0, 1.5, 3], abs=1e-5)  # 5 steps: the run's own
    assert (details["layout"]["scale"], details["layout"]["tile_width"], details["step"]) == (1, 16, 8)
    assert len(details["layout"]["tops"]) == 2 * len(details["rows"])


def test_a_picture_that_the_run_had_not_is_drawn_with_its_defaults(vae_redraw: Run, tmp_path: Path) -> None:
    assert vae_redraw("visualisation=[kl,scatter]", *OWN)[0] == 0
    assert (tmp_path / "scatter.svg").exists()
    assert not (tmp_path / "traversal.png").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["visualisation=[travesal]"], "no visualisation called 'travesal'. Did you mean visualisation=traversal?"),
        (["visualisation.traversal.lin_ende=3"],
         "no setting called 'visualisation.traversal.lin_ende'. Did you mean visualisation.traversal.lin_end?"),
        (["visualisation.traversal.lin_steps=0"], "visualisation.traversal.lin_steps must be positive, got 0"),
        (["visualisation.traversal.dims_to_walk=[77]"], "visualisation.traversal.dims_to_walk: 77 is not one of"),
        (["visualisation.traversal.lin_end=1,2"], "visualisation.traversal.lin_end=1,2 holds several values"),
        (["visualisation.traversal.lin_steps=900000"],
         "visualisation.traversal.lin_steps=900000: 10 x 900,002 images make a picture of 16,200,036 x 180 pixels, "
         "more than 150 million; take fewer images"),
        (["visualisation.samples.scale=900"], "visualisation.samples.scale=900: 4 x 8 images make a picture of"),
        (["visualisation.samples.num_images=800000"], "visualisation.samples.num_images=800000: 100,000 x 8 images"),
        (["visualisation=[path]", "visualisation.path.num_steps=400000"],
         "visualisation.path.num_steps=400000: "),
        (["visualisation=[codes]", "visualisation.codes.num_steps=900000"],
         "visualisation.codes.num_steps=900000: 1 x 900,000 images"),
        (["visualisation=[data]", "visualisation.data.scale=900"], "visualisation.data.scale=900: "),
        (["visualisation=[reconstruction]", "visualisation.reconstruction.scale=900"],
         "visualisation.reconstruction.scale=900: 8 x 8 images"),
        (["visualisation=[animation]", "visualisation.animation.steps=9000"],
         "visualisation.animation.steps=9000: 2 x 5 images in each of 17,998 frames make pictures of"),
        (["visualisation=[animation]", "visualisation.animation.scale=99"],
         "visualisation.animation.scale=99: 2 x 5 images in each of 28 frames make pictures of"),
        (["visualisation=[]"], "no pictures to draw"),
        (["engine.steps=3"], "engine.steps cannot be set: only pictures are made anew"),
        (["checkpoint=first"], "checkpoint: expected one of best, last, previous, got 'first'"),
        (["engine.device=tpu"], "engine.device: expected one of auto, cpu, cuda, got 'tpu'"),
        (["elsewhere"], "give the folder of one run"),
        (["dpi=0"], "dpi must be a number from 30 to 2,400, got '0'"),
        (["width=84"], "width: expected a length such as 84mm (mm, cm, in, pt, px), got '84'"),
        (["format=gif"], "format: expected one of png, pdf, svg, got 'gif'"),
        (["visualisation=[traversal]", "width=20mm"],
         "visualisation.traversal.width=20mm: too narrow for 7 images beside each other and their labels, take "),
        (["--scale"], "no option called '--scale'"),
        (["--multirun"], "no option called '--multirun'"),
    ],
)  # fmt: skip
def test_mistakes_get_one_line_and_draw_nothing(
    vae_redraw: Run, tmp_path: Path, arguments: list[str], line: str
) -> None:
    code, output, errors = vae_redraw(*arguments, "trust=true")
    assert (code, output, len(errors)) == (2, [], 1)
    assert errors[0].startswith(f"vae-redraw: error: {line}")
    assert not list(tmp_path.iterdir())


def test_what_stands_still_is_laid_out_for_print_and_a_line_says_what_moves(vae_redraw: Run, tmp_path: Path) -> None:
    code, output, errors = vae_redraw("format=pdf", "width=3.3in", "checkpoint=last", *OWN)
    assert (code, output) == (
        0,
        [str(tmp_path / f"{name}.pdf") for name in ("traversal", "samples", "schedule", "curves")],
    )
    assert errors == [
        f"warning: visualisation.animation: {name} moves, and is not printed" for name in ("traversal", "training")
    ]
    for file in output:
        assert b"/MediaBox [0 0 237.600 " in Path(file).read_bytes()  # 3.3 of 72 points
    details = json.loads((tmp_path / "traversal.json").read_text())
    assert details["paper"] == {"format": "pdf", "width_mm": 83.82, "text_pt": 8.0}
    assert details["rows"]


def test_a_page_that_does_not_fit_the_model_is_told_and_the_other_pictures_are_drawn(
    vae_redraw: Run, tmp_path: Path
) -> None:
    small, told = (
        "visualisation.explore.megabytes=0.001",
        "visualisation.explore.megabytes=0.001: the decoder alone takes ",
    )
    code, output, errors = vae_redraw("visualisation=[explore,samples]", small, "checkpoint=last", *OWN)
    assert (code, output, len(errors)) == (0, [str(tmp_path / "samples.png")], 1)
    assert errors[0].startswith(f"warning: no explore.html: {told}")
    code, output, errors = vae_redraw("visualisation=[explore,samples]", "format=pdf", "checkpoint=last", *OWN)
    assert (code, output) == (0, [str(tmp_path / "samples.pdf")])
    assert errors == ["warning: visualisation.explore: it is a page of its own, and is not printed"]
    code, output, errors = vae_redraw("visualisation=[explore]", small, "checkpoint=last", *OWN)
    assert (code, output) == (2, [])
    assert errors[0].startswith(f"vae-redraw: error: {told}")


def test_a_run_of_another_machine_is_drawn_on_this_one(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    text = (copy / "config.yaml").read_text()
    assert "threads: null\n" in text
    (copy / "config.yaml").write_text(
        text.replace("threads: null\n", "threads: 5000\n").replace("device: cpu\n", "device: cuda\n")
    )
    arguments = [str(copy), *OWN, "visualisation=[samples]", "--out", str(tmp_path / "out")]
    assert redraw.run(arguments) == 0
    assert (tmp_path / "out" / "samples.png").read_bytes() == (folder / "grids" / "samples.png").read_bytes()


def test_parts_from_elsewhere_are_built_only_with_trust(vae_redraw: Run) -> None:
    code, _, errors = vae_redraw()
    assert code == 2
    assert "names the target 'toy.Blobs', outside vae_runner and torch; trust=true builds it" in errors[0]


def test_a_target_on_the_command_line_is_not_trusted_either(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("visualisation: {a: {_target_: vae_runner.visualisation.KLBars}}\n")
    assert redraw.run([str(tmp_path), "visualisation.a._target_=os.system"]) == 2
    assert "names the target 'os.system'" in capfd.readouterr().err


def test_where_no_run_is_it_is_said(inside: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert redraw.run([str(inside)]) == 2
    assert redraw.run([]) == 2
    errors = capfd.readouterr().err.splitlines()
    assert errors[0] == f"vae-redraw: error: {inside}: no run there (no config.yaml); give the folder of a run"
    assert errors[1] == "vae-redraw: error: give the folder of one run: vae-redraw outputs/latest"


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_comes_without_torch(argument: str) -> None:
    code = (
        f"import sys\nfrom vae_runner.cli.redraw import run\nassert run([{argument!r}]) == 0\n"
        "assert not {'torch', 'numpy', 'hydra', 'omegaconf'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
