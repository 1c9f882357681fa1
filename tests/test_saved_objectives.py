"""Runs of objectives and priors that have parts of their own, as programs: they end, load, draw and go on."""

from pathlib import Path

import pytest
import torch
from samples import sampled

from vae_runner import load
from vae_runner.cli import run

RUNS = {
    "mixture": ["distribution=normal", "distribution/prior=mixture", "divergence=beta", "divergence.samples=1"],
    "vamp": [
        "distribution=normal",
        "distribution/prior=vamp",
        "distribution.prior.components=4",
        "divergence=iwae",
        "divergence.samples=2",
    ],
    "joint": ["distribution=joint", "divergence=capacity_per_space"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(RUNS, "vamp", "joint"))
def test_a_saved_run_draws_from_its_prior_and_goes_on(name: str, tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "run"
    data = ["dataset=dsprites", "dataset.source=render", "dataset.validation=32", f"dataset.cache_dir={cache}"]
    data += ["dataset.test=32", "dataset.limit=400"]
    engine = ["engine.steps=2", "engine.batch_size=16", "engine.device=cpu", "engine.threads=1", "architecture=conv"]
    pictures = "visualisation=[samples,traversal,kl,scatter,schedule]"
    assert run([*RUNS[name], *data, *engine, pictures, f"hydra.run.dir={folder}"]) == 0
    assert {path.name for path in folder.glob("grids/*.png")} >= {"samples.png", "traversal.png", "kl.png"}
    saved = load(folder, checkpoint="last", device="cpu")
    assert saved.sample(3).equal(saved.sample(3))
    assert not saved.sample(3).equal(saved.sample(3, seed=1))
    assert torch.isfinite(saved.traverse(lin_steps=4).images).all()
    assert run([f"resume={folder}", "engine.steps=4"]) == 0
    assert load(folder, checkpoint="last", device="cpu").step == 4
