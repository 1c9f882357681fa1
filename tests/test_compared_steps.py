"""explore.html with steps that are compared: what a run keeps for it, what the page has of it, and what is left out."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy_decoder import decode
from torch import nn
from toy import Bars

from vae_runner import architectures, latent_space, likelihood
from vae_runner.auto_encoder import VAE
from vae_runner.callbacks import KeptWeights, checkpoints
from vae_runner.callbacks.checkpoints import kept_steps
from vae_runner.callbacks.pages import past_of
from vae_runner.checkpoint import load_checkpoint, save_checkpoint
from vae_runner.cli import run as vae_train
from vae_runner.cli.redraw import run as vae_redraw
from vae_runner.drawing.explorer.explorer_page import explorer, known_of
from vae_runner.report.explorers import renew_explorer, write_explorers
from vae_runner.state import MODEL, STEP
from vae_runner.visualisation import Explore, Scene

GRAY = (1, 16, 16)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def vae() -> VAE:
    ends = architectures.MLPEncoder(GRAY, (8,)), architectures.MLPDecoder(6, GRAY, (8,))
    model = VAE(ends[0], [latent_space.NormalSpace(dims=6)], ends[1], likelihood.Bernoulli())
    return model.eval().requires_grad_(False)


def at(step: int, model: VAE) -> SimpleNamespace:
    """What is seen of an engine that is at that step, whose weights are those that a generator of that seed draws."""
    generator = torch.Generator().manual_seed(step)
    for value in model.state_dict().values():
        value.copy_(torch.randn(value.shape, generator=generator))
    return SimpleNamespace(step=step, objective=nn.ModuleDict({"model": model}))


def kept(folder: Path, steps: list[int]) -> None:
    keeper = KeptWeights(folder / "checkpoints/history", lambda engine: True)
    for step in steps:
        keeper.on_step_end(at(step, vae()), {})


def drawn(folder: Path, model: VAE, step: int, **settings: float) -> dict:
    """What the page knows of a run whose weights are the model's, with the history that is in its folder."""
    data, state = Bars(), {MODEL: model, STEP: step}
    scene = Scene(
        step, 10_000, folder, lambda phase: state, lambda steps: {},
        lambda phase, count: (data, torch.arange(40)), lambda: past_of(folder, step),
    )  # fmt: skip
    (page,) = Explore(starts=4, history=True, **settings).drawings(scene)
    (known,) = known_of(page.encode().files[".html"])
    return known


def test_each_step_is_decoded_and_encoded_by_its_own_weights_and_the_model_is_as_it_was(tmp_path: Path) -> None:
    kept(tmp_path, [100, 1000, 2000])
    model = at(1000, vae()).objective["model"]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    known = drawn(tmp_path, model, 1000)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [one["step"] for one in known["past"]["steps"]] == [100, 2000]  # and 1000 is the page's own
    assert known["past"]["line"] == ""
    code = torch.linspace(-1, 1, 6)
    for one in known["past"]["steps"]:
        other = at(one["step"], vae()).objective["model"]
        images, codes = other.likelihood.mean(other.raw(code[None]))[0], other.codes(Bars().gather(torch.arange(4)))[0]
        assert np.abs(decode(one["program"], code.numpy()) - images.numpy()).max() < 1 / 255
        assert torch.allclose(torch.tensor(one["codes"]["start"]), codes, rtol=1e-4)
        assert [latent["nats"] for latent in one["latents"]] != [latent["nats"] for latent in known["latents"]]


def test_a_page_has_as_many_steps_as_its_bytes_hold_and_a_line_says_how_many_do_not(tmp_path: Path, caplog) -> None:
    steps = [100, *range(1000, 10_001, 1000)]
    kept(tmp_path, steps)
    model = at(9000, vae()).objective["model"]
    alone = len(explorer([drawn(tmp_path / "nothing kept", model, 9000)]))
    whole = len(explorer([drawn(tmp_path, model, 9000)]))
    assert not [line for line in caplog.messages if "megabytes" in line]
    megabytes = (alone + 0.45 * (whole - alone)) / 1e6
    known = drawn(tmp_path, model, 9000, megabytes=megabytes)
    found = [one["step"] for one in known["past"]["steps"]]
    assert found == [100, 3000, 5000, 10_000]  # and its own, 9,000: nearest to a quarter, a half, ... of the way
    assert len(explorer([known])) < 1e6 * megabytes
    need = int(known["past"]["line"].rpartition("megabytes=")[2].split()[0])
    wanted = f"megabytes={megabytes:g} has room for 4 of 10 other steps; megabytes={need} has it for all"
    assert known["past"]["line"] == f"visualisation.explore.{wanted}"
    assert known["past"]["line"] in caplog.messages
    assert len(drawn(tmp_path, model, 9000, megabytes=need)["past"]["steps"]) == 10


def test_of_a_run_that_kept_no_history_its_checkpoints_are_compared_and_a_line_says_so(tmp_path: Path, caplog) -> None:
    model = at(9000, vae()).objective["model"]
    line = "history=true: of other steps' weights there are none; a run that is trained with it keeps more"
    assert drawn(tmp_path, model, 9000)["past"] == {"steps": [], "line": f"visualisation.explore.{line}"}
    for name, step in (("best", 9000), ("previous", 7000), ("last", 8000)):
        weights = at(step, vae()).objective.state_dict()
        save_checkpoint(tmp_path / f"checkpoints/{name}.pt", {"step": step, "objective": weights})
    known = drawn(tmp_path, model, 9000)
    assert [one["step"] for one in known["past"]["steps"]] == [7000, 8000]
    assert "there are previous.pt (step 7,000), last.pt (step 8,000); a run that" in known["past"]["line"]


