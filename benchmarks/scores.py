"""How long does each score take?

    python benchmarks/scores.py                      a few minutes on two cores: all but `dci`
    python benchmarks/scores.py dci explicitness     these
    python benchmarks/scores.py log_px --k 5000      images as vae-evaluate takes them, 1,000

The default model on dSprites with weights as they begin, of which factors still can be told, and 10,000 draws of 2,000
images that are held back, as `vae-evaluate` does. Seconds of the clock, and of the processors of this process, which
count where others share them (`--jobs 1` keeps trees in it); codes are made before. `--run RUN` takes a run that was
trained.
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import vae_runner
from vae_runner.auto_encoder import VAE
from vae_runner.bench.worker import config_of
from vae_runner.datasets.split import Parts
from vae_runner.experiment.assemble import build_data, build_model
from vae_runner.experiment.scoring.evaluation import LeftOut, evaluate, known_scores
from vae_runner.experiment.scoring.subject import Settings, Subject, Trained

__all__ = ["Untrained"]


@dataclass
class Untrained:
    """The default model with the weights that it begins with."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp()))
    config: dict[str, Any] = field(default_factory=lambda: config_of([]))
    step: int = 0
    checkpoint: str | None = None

    def __post_init__(self) -> None:
        torch.manual_seed(0)
        self.data: Parts = build_data(self.config["dataset"])
        self.model: VAE = build_model(self.config, self.data[0].data.image_shape).eval()
        self.device = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", nargs="*", metavar="SCORE")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--k", type=int, default=64)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--samples", type=int, default=10_000)
    given = parser.parse_args()
    run: Trained = vae_runner.load(given.run, device="cpu") if given.run else Untrained()
    subject = Subject(run, Settings(samples=given.samples, k=given.k, jobs=given.jobs))
    begun = time.perf_counter()
    for name in ("mig", "sap"):
        subject.codes(subject.rows(name), name)
    print(f"{len(subject):,} images, {torch.get_num_threads()} threads; codes {time.perf_counter() - begun:.1f} s")
    print(f"{'score':<20}{'seconds':>9}{'of processors':>15}")
    total, used_in_all = 0.0, 0.0
    for name in known_scores(given.scores or None):
        before = processor_seconds()
        (one,) = evaluate(subject, [name])
        used = processor_seconds() - before
        if isinstance(one, LeftOut):
            print(f"{name:<20}{one.reason}")
            continue
        total, used_in_all = total + one[1]["seconds"], used_in_all + used
        print(f"{name:<20}{one[1]['seconds']:>9.2f}{used:>15.2f}", flush=True)
    print(f"{'in all':<20}{total:>9.2f}{used_in_all:>15.2f}")


def processor_seconds() -> float:
    """Of this process and of those that it has waited for."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    main()
