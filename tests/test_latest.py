"""The links to the newest run and the newest sweep, and what else may stand in their place."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from test_cli import Run, toy, vae_train

import vae_runner
from vae_runner.cli import redraw, report

__all__ = ["vae_train"]  # a fixture

QUICK = ("engine.steps=2", "visualisation=[]", "engine.progress=false")
KINDS = {"outputs": [], "multirun": ["--multirun", "seed=0,1"]}
WHAT = {"outputs": "run", "multirun": "sweep"}


def start(vae_train: Run, kind: str) -> str:
    """Returns what is printed."""
    code, output, errors = vae_train(*toy(*QUICK, *KINDS[kind]))
    assert (code, errors) == (0, "")
    return output


def newest(kind: str) -> Path:
    return max(Path(kind).glob("2*/*"), key=lambda path: path.stat().st_mtime_ns)


def folder(path: Path) -> None:
    path.mkdir()
    (path / "config.yaml").write_text("{}")
    (path / "sweep.json").write_text("{}")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("make", "word"), [(folder, "a folder"), (Path.touch, "a file"), (os.mkfifo, "a file")])
def test_what_is_no_link_stays_and_is_told_of_at_the_start(
    vae_train: Run, inside: Path, kind: str, make: Callable[[Path], None], word: str
) -> None:
    Path(kind).mkdir()
    latest = Path(kind, "latest")
    make(latest)
    before = latest.lstat().st_ino
    output, what = start(vae_train, kind), WHAT[kind]
    told = f"warning: {kind}/latest is {word} of that name, not a link: it does not lead to this {what}; rename it"
    assert output.splitlines().count(told) == 1
    assert output.index(told) < output.index("-ELBO")
    assert latest.lstat().st_ino == before
    assert sorted(path.name for path in Path(kind).iterdir()) == sorted({newest(kind).parent.name, "latest"})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["{}/latest", "./{}/latest", "{here}/{}/latest", "{}/latest/", "{}/x/../latest"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_in_the_place_of_the_link_is_not_gone_on_with(
    vae_train: Run, inside: Path, kind: str, name: str
) -> None:
    Path(kind).mkdir()
    folder(Path(kind, "latest"))
    typed = name.format(kind, here=inside)
    code, output, errors = vae_train(f"resume={typed}")
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert errors.startswith(f"vae-train: error: resume={typed} is a folder of its own, not the link to the newest one")
    os.rename(f"{kind}/latest", f"{kind}/latest-copy")  # as it says
    _, _, errors = vae_train(f"resume={kind}/latest-copy")
    assert "the link" not in errors


@pytest.mark.slow
def test_a_copy_in_the_place_of_the_link_is_looked_at_with_a_word(
    vae_train: Run, inside: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    start(vae_train, "outputs")
    run = newest("outputs")
    Path("outputs/latest").unlink()
    run.rename("outputs/latest")
    line = "outputs/latest is a folder of its own, not the link to the newest one: a copy has put it there"
    for look in (
        lambda: vae_runner.load("outputs/latest", trust=True),
        lambda: report.run(["outputs/latest"]),
        lambda: redraw.run(["outputs/latest", "trust=true", "visualisation=[samples]"]),
    ):
        caplog.clear(), capfd.readouterr()
        look()
        assert caplog.messages.count(line) + capfd.readouterr().err.count(line) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_link_that_leads_nowhere_or_elsewhere_is_set_anew(vae_train: Run, inside: Path, kind: str) -> None:
    Path(kind).mkdir()
    Path("precious").mkdir()
    for target in ("nowhere", "../precious", "latest"):
        Path(kind, "latest").unlink(missing_ok=True)
        Path(kind, "latest").symlink_to(target)
        start(vae_train, kind)
        assert Path(kind, "latest").resolve() == newest(kind).resolve()
    assert not any(Path("precious").iterdir())


@pytest.mark.slow
def test_where_links_cannot_be_made_a_line_says_so(
    vae_train: Run, inside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    assert "outputs/latest does not lead to this run: Operation not permitted\n" in start(vae_train, "outputs")
    assert not os.path.lexists("outputs/latest")
    assert sorted(path.name for path in Path("outputs").iterdir()) == [newest("outputs").parent.name]