def broken(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-10])


def of_another_model(file: Path) -> None:
    save_checkpoint(file, {"step": 1000, "objective": {"model.head.weight": torch.zeros(3, 3)}})


def not_finite(file: Path) -> None:
    content = load_checkpoint(file)
    content["objective"]["model.head.weight"] *= torch.nan
    save_checkpoint(file, content)


def no_weights(file: Path) -> None:
    save_checkpoint(file, {"objective": [1, 2]})


@pytest.mark.parametrize("spoil", [broken, of_another_model, not_finite, no_weights])
def test_weights_that_cannot_be_used_are_told_in_a_line_and_the_others_compared(tmp_path, caplog, spoil) -> None:
    kept(tmp_path, [100, 1000, 2000])
    spoil(tmp_path / "checkpoints/history/weights-0001000.pt")
    model = at(3000, vae()).objective["model"]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert [one["step"] for one in drawn(tmp_path, model, 3000)["past"]["steps"]] == [100, 2000]
    (line,) = [line for line in caplog.messages if "does not compare" in line]
    assert line.startswith("the page does not compare step 1,000: ")
    assert "weights-0001000.pt" in line
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_long_run_keeps_steps_apart_within_its_bytes_and_the_first_and_the_last(tmp_path: Path, monkeypatch) -> None:
    kept(tmp_path, [1])
    size = next(iter(kept_steps(tmp_path / "checkpoints/history").values())).stat().st_size
    monkeypatch.setattr(checkpoints, "MEMORY", 9.9 * size)
    kept(tmp_path, list(range(2, 61)))
    steps = list(kept_steps(tmp_path / "checkpoints/history"))
    assert len(steps) == 9
    assert (steps[0], steps[-1]) == (1, 60)
    assert max(np.diff(steps)) <= 60 / 8 * 2


def test_a_run_that_goes_on_forgets_the_steps_behind_its_own(tmp_path: Path) -> None:
    kept(tmp_path, [100, 1000, 2000])
    others = [tmp_path / "checkpoints/history" / name for name in ("mine.pt", "weights-9.pt")]
    for file in others:
        file.write_bytes(b"")
    KeptWeights(tmp_path / "checkpoints/history", lambda engine: True).on_start(at(1500, vae()))
    assert list(kept_steps(tmp_path / "checkpoints/history")) == [100, 1000]
    assert all(file.exists() for file in others)


RUN = {"name": "run", "about": [], "step": 5, "program": {}, "spaces": [], "latents": [], "start": {}, "map": {}}
STEP_OF = {"step": 3, "program": {}, "spaces": [], "latents": [], "draws": [], "codes": {}}


def test_a_page_made_anew_keeps_its_steps_and_runs_side_by_side_have_none(tmp_path: Path) -> None:
    known = {**RUN, "draws": [], "past": {"steps": [STEP_OF], "line": "a line"}}
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        (folder / "explore.html").write_bytes(explorer([known]))
        assert renew_explorer(folder)
        assert known_of((folder / "explore.html").read_bytes()) == [known]
    assert write_explorers(tmp_path, [(tmp_path / "a", "a"), (tmp_path / "b", "b")], "both")
    assert all("past" not in run for run in known_of((tmp_path / "explore.html").read_bytes()))


@pytest.mark.parametrize(
    ("past", "left"),
    [
        ({"steps": [STEP_OF, {"step": 4}, None], "line": 3}, {"steps": [STEP_OF], "line": ""}),
        ({"steps": "all"}, None),
        ([], None),
    ],
)
def test_what_are_no_steps_is_taken_out_of_a_page(tmp_path: Path, past, left) -> None:
    (tmp_path / "explore.html").write_bytes(explorer([{**RUN, "draws": [], "past": past}]))
    assert renew_explorer(tmp_path)
    (known,) = known_of((tmp_path / "explore.html").read_bytes())
    assert known.get("past") == left


SMALL = [f"--config-dir={Path(__file__).parent / 'conf'}", "dataset=bars", "engine.batch_size=16", "evaluation=none"]
SMALL += ["engine.precision=fp32", "engine.device=cpu", "engine.progress=false", "visualisation=[explore]"]
SMALL += ["engine.picture_every=2", "lr_schedule=constant", "visualisation.explore.history=true"]


@pytest.mark.slow
def test_a_run_keeps_steps_and_ends_with_a_page_of_them_resumed_or_not(inside: Path, capfd) -> None:
    assert vae_train([*SMALL, "engine.steps=8", "hydra.run.dir=whole"]) == 0
    assert vae_train([*SMALL, "engine.steps=5", "hydra.run.dir=run"]) == 0  # whose last one is no step of the other's
    assert vae_train(["resume=run", "engine.steps=8", "trust=true"]) == 0
    steps = kept_steps(Path("whole/checkpoints/history"))
    assert list(steps) == [2, 4, 6, 8]
    for step, file in steps.items():
        content, other = load_checkpoint(file), load_checkpoint(Path("run/checkpoints/history") / file.name)
        assert other["step"] == step
        assert all(torch.equal(value, other["objective"][name]) for name, value in content["objective"].items())
    (known,) = known_of(Path("run/explore.html").read_bytes())
    assert {known["step"], *(one["step"] for one in known["past"]["steps"])} == {2, 4, 5, 6, 8}
    capfd.readouterr()
    assert vae_redraw(["run", "visualisation=[explore]", "trust=true", "engine.device=cpu"]) == 0
    assert known_of(Path("run/explore.html").read_bytes()) == [known]
    assert "history" not in capfd.readouterr().err
