"""Does training with the fast step follow the curves of plain PyTorch? Reconstruction and KL, two seeds of each. And do
the objectives of the field follow a loop that was written apart from ours?

    python benchmarks/parity.py                     about 15 minutes on one core
    python benchmarks/parity.py --at 500 --seeds 0 1 2
    python benchmarks/parity.py --objectives beta_tc factor dip_ii wae control --at 100 300 1000

plain   fp32, torch as it comes, no compiler
fast    all that makes the step fast: bf16, channels last, faster convolutions, compiled

Both see the same images in the same order and draw the same noise, so they differ in rounding alone; but rounding grows
from step to step, until two runs differ as two seeds do. So the question is whether the means over the seeds are no
farther apart than the seeds are. Validation is in fp32 for both.

With `--objectives`, our plain step is compared with `independent.py`, twice. `each step`: it has our weights before
each of them, and the same images and noise, so that all figures are the same up to rounding, however long one trains.
`curve`: it has our weights at the start alone. There, too, all is the same until rounding has grown.
"""

import argparse
import json
import logging
from collections.abc import Sequence
from statistics import mean

import torch
from independent import OBJECTIVES, Loop

from vae_runner.bench.worker import config_of
from vae_runner.experiment.assemble import assemble
from vae_runner.randomness import seed_for
from vae_runner.state import METRICS

__all__ = ["FAST", "PLAIN", "apart", "both_curves", "curve", "spread"]

COMMON = ("engine.threads=1", "dataset.validation=2000", "architecture=conv", "distribution=normal")
COMMON += ("optimizer.lr=5e-4", "lr_schedule=constant")
PLAIN = (
    "engine.precision=fp32",
    "engine.compile=false",
    "engine.channels_last=false",
    "engine.fast_convolutions=false",
    "optimizer.fused=false",
)
SMALL = ("architecture=mlp", "optimizer.eps=1e-3")  # the networks and settings of independent.py
SMALL += tuple(f"architecture.{part}.hidden=[256,256]" for part in ("encoder", "decoder"))
SMALL += ("architecture.encoder.nonlinearity=tanh", "architecture.decoder.nonlinearity=tanh")
OF_OBJECTIVE = {"factor": ("divergence.units=100",)}
LAST = 100  # steps whose mean is told
FAST = ("engine.precision=bf16", "engine.compile=true")

Figures = dict[str, list[float]]
Curve = dict[int, tuple[float, float]]  # step -> reconstruction and KL, nats per image


def curve(settings: Sequence[str], seed: int, at: Sequence[int]) -> Curve:
    """Train, and validate at these steps."""
    engine = assemble(config_of([*COMMON, "divergence=kl", *settings, f"seed={seed}", f"engine.steps={max(at)}"]))
    found: Curve = {}
    with engine.session():
        while engine.step < engine.total_steps:
            engine.train_step()
            if engine.step in at:
                validated = engine.validate()
                found[engine.step] = validated["recon"], validated["kl"]
    return found


def both_curves(objective: str, seed: int, steps: int, follows: bool = False) -> tuple[Figures, Figures]:
    """Returns recon, KL and loss of every step, ours and those of the independent loop, which follows our weights or
    trains its own.
    """
    settings = [
        *COMMON,
        *PLAIN,
        *SMALL,
        *OF_OBJECTIVE.get(objective, ()),
        f"divergence={objective}",
        f"seed={seed}",
        f"engine.steps={steps}",
    ]
    engine = assemble(config_of(settings))
    own = [weights for term in engine.objective.divergences for weights in term.parameters()]
    loop = Loop(objective, list(engine.objective.model.parameters()), own, len(engine.train))
    ours: Figures = {name: [] for name in ("recon", "kl", "loss")}
    theirs: Figures = {name: [] for name in ours}
    with engine.session():
        for step in range(steps):
            x = engine.train.batch(engine.order.positions(step))
            if follows:
                loop.follow(list(engine.objective.model.parameters()), own)
            found = loop.step(x, seed_for(seed, "step", step))
            metrics = engine.train_step()[METRICS]
            for name, value in found.items():
                ours[name].append(float(metrics[name]))
                theirs[name].append(value)
    return ours, theirs


def largest_difference(one: Sequence[float], other: Sequence[float]) -> float:
    """The largest difference of two curves at one step, relative to the value there."""
    return max(abs(a - b) / abs(b) for a, b in zip(one, other, strict=True))


def apart(plain: Sequence[Curve], fast: Sequence[Curve], step: int, part: int) -> float:
    """How far the means over the seeds are apart, nats; part 0 is the reconstruction, 1 the KL."""
    return abs(mean(one[step][part] for one in plain) - mean(one[step][part] for one in fast))


def spread(curves: Sequence[Curve], step: int, part: int) -> float:
    """How far the seeds are apart, nats."""
    values = [one[step][part] for one in curves]
    return max(values) - min(values)


def compare_objectives(objectives: Sequence[str], seeds: Sequence[int], at: Sequence[int]) -> None:
    """Print, for each objective, seed and number of steps, how far the figures are apart."""
    print("| objective, seed | steps | each step: recon, KL, loss | curve: the same | recon / KL then: ours, theirs |")
    print("|---|---|---|---|---|")
    for objective, seed in ((objective, seed) for objective in objectives for seed in seeds):
        stepwise, curves = (both_curves(objective, seed, max(at), follows) for follows in (True, False))
        for steps in at:
            apart = []
            for ours, theirs in (stepwise, curves):
                found = [largest_difference(ours[name][:steps], theirs[name][:steps]) for name in ours]
                apart.append(", ".join(f"{value:.0e}" for value in found))
            then = [[mean(one[name][max(steps - LAST, 0) : steps]) for name in ("recon", "kl")] for one in curves]
            values = ", ".join(f"{recon:.2f} / {kl:.3f}" for recon, kl in then)
            print(f"| {objective}, {seed} | {steps:,} | {apart[0]} | {apart[1]} | {values} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--at", type=int, nargs="+", default=[500, 2000], help="steps")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--objectives", nargs="+", choices=list(OBJECTIVES), help="compare these with independent.py")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    if options.objectives:
        compare_objectives(options.objectives, options.seeds, options.at)
        return
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
