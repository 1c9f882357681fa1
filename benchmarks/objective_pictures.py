"""What does each objective do to the traversal? One picture of all of them, for docs/objectives.md.

    python benchmarks/objective_pictures.py                               trains all, two minutes each on a quiet core
    python benchmarks/objective_pictures.py --only kl beta_tc factor      these alone
    python benchmarks/objective_pictures.py --steps 200 --out /tmp/few --picture /tmp/few.png -- dataset.limit=5000

Each run is `vae-train divergence=NAME distribution=normal` with the default net, data and seed, one thread, in `--out`:
its latents stay in the frame that the objective gives them, which the default's `normal_aligned` would turn. A run that
is done is not made again, and one that was stopped goes on. Of its last weights the picture has a block of rows: the
latents of the largest KL, from the same image. More settings of vae-train are given behind `--`.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image

import vae_runner
from vae_runner import cli
from vae_runner.callbacks.pictures import picture_state
from vae_runner.drawing.grid import draw
from vae_runner.experiment.saved_run.saved import SavedRun
from vae_runner.visualisation import Grid
from vae_runner.visualisation.walking.traversal import Traversal

__all__ = ["OBJECTIVES", "block", "together", "trained"]

COLOURS = 64  # of the picture, so that it stays small
PICTURE = Path(__file__).parent.parent / "docs/objectives.png"
OBJECTIVES: Mapping[str, str] = {
    "kl": "plain",
    "beta": "beta = 4",
    "beta_tc": "beta = 6",
    "factor": "gamma = 35",
    "dip_ii": "lambda = 10",
    "info": "lambda = 1000",
    "control": "set point 18 nats",
    "geco": "kappa = 30 nats",
    "free_bits": "0.25 nats each",
}


def trained(name: str, steps: int, out: Path, extra: Sequence[str]) -> Path:
    """Train with an objective, or go on, where that is not done; returns the run's folder."""
    run = out / f"{name}-{steps}"
    file = run / "status.json"
    state = json.loads(file.read_text()).get("state") if file.is_file() else None
    if state is None:
        fixed = [f"divergence={name}", "distribution=normal", f"engine.steps={steps}", "engine.threads=1"]
        arguments = [*fixed, "visualisation=[]", "evaluation=none", *extra, f"hydra.run.dir={run}"]
    else:
        arguments = [f"resume={run}", *(one for one in extra if one == "trust=true")]
    if state != "done":
        print("$", shlex.join(["vae-train", *arguments]), flush=True)
        if code := cli.run(arguments):
            raise SystemExit(code)
    return run


def block(run: SavedRun, name: str, rows: int, columns: int) -> Grid:
    """Returns the traversal of the run's latents of the largest KL, under a line about the objective."""
    walker = Traversal(lin_steps=columns, most=rows)
    walker.prepare(run.model, run.about_data)
    with torch.no_grad():
        grid = walker.grid(picture_state(run.model, run.data.validation, run.step, run.device))
    found = run.metrics["validation"]
    figures = ", ".join(f"{word} {found[key][-1]:.1f}" for word, key in (("reconstruction", "recon"), ("KL", "kl")))
    grid.headings = {0: f"{name}, {OBJECTIVES.get(name, '')}: {figures} nats at step {run.step:,}"}
    return grid


def together(grids: Sequence[Grid], caption: str) -> Grid:
    """Returns the grids, of equal columns, below each other."""
    first, rows, headings, dimmed = grids[0], [], {}, []
    for grid in grids:
        headings |= {len(rows) + row: text for row, text in grid.headings.items()}
        dimmed += [len(rows) + row for row in grid.dimmed]
        rows += list(grid.row_labels)
    images = torch.cat([grid.images for grid in grids])
    return Grid(
        images, first.row_size, caption=caption, row_labels=rows, column_labels=first.column_labels,
        headings=headings, lead=first.lead, dimmed=dimmed, scale=1,
    )  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Train what is not trained yet, and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=OBJECTIVES, default=list(OBJECTIVES), metavar="NAME")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--rows", type=int, default=5, help="latents of each")
    parser.add_argument("--columns", type=int, default=9, help="images from -2 to 2")
    parser.add_argument("--out", type=Path, default=Path("outputs/objectives"), help="where the runs are")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    place = arguments.index("--") if "--" in arguments else len(arguments)
    given, extra = parser.parse_args(arguments[:place]), arguments[place + 1 :]
    grids = []
    for name in given.only:
        run = vae_runner.load(trained(name, given.steps, given.out, extra), "last", trust="trust=true" in extra)
        grids.append(block(run, name, given.rows, given.columns))
    caption = "each row moves one latent from -2 to 2, all others stay; behind its name the KL that it carries and "
    caption += "the factor that it follows, 1 being closest"
    picture = draw(together(grids, caption)).quantize(COLOURS, dither=Image.Dither.NONE)
    given.picture.parent.mkdir(parents=True, exist_ok=True)
    picture.save(given.picture, optimize=True)
    print(f"{given.picture}, {given.picture.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
