"""Does training with the fast step follow the curves of plain PyTorch? Reconstruction and KL, two seeds of each.

    python benchmarks/parity.py                     about 15 minutes on one core
    python benchmarks/parity.py --at 500 --seeds 0 1 2

plain   fp32, torch as it comes, no compiler
fast    all that makes the step fast: bf16, channels last, faster convolutions, compiled

Both see the same images in the same order and draw the same noise, so they differ in rounding alone; but rounding grows
from step to step, until two runs differ as two seeds do. So the question is whether the means over the seeds are no
farther apart than the seeds are. Validation is in fp32 for both.
"""

import argparse
import json
import logging
from collections.abc import Sequence
from statistics import mean

import torch

from vae_runner.bench.worker import config_of
from vae_runner.experiment.assemble import assemble

__all__ = ["FAST", "PLAIN", "apart", "curve", "spread"]

COMMON = ("engine.threads=1", "divergence=kl", "dataset.validation=2000")
PLAIN = (
    "engine.precision=fp32",
    "engine.compile=false",
    "engine.channels_last=false",
    "engine.fast_convolutions=false",
    "optimizer.fused=false",
)
FAST = ("engine.precision=bf16", "engine.compile=true")

Curve = dict[int, tuple[float, float]]  # step -> reconstruction and KL, nats per image


def curve(settings: Sequence[str], seed: int, at: Sequence[int]) -> Curve:
    """Train, and validate at these steps."""
    engine = assemble(config_of([*COMMON, *settings, f"seed={seed}", f"engine.steps={max(at)}"]))
    found: Curve = {}
    with engine.session():
        while engine.step < engine.total_steps:
            engine.train_step()
            if engine.step in at:
                validated = engine.validate()
                found[engine.step] = validated["recon"], validated["kl"]
    return found


def apart(plain: Sequence[Curve], fast: Sequence[Curve], step: int, part: int) -> float:
    """How far the means over the seeds are apart, nats; part 0 is the reconstruction, 1 the KL."""
    return abs(mean(one[step][part] for one in plain) - mean(one[step][part] for one in fast))


def spread(curves: Sequence[Curve], step: int, part: int) -> float:
    """How far the seeds are apart, nats."""
    values = [one[step][part] for one in curves]
    return max(values) - min(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--at", type=int, nargs="+", default=[500, 2000], help="steps")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    curves = {
        name: [curve(settings, seed, options.at) for seed in options.seeds]
        for name, settings in (("plain", PLAIN), ("fast", FAST))
    }
    print(
        "| step | nats per image |",
        *(f"{name} {seed} |" for name in curves for seed in options.seeds),
        "apart | spread |",
    )
    for step in options.at:
        for part, label in enumerate(("reconstruction", "KL")):
            values = [f"{one[step][part]:.2f} |" for found in curves.values() for one in found]
            largest = max(spread(found, step, part) for found in curves.values())
            difference = apart(curves["plain"], curves["fast"], step, part)
            print(f"| {step:,} | {label} |", *values, f"{difference:.2f} | {largest:.2f} |")
    print(json.dumps(curves))


if __name__ == "__main__":
    main()
