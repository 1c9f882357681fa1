"""The presets of papers, and the command that runs them: nets, steps, and what is shown of what was found."""

import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import reproduce
import yaml
from omegaconf import DictConfig, OmegaConf
from reproduce import KEPT, ROWS, SCORES, TABLE, Finding, finding, known, settings_of, table

from vae_runner.experiment.assemble import build_model
from vae_runner.paths import config_dir

Compose = Callable[..., DictConfig]


def connected(*widths: int) -> int:
    return sum(a * b + b for a, b in pairwise(widths))


def convolved(sides: list[int], *channels: int) -> int:
    return sum(a * b * side * side + b for side, (a, b) in zip(sides, pairwise(channels), strict=True))


def mirrored(*channels: int) -> int:
    """Of transposed convolutions of 4x4."""
    return sum(a * b * 16 + b for a, b in pairwise(channels))


FLAT = 64 * 4 * 4
KIM = [4, 4, 4, 4]  # sides of the encoder's kernels
LOCATELLO = [4, 4, 2, 2]
HIGGINS = connected(4096, 1200, 1200, 20) + connected(10, 1200, 1200, 1200, 4096)  # 1: dSprites
# From the layers that each paper's table lists, for images of so many channels.
PARAMETERS = {
    "higgins2017_dsprites": HIGGINS,
    "chen2018_dsprites": HIGGINS,
    "kumar2018_dsprites_i": HIGGINS,
    "kumar2018_dsprites_ii": HIGGINS,
    "burgess2018_dsprites": 252_052 + 249_953,
    "kim2018_dsprites": convolved(KIM, 1, 32, 32, 64, 64) + connected(FLAT, 128, 20)
    + connected(10, 128, FLAT) + mirrored(64, 64, 32, 32, 1),
    "kim2018_shapes3d": convolved(KIM, 3, 32, 32, 64, 64) + connected(FLAT, 256, 12)
    + connected(6, 256, FLAT) + mirrored(64, 64, 32, 32, 3),
    "locatello2019_dsprites": convolved(LOCATELLO, 1, 32, 32, 64, 64) + connected(FLAT, 256, 20)
    + connected(10, 256, FLAT) + mirrored(64, 64, 32, 32, 1),
    "locatello2019_shapes3d": convolved(LOCATELLO, 3, 32, 32, 64, 64) + connected(FLAT, 256, 20)
    + connected(10, 256, FLAT) + mirrored(64, 64, 32, 32, 3),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.preset)
def test_the_net_of_a_preset_has_the_parameters_of_the_papers_layers(row: reproduce.Row, compose: Compose) -> None:
    config = OmegaConf.to_container(compose(f"experiment={row.preset}"), resolve=True)
    model = build_model(config, (3 if "shapes3d" in row.preset else 1, 64, 64))
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[row.preset]


def test_every_preset_of_a_paper_is_a_row_or_has_photos_or_other_latents() -> None:
    presets = {file.stem for file in (config_dir() / "experiment").glob("*20*.yaml")}
    others = {"higgins2017_celeba", "burgess2018_celeba", "dupont2018_dsprites", "squires2019_weibull"}
    assert presets == {row.preset for row in ROWS} | others


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("burgess2018_dsprites", ["engine.steps=10000", "engine.epochs=null", "divergence.capacity.steps=10000"]),
        ("locatello2019_shapes3d", ["engine.steps=30000", "engine.epochs=null"]),
    ],
)
def test_a_part_of_the_steps_is_that_part_of_the_schedules_too(preset: str, expected: list[str]) -> None:
    assert settings_of(preset, 0.1) == expected
    assert settings_of(preset, 1) == []


@pytest.mark.slow
def test_epochs_become_steps_of_the_training_images(monkeypatch: pytest.MonkeyPatch) -> None:
    class Parts:
        train = range(20_481)

    monkeypatch.setattr(reproduce, "build_data", lambda node: Parts)
    steps = 50 * 11 // 2  # 11 batches of 2,048, 50 times, and half of it
    assert settings_of("chen2018_dsprites", 0.5)[0] == f"engine.steps={steps}"


def test_a_row_that_was_not_run_is_empty_and_says_by_what_command_it_is() -> None:
    lines = table([]).splitlines()
    assert len(lines) == 2 + len(ROWS)
    for row, line in zip(ROWS, lines[2:], strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[:3] == [row.paper, f"`{row.preset}`", row.published]
        assert cells[3:] == [f"not run: `python benchmarks/reproduce.py {row.preset}` on a GPU", "", "", "", ""]


def test_a_row_has_the_mean_over_its_seeds_and_never_mixes_lengths() -> None:
    def found(seed: int, value: float, fraction: float = 1.0) -> Finding:
        scores = dict.fromkeys(("beta_vae", "factor_vae", "mig", "sap"), value) | {"distortion": 20.0, "rate": 25.0}
        return Finding("kim2018_dsprites", fraction, seed, round(300_000 * fraction), 2.0, "cpu", "render", scores)

    lines = table([found(0, 0.25), found(1, 0.75), found(0, 0.125, 0.1)]).splitlines()
    rows = [line for line in lines if "kim2018_dsprites" in line]
    assert "| .500, .500, .500, .500; 20.0, 25.0 | as published | 0, 1 | 300,000 | 2.00," in rows[0]
    assert "| .125, .125, .125, .125; 20.0, 25.0 |" in rows[1]
    assert "| 30,000 (10% of them) |" in rows[1]
    assert len(lines) == 3 + len(ROWS)


def test_a_finding_is_what_the_folder_of_a_scored_run_says(tmp_path: Path) -> None:
    value = {name: {"value": 0.5} for name in ("mig", "factor_vae", "beta_vae", "sap")}
    value["rate_distortion"] = {"value": 20.0, "others": {"rate": 25.0, "distortion": 20.0}}
    about = {"device": "cpu", "data": {"source": "rendered"}}
    for name, content in (("evaluation", value), ("status", {"seconds": 7200.0, "step": 40}), ("environment", about)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    found = finding(ROWS[1], 0.1, 3, tmp_path)
    assert (found.steps, found.hours, found.images, found.scores["rate"]) == (40, 2.0, "rendered", 25.0)
    assert "| .500, .500, .500, .500; 20.0, 25.0 | KL 25 | 3 | 40 (10% of them) |" in table([found])


def test_the_table_is_that_of_the_findings_that_are_kept() -> None:
    assert TABLE.read_text().endswith(f"\n\n{table(known())}\n")
    for one in known():
        assert set(SCORES) <= set(one.scores), KEPT
        assert all(math.isfinite(value) for value in one.scores.values())


def test_presets_name_what_is_uncertain() -> None:
    for row in ROWS:
        text = (config_dir() / "experiment" / f"{row.preset}.yaml").read_text()
        assert "Uncertain" in text or "does not say" in text or row.preset.startswith("burgess"), row.preset
        assert yaml.safe_load(text)["engine"]["batch_size"] >= 64
