"""Sealed checkpoints of odd content: at every door one line."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from odd_checkpoints import BUILT, seal, shared, write_changed
from photos import write_photos
from samples import every, sampled

import vae_runner
from vae_runner import cli
from vae_runner.checkpoint import load_checkpoint, save_checkpoint
from vae_runner.cli import redraw
from vae_runner.errors import UserError

SAMPLE = 10  # checkpoints in one test
SMALL = ["architecture=mlp", "dataset.image_size=16", "dataset.validation=4", "engine.steps=4", "engine.batch_size=4"]
SMALL += [
    "engine.device=cpu",
    "engine.precision=fp32",
    "engine.progress=false",
    "engine.log_every=3",
    "engine.threads=1",
]
SMALL += ["distribution.dims=3", "visualisation=[samples]"]
LINE = re.compile(r"vae-(train|redraw): error: \S.*")
BARE = re.compile(r"\b[A-Z]\w*(Error|Exception|Warning)\b|Traceback|HYDRA_FULL_ERROR")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("trained")
    photos = write_photos(base / "photos", 16)
    arguments = ["dataset=folder", f"dataset.root={photos}", f"dataset.cache_dir={base}", *SMALL]
    assert cli.run([*arguments, f"hydra.run.dir={base / 'run'}"]) == 0
    return base / "run"


@pytest.fixture
def run(trained: Path, inside: Path) -> Path:
    return shutil.copytree(trained, inside / "run")


def put(run: Path, archive: bytes) -> None:
    for name in ("best", "last", "previous"):
        seal(run / f"checkpoints/{name}.pt", archive)


def faults(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """What is not as it should be at the doors: the exit code, one line (several for several settings)."""
    found = []
    doors = (
        (cli.run, ["resume=run", "engine.steps=6"]),
        (redraw.run, ["run", "visualisation=[samples]", "--out", "out"]),
    )
    for door, arguments in doors:
        capfd.readouterr()
        code = door(arguments)
        output, errors = capfd.readouterr()
        is_told = code == 0 or (code == 2 and [bool(LINE.fullmatch(text)) for text in errors.splitlines()] == [True])
        if not is_told or BARE.search(output + errors):
            found.append(f"{arguments[0]}: {code}: {errors[-600:]}")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.exhaustive) for part in range(1, 50))])
def test_a_sealed_checkpoint_of_odd_content_is_told_in_one_line(
    run: Path, part: int, capfd: pytest.CaptureFixture[str]
) -> None:
    honest = load_checkpoint(run / "checkpoints/last.pt")
    kept = shutil.copytree(run, run.parent / "kept")
    told = []
    for seed in range(SAMPLE * part, SAMPLE * (part + 1)):
        shutil.rmtree(run)
        shutil.copytree(kept, run)
        what = write_changed(run / "checkpoints/last.pt", honest, seed)
        for name in ("best", "previous"):
            shutil.copyfile(run / "checkpoints/last.pt", run / f"checkpoints/{name}.pt")
        told += [(seed, what, fault) for fault in faults(capfd)]
    assert told == []


@pytest.mark.slow
@pytest.mark.parametrize("name", every(3, BUILT))
def test_an_archive_that_no_run_writes_is_refused_before_it_takes_memory(
    run: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    put(run, BUILT[name](load_checkpoint(run / "checkpoints/last.pt")))
    assert faults(capfd) == []
    with pytest.raises(UserError, match=r"^run/checkpoints/best\.pt ") as caught:
        vae_runner.load("run")
    assert "\n" not in str(caught.value)


ODD: dict[str, tuple[str, Any, str]] = {
    "nan": ("step", float("nan"), "has step=nan, expected a whole number from 0 up"),
    "negative": ("step", -1, "has step=-1, expected a whole number"),
    "half": ("step", 2.5, "has step=2.5, expected a whole number"),
    "true": ("step", True, "has step=True, expected a whole number"),
    "huge": ("step", 2**60, "has step=1152921504606846976, expected"),
    "text": ("step", "4", "has step='4', expected a whole number"),
    "shape": ("image_shape", [1, 16], "has image_shape=a list, expected (channels, height, width)"),
    "no weights": ("objective", None, "has objective=None, expected weights by name"),
    "a list of callbacks": ("callbacks", [1], "has callbacks=a list, expected states by name"),
    "a config of tensors": ("config", {"a": torch.zeros(2)}, "has config=a dict, expected the run's config"),
    "shared lists": ("validated", {"kl": shared(60)}, "has more than 1,000,000 parts"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(ODD, "nan", "huge", "no weights", "a config of tensors", "shared lists"))
def test_each_part_of_a_checkpoint_is_looked_at_when_it_is_loaded(
    run: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    key, value, line = ODD[name]
    content = load_checkpoint(run / "checkpoints/last.pt")
    for file in ("best", "last", "previous"):
        save_checkpoint(run / f"checkpoints/{file}.pt", {**content, key: value})
    assert faults(capfd) == []
    with pytest.raises(UserError, match=re.escape(f"best.pt {line}")):
        vae_runner.load("run")
    assert cli.run(["resume=run", "engine.steps=6"]) == 2
    assert f"last.pt {line}" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_not_drawn(run: Path, value: float, capfd: pytest.CaptureFixture[str]) -> None:
    content = load_checkpoint(run / "checkpoints/best.pt")
    name = next(iter(content["objective"]))
    content["objective"][name].flatten()[0] = value
    save_checkpoint(run / "checkpoints/best.pt", content)
    capfd.readouterr()
    assert redraw.run(["run"]) == 2
    assert f"best.pt has values in {name} that are not finite" in capfd.readouterr().err
    assert not (run / "redrawn").exists()


@pytest.mark.slow
def test_a_checkpoint_of_another_size_is_told_alike_at_every_door(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("dims: 3\n", "dims: 5\n"))
    content = load_checkpoint(run / "checkpoints/last.pt")
    content["config"]["distribution"]["dims"] = 5
    for name in ("last", "best"):
        save_checkpoint(run / f"checkpoints/{name}.pt", content)
    capfd.readouterr()
    lines = []
    for door, arguments in ((cli.run, ["resume=run", "engine.steps=6"]), (redraw.run, ["run"])):
        assert door(arguments) == 2
        (line,) = capfd.readouterr().err.splitlines()
        lines.append(line.partition("the checkpoint is ")[2])
    assert lines[0] == lines[1]
    assert lines[0].startswith("of another model than the config: size mismatch for ")


@pytest.mark.slow
def test_a_callback_that_finds_nothing_of_its_own_is_told_in_one_line(
    run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = load_checkpoint(run / "checkpoints/last.pt")
    kept = {name: state for name, state in content["callbacks"].items() if "sums" not in state}
    assert len(kept) < len(content["callbacks"])
    for file in ("last", "previous"):
        save_checkpoint(run / f"checkpoints/{file}.pt", {**content, "callbacks": kept})
    capfd.readouterr()
    assert cli.run(["resume=run", "engine.steps=6"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"vae-train: error: .*the checkpoint has nothing of 'sums' in callbacks\.\w+", line)


@pytest.mark.slow
@pytest.mark.parametrize(("node", "change"), [("engine", "engine.steps=9"), ("dataset", "dataset.root=elsewhere")])
def test_a_saved_config_whose_settings_are_none_is_told_in_one_line(
    run: Path, node: str, change: str, capfd: pytest.CaptureFixture[str]
) -> None:
    (run / "config.yaml").write_text(f"{node}: 3\nseed: 1\n")
    capfd.readouterr()
    for more in ([], [change], ["trust=true"]):
        assert cli.run(["resume=run", *more]) == 2
        assert re.match(r"vae-train: error: \S.*\n", capfd.readouterr().err)
    assert cli.run(["resume=run", change]) == 2
    assert capfd.readouterr().err == f"vae-train: error: run/config.yaml: {node}: expected settings, got 3\n"
