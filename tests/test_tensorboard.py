"""TensorBoard's files, read back by tensorboard itself; and what happens where there is none, or where it fails."""

import io
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vae_runner.callbacks import AfterPictures, NonFatal, TensorBoard
from vae_runner.callbacks import tensorboard as module
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.experiment.checking.check import check

Experiment = Callable[..., Engine]
SHORT = ("engine.log_every=4", "engine.validate_every=6", "engine.picture_every=6")
ON = ("engine.tensorboard=true", *SHORT)
# what importing and closing tensorboard says of itself
outside = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


def run(engine: Engine) -> None:
    """As `experiment.run` does it."""
    try:
        engine.run()
    finally:
        for callback in engine.callbacks:
            callback.close()


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def events(folder: Path) -> Any:
    """What tensorboard's own reader finds."""
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    found = accumulator.EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
    return found.Reload()


def test_a_picture_waits_for_the_file_that_says_its_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, int]] = []
    fake = SimpleNamespace(add_image=lambda tag, _, step, **__: shown.append((tag, step)), close=lambda: None)
    monkeypatch.setattr(module, "summary_writer", lambda: lambda *_, **__: fake)
    board = TensorBoard(SimpleNamespace(every=1, latest={}), tmp_path / "tensorboard", tmp_path)
    board.on_start(SimpleNamespace(step=0))
    at_step = SimpleNamespace(step=1, is_due=lambda _: True)

    def write(name: str, content: bytes, second: int) -> None:
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, (second, second))

    buffer = io.BytesIO()
    Image.new("L", (2, 2)).save(buffer, "PNG")
    write("samples.png", buffer.getvalue(), 1)
    write("samples.json", b'{"step": 100}', 2)
    board.on_step_end(at_step, {})
    write("samples.png", buffer.getvalue(), 3)  # the writer's thread is between the two files
    board.on_step_end(at_step, {})
    write("samples.json", b'{"step": 200}', 4)
    board.on_step_end(at_step, {})
    board.close()
    assert shown == [("pictures/samples", 100), ("pictures/samples", 200)]


