"""`benchmarks/objective_pictures.py`: one picture of what several objectives do to the traversal."""

from pathlib import Path

import pytest
import torch
from objective_pictures import OBJECTIVES, main, together
from PIL import Image

import vae_runner
from vae_runner.paths import config_dir
from vae_runner.visualisation import Grid


def grid(first: float, rows: int) -> Grid:
    images = first + torch.arange(3 * rows)[:, None, None, None].expand(-1, 1, 8, 8) / 100
    labels = [(f"z{row}", f"{first}") for row in range(rows)]
    return Grid(images, 3, row_labels=labels, column_labels=["input", "-2", "2"], headings={0: f"of {first}"}, lead=1,
                dimmed=[rows - 1])  # fmt: skip


def test_blocks_stand_below_each_other_each_under_its_heading() -> None:
    both = together([grid(0.25, 2), grid(0.5, 3)], "a caption")
    assert (both.rows, both.columns, both.lead, both.caption) == (5, 3, 1, "a caption")
    assert both.headings == {0: "of 0.25", 2: "of 0.5"}
    assert both.dimmed == [1, 4]
    assert [label[0] for label in both.row_labels] == ["z0", "z1", "z0", "z1", "z2"]
    assert torch.equal(both.images[6:], grid(0.5, 3).images)


def test_every_objective_of_the_picture_is_an_option() -> None:
    assert {f"{name}.yaml" for name in OBJECTIVES} <= {file.name for file in (config_dir() / "divergence").iterdir()}


@pytest.mark.slow
def test_the_picture_is_made_of_runs_that_are_trained_once(inside: Path, capfd: pytest.CaptureFixture[str]) -> None:
    own = [f"--config-dir={Path(__file__).parent / 'conf'}", "dataset=bars", "engine.batch_size=16", "trust=true"]
    own += ["engine.precision=fp32", "engine.device=cpu", "engine.progress=false", "architecture=mlp"]
    arguments = ["--only", "kl", "beta_tc", "--steps", "4", "--rows", "3", "--columns", "5", "--out", "runs"]
    arguments += ["--picture", "docs/few.png", "--", *own]
    main(arguments)
    first = Path("docs/few.png").read_bytes()
    assert capfd.readouterr().out.count("$ vae-train divergence=") == 2
    main(arguments)
    assert "$ vae-train" not in capfd.readouterr().out
    assert Path("docs/few.png").read_bytes() == first
    with Image.open("docs/few.png") as picture:
        assert picture.height > 6 * 16
    run = vae_runner.load("runs/beta_tc-4", "last", device="cpu", trust=True)
    assert run.config["divergence"]["_target_"] == "vae_runner.divergence.TotalCorrelation"
    assert [space.family for space in run.model.spaces] == ["normal"]
