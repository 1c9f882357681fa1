"""Loggers by name: what each one's own files have, read back; resuming; and what happens where a package is missing."""

import copy
import json
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_tensorboard import records, run

from vae_runner.callbacks.loggers.board import PACKAGES
from vae_runner.engine import Engine
from vae_runner.experiment.checking.check import check
from vae_runner.foreign import leaves
from vae_runner.runs.folder import RunFolder

Experiment = Callable[..., Engine]
SHORT = ("engine.log_every=4", "engine.validate_every=6", "engine.picture_every=6", "visualisation=[kl,samples]")
Found = dict[str, list[tuple[int, float]]]  # the values of each name by their steps
outside = pytest.mark.filterwarnings("ignore")  # what other makers' packages say of themselves


def expected(folder: Path) -> Found:
    """What the run's own log has."""
    found: Found = {}
    for record in records(folder):
        for name, value in record.items():
            if name not in ("step", "split") and isinstance(value, (int, float)):
                found.setdefault(f"{record['split']}/{name}", []).append((record["step"], value))
    return found


def wandb_rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of an offline run: records in the log format of LevelDB, blocks of 32 KiB, behind a head of 7 bytes."""
    from wandb.proto import wandb_internal_pb2 as messages

    data, place, joined = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        joined += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record, joined = messages.Record.FromString(joined), b""
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                yield {one.key or "/".join(one.nested_key): json.loads(one.value_json) for one in items}


def of_wandb(folder: Path) -> tuple[Found, dict[str, list[int]], set[str]]:
    """The figures, the steps of each picture, and the names of its runs."""
    found: Found = {}
    pictures: dict[str, list[int]] = {}
    files = sorted(folder.glob("wandb/offline-run-*/*.wandb"))
    for file in files:
        for row in wandb_rows(file):
            for name, value in row.items():
                if name.startswith("pictures/"):
                    key, _, about = name.rpartition("/")
                    if about == "path":
                        pictures.setdefault(key, []).append(row["step"])
                        assert (file.parent / "files" / value).is_file()
                elif "/" in name:
                    found.setdefault(name, []).append((row["step"], value))
    return found, pictures, {file.stem for file in files}


def of_mlflow(folder: Path) -> tuple[Found, dict[str, list[int]], set[str]]:
    """As `of_wandb`, by its own client."""
    from mlflow import MlflowClient

    noted = json.loads((folder / "loggers.json").read_text())["mlflow"]
    client = MlflowClient(tracking_uri=noted["uri"])
    (experiment,) = [one for one in client.search_experiments() if one.name == "vae_runner"]
    runs = client.search_runs([experiment.experiment_id])
    (shown,) = runs
    assert (shown.info.status, shown.data.params["seed"]) == ("FINISHED", "0")
    found = {
        name: [(point.step, point.value) for point in client.get_metric_history(shown.info.run_id, name)]
        for name in shown.data.metrics
    }
    pictures: dict[str, list[int]] = {}
    for file in client.list_artifacts(shown.info.run_id, "images"):
        if file.path.endswith(".png"):
            name, step = re.fullmatch(r"pictures.(\w+?)\Wstep\W(\d+)\W.*", Path(file.path).name).groups()
            pictures.setdefault(f"pictures/{name}", []).append(int(step))
    return found, {name: sorted(steps) for name, steps in pictures.items()}, {one.info.run_id for one in runs}


READERS = {"wandb": of_wandb, "mlflow": of_mlflow}


@pytest.mark.slow
@outside
@pytest.mark.parametrize("name", READERS)
def test_a_logger_has_each_figure_and_picture_once_and_a_resumed_run_goes_on_there(
    name: str, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(name, reason=f"pip install 'vae_runner[{name}]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # for the reader
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("seed: 0\nengine: {steps: 12}\n")
    on = (f"logger={name}", *SHORT)
    first = experiment(*on, folder=folder)
    run(first)
    state = copy.deepcopy(first.state_dict())
    again = experiment(*on, "engine.steps=16", folder=folder)
    again.load_state_dict(copy.deepcopy(state))
    run(again)
    back = experiment(*on, "engine.steps=16", folder=folder)
    back.load_state_dict(state)  # what was sent of steps 13 to 16 is made anew, and not sent again
    run(back)
    found, pictures, runs = READERS[name](folder)
    assert len(runs) == 1
    wanted = expected(folder)
    assert set(found) == set(wanted)
    for key, points in wanted.items():
        assert [step for step, _ in found[key]] == [step for step, _ in points], key
        if not key.endswith(("seconds", "images_per_second")):  # those of the time before
            assert [value for _, value in found[key]] == pytest.approx([value for _, value in points], rel=1e-6), key
    assert set(pictures) == {"pictures/kl", "pictures/samples"}
    assert all(steps[-1] == 16 and steps == sorted(set(steps)) for steps in pictures.values())


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_that_is_missing_is_told_in_one_line_with_its_extra(
    name: str, compose: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[name], None)
    (line,) = check(compose(f"logger=[{name}]", "engine.device=cpu"))[1]
    assert line.startswith(f"logger={name} needs {name} (")
    assert line.endswith(f"): pip install 'vae_runner[{name}]'")


def test_a_run_is_opened_without_the_packages_of_its_loggers(
    compose: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in PACKAGES.values():
        monkeypatch.setitem(sys.modules, package, None)
    saved = compose("logger=[tensorboard,wandb,mlflow]", "engine.tensorboard=true", "engine.device=cpu")
    assert check(saved, to_train=False)[1] == []
    assert len(check(saved)[1]) == 4


@pytest.mark.parametrize("value", ["comet", "[tensorboard,comet]", "3", "[[wandb]]"])
def test_a_logger_that_is_not_known_is_told_with_those_that_are(value: str, compose: Callable[..., Any]) -> None:
    line, *others = check(compose(f"logger={value}", "engine.device=cpu"))[1]
    assert line.startswith("logger: expected one of tensorboard, wandb, mlflow")
    assert "\n" not in line
    assert all(" needs tensorboard (" in other for other in others)  # where that is not installed


def test_a_run_that_begins_again_leaves_nothing_with_its_loggers(tmp_path: Path) -> None:
    for name in ("wandb/offline-run-1", "tensorboard", "mine"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("loggers.json", "train.log"):
        (tmp_path / name).touch()
    RunFolder(tmp_path).clear()
    assert {path.name for path in tmp_path.iterdir()} - {".lock"} == {"mine", "train.log"}


def test_no_logger_is_imported_unless_it_is_asked_for() -> None:
    code = (
        "import sys, vae_runner.experiment.run, vae_runner.experiment.assemble, vae_runner.cli\n"
        "assert not {'wandb', 'mlflow', 'tensorboard'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_settings_are_named_by_their_dotted_names() -> None:
    assert dict(leaves({"a": {"b": 1, "c": {}}, "d": [1, 2]})) == {"a.b": 1, "a.c": {}, "d": [1, 2]}