@pytest.mark.slow
@outside
def test_every_recorded_number_and_picture_is_there(experiment: Experiment, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    run(experiment(*ON, folder=tmp_path))
    found = events(tmp_path)
    expected: dict[str, list[tuple[int, float]]] = {}
    for record in records(tmp_path):
        for name, value in record.items():
            if name not in ("step", "epoch", "split", "seconds") and not isinstance(value, list):
                expected.setdefault(f"{record['split']}/{name}", []).append((record["step"], value))
    assert set(found.Tags()["scalars"]) == set(expected)
    assert {"train/loss", "train/beta", "train/lr", "train/images_per_second", "validation/neg_elbo"} <= set(expected)
    for tag, points in expected.items():
        assert [(event.step, event.value) for event in found.Scalars(tag)] == pytest.approx(
            [pytest.approx(point, rel=1e-6) for point in points]
        )
    names = sorted(file.stem for file in (tmp_path / "grids").glob("*.png"))
    assert sorted(found.Tags()["images"]) == [f"pictures/{name}" for name in names]
    for name in names:
        shown = found.Images(f"pictures/{name}")
        assert [image.step for image in shown] == sorted({image.step for image in shown})
        assert shown[-1].step == (0 if name == "schedule" else 12)  # it is drawn before the first step
        newest = np.asarray(Image.open(tmp_path / "grids" / f"{name}.png").convert("RGB"))
        decoded = np.asarray(Image.open(io.BytesIO(shown[-1].encoded_image_string)).convert("RGB"))
        assert np.array_equal(newest, decoded)


@outside
def test_what_was_measured_at_the_end_is_there_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    log, scores = tmp_path / "metrics.jsonl", tmp_path / "evaluation.json"
    log.write_text('{"step": 4, "split": "test", "kl": 9.0}\n')  # of the process before
    board = TensorBoard(SimpleNamespace(every=1, latest={}), tmp_path / "tensorboard", tmp_path / "grids")
    board.on_start(SimpleNamespace(step=4))
    with log.open("a") as file:
        file.write('{"step": 8, "split": "train", "kl": 8.0}\n{"step": 8, "split": "test", "kl": 7.0, "seconds": 1}\n')
    scores.write_text('{"mig": {"value": 0.5, "step": 6}, "odd": {"value": "x"}}')
    board.close()
    board.on_start(SimpleNamespace(step=8))
    board.close()  # nothing new
    found = events(tmp_path)
    points = {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
    assert points == {"test/kl": [(8, 7.0)], "score/mig": [(6, 0.5)]}


@pytest.mark.slow
@outside
def test_a_resumed_run_goes_on_in_the_same_curves(experiment: Experiment, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    first = experiment(*ON, folder=tmp_path)
    run(first)
    state = first.state_dict()
    again = experiment(*ON, "engine.steps=16", folder=tmp_path)
    again.load_state_dict(state)
    run(again)
    assert [event.step for event in events(tmp_path).Scalars("train/loss")] == [4, 8, 12, 16]
    back = experiment(*ON, "engine.steps=16", folder=tmp_path)
    back.load_state_dict(state)  # what was written after step 12 is made anew
    run(back)
    assert [event.step for event in events(tmp_path).Scalars("train/loss")] == [4, 8, 12, 16]


@pytest.mark.slow
def test_it_is_off_unless_asked_for(experiment: Experiment, tmp_path: Path) -> None:
    run(experiment(*SHORT, folder=tmp_path))
    assert not (tmp_path / "tensorboard").exists()


def test_where_it_is_not_installed_one_line_says_so_before_training(
    compose: Callable[..., Any], experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    _, problems = check(compose("engine.tensorboard=true", "engine.device=cpu"))
    (line,) = problems
    assert line.startswith("engine.tensorboard=true needs tensorboard (")
    assert line.endswith("): pip install 'vae_runner[tensorboard]'")
    with pytest.raises(UserError, match="needs tensorboard"):
        TensorBoard(None, tmp_path, tmp_path)
    assert check(compose("engine.device=cpu"))[1] == []


def test_a_picture_that_comes_after_the_last_step_is_there_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    class Writer:
        def __init__(self, folder: str, purge_step: int | None) -> None: ...

        def add_image(self, tag: str, pixels: Any, step: int, dataformats: str) -> None:
            written.append((tag, step, pixels.shape, dataformats))

        def close(self) -> None:
            written.append("closed")

    monkeypatch.setattr(module, "summary_writer", lambda: Writer)
    board = TensorBoard(None, tmp_path / "tensorboard", tmp_path)
    Image.new("RGB", (4, 3)).save(tmp_path / "old.png")
    (tmp_path / "old.json").write_text('{"step": 3}')
    board.on_start(SimpleNamespace(step=0))
    Image.new("L", (6, 5)).save(tmp_path / "late.png")
    (tmp_path / "late.json").write_text('{"step": 12}')
    board.close()
    board.close()
    assert written == [("pictures/late", 12, (5, 6, 3), "HWC"), "closed"]


class Broken:
    """A SummaryWriter whose every write fails, as on a full disk."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.calls = 0

    def __getattr__(self, name: str) -> Callable[..., None]:
        def fail(*arguments: Any, **options: Any) -> None:
            self.calls += 1
            raise OSError(28, "No space left on device")

        return fail


class Refused:
    """A SummaryWriter that cannot even be made."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        raise PermissionError("read-only")


@pytest.mark.slow
@pytest.mark.parametrize("writer", [Broken, Refused])
def test_where_it_fails_one_warning_says_so_and_training_goes_on(
    experiment: Experiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    writer: type,
) -> None:
    for place in (
        "vae_runner.callbacks.tensorboard",
        "vae_runner.experiment.checking.check",
    ):  # it need not be installed
        monkeypatch.setattr(f"{place}.summary_writer", lambda: writer)
    broken, whole = experiment(*ON, folder=tmp_path / "broken"), experiment(*SHORT, folder=tmp_path / "whole")
    with caplog.at_level(logging.WARNING):
        run(broken)
    told = [record.getMessage() for record in caplog.records if record.name != "vae_runner.traceback"]
    reason = {"Broken": "OSError: [Errno 28] No space left on device", "Refused": "PermissionError: read-only"}
    assert told == [f"TensorBoard has failed, training goes on without it: {reason[writer.__name__]}"]
    run(whole)
    for name, weights in whole.objective.state_dict().items():
        assert torch.equal(weights, broken.objective.state_dict()[name]), name


def test_the_loggers_that_a_run_can_do_without_are_tolerated(experiment: Experiment, tmp_path: Path) -> None:
    engine = experiment(folder=tmp_path)
    callbacks = [callback.other if isinstance(callback, AfterPictures) else callback for callback in engine.callbacks]
    tolerated = {callback.name for callback in callbacks if isinstance(callback, NonFatal)}
    assert tolerated >= {"EpochTable", "Progress", "Report"}
    assert not tolerated & {"MetricsLog", "Pictures", "Checkpoints"}
