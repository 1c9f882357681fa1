"""What is written down of a run's versions, machine, code and data, and what a resumed one is told of them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import toy as toys
from test_cli import Run, toy, vae_train

__all__ = ["vae_train"]  # a fixture


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of four steps."""
    from vae_runner import cli

    folder = tmp_path_factory.mktemp("trained") / "mine"
    assert cli.run(toy("engine.steps=4", "engine.threads=1", "visualisation=[]", f"hydra.run.dir={folder}")) == 0
    return folder


@pytest.fixture
def mine(trained: Path, inside: Path) -> Path:
    """A copy of it."""
    shutil.copytree(trained, inside / "mine")
    return inside / "mine"


def environment(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "environment.json").read_text())


def was(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Let the run have been made elsewhere."""
    content = environment(folder)
    change(content)
    (folder / "environment.json").write_text(json.dumps(content))


def test_a_new_run_has_one_session(mine: Path) -> None:
    content = environment(mine)
    (session,) = content["sessions"]
    assert content["versions"]["torch"] == session["versions"]["torch"] == torch.__version__
    assert {"vae_runner", "torchvision", "numpy", "hydra", "omegaconf", "pillow", "python", "system"} <= set(
        content["versions"]
    )
    assert (session["from_step"], session["changes"], session["threads"], session["data"]) == (0, {}, 1, "blobs")
    assert session["command"] == content["commands"][0]
    assert set(content["git"] or {"commit": "", "dirty": ""}) == {"commit", "dirty"}


@pytest.mark.slow
def test_a_resumed_run_records_what_was_changed_and_from_where_it_went_on(vae_train: Run, mine: Path) -> None:
    first = environment(mine)["sessions"][0]
    arguments = ("resume=mine", "trust=true", "engine.steps=6", "engine.log_every=2", "engine.batch_size=16")
    assert vae_train(*arguments)[0] == 2  # that the batch is what it was makes the setting no harmless one
    assert environment(mine)["sessions"] == [first]
    code, output, errors = vae_train(*arguments[:-1], "engine.threads=1")
    assert (code, errors) == (0, "")
    assert "now and was" not in output
    before, session = environment(mine)["sessions"]
    assert before == first
    assert session["from_step"] == 4
    assert session["changes"] == {"engine.steps": 6, "engine.log_every": 2}  # the threads were one before
    assert session["command"] == "vae-train resume=mine trust=true engine.steps=6 engine.log_every=2 engine.threads=1"
    assert environment(mine)["commands"] == [first["command"], session["command"]]
    page = (mine / "report.html").read_text()
    assert "sessions.2.changes.engine.steps" in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda content: content["versions"].update(torch="1.0"), f"torch is {torch.__version__} now and was 1.0"),
        (lambda content: content.update(device="Vega"), "device is cpu now and was Vega"),
        (lambda content: content.update(threads=7), "threads is 1 now and was 7"),
        (lambda content: content.update(precision="fp8"), "precision is fp32 now and was fp8"),
    ],
)
def test_another_place_is_told_in_one_line(vae_train: Run, mine: Path, change: Callable[..., Any], line: str) -> None:
    was(mine, change)
    code, output, errors = vae_train("resume=mine", "trust=true", "engine.steps=5")
    assert (code, errors) == (0, "")
    told = [text for text in output.splitlines() if text.startswith("warning: ")]
    assert told == [f"warning: {line}: figures may differ in their last digits"]
    code, output, _ = vae_train("resume=mine", "trust=true", "engine.steps=6")  # it is the same as in the last session
    assert "warning: " not in output


@pytest.mark.slow
def test_a_run_with_more_threads_than_there_are_cores_goes_on_with_fewer(vae_train: Run, mine: Path) -> None:
    config = mine / "config.yaml"
    config.write_text(config.read_text().replace("threads: 1\n", "threads: 5000\n"))
    was(mine, lambda content: content.update(threads=5000))
    code, _, errors = vae_train("resume=mine", "trust=true", "engine.steps=5")
    assert (code, errors.count("\n")) == (2, 1)
    assert errors.startswith("vae-train: error: engine.threads=5000: this process may use ")
    code, output, errors = vae_train("resume=mine", "trust=true", "engine.steps=5", "engine.threads=1")
    assert (code, errors) == (0, "")
    assert "warning: threads is 1 now and was 5000: figures may differ in their last digits" in output.splitlines()


def test_other_images_are_refused_and_nothing_is_changed(
    vae_train: Run, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in mine.rglob("*") if path.is_file() and path.name != "train.log"}
    monkeypatch.setattr(toys.Blobs, "fingerprint", lambda self: "others")
    code, _, errors = vae_train("resume=mine", "trust=true", "engine.steps=5")
    assert code == 2
    assert errors == (
        "vae-train: error: the images are not those that the run was trained on; "
        "set dataset.root to where these are, or start a new run\n"
    )
    after = {path: path.read_bytes() for path in mine.rglob("*") if path.is_file() and path.name != "train.log"}
    assert after == before


@pytest.mark.parametrize("text", ["", "[1]", '{"commands": 3, "sessions": "x", "versions": [], "data": 4, "git": 5}'])
def test_what_is_not_known_is_no_reason_to_stop(vae_train: Run, mine: Path, text: str) -> None:
    """The file of an older run, or none that is whole."""
    (mine / "environment.json").write_text(text)
    code, output, errors = vae_train("resume=mine", "trust=true", "engine.steps=5")
    assert (code, errors) == (0, "")
    assert "warning: " not in output
    assert [session["from_step"] for session in environment(mine)["sessions"]] == [4]
