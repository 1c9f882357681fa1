"""What does a step of each objective cost, against one of `divergence=kl`?

    python benchmarks/objectives.py                        about 6 minutes on one core
    python benchmarks/objectives.py --compile              as many, and some for compiling
    python benchmarks/objectives.py --only factor iwae --rounds 40 --architecture broadcast

`conv`, or another architecture, with 10 normal latents on dSprites, one thread, on one batch. In every round each
objective makes a few steps right behind a few of `kl`, and its ratio is that of these two: what else the machine does
falls on both. On a CPU the processor's time counts. The first rounds are not counted; figures are medians, with
quartiles.

`decoder` is what the decoder and the likelihood take of a step, forward and backward, on codes that are given.
"""

import argparse
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch

from vae_runner.bench.rounds import Spread
from vae_runner.bench.worker import config_of
from vae_runner.engine import Engine
from vae_runner.engine.machine.allocator import keep_freed_memory
from vae_runner.engine.machine.process_globals import process_globals
from vae_runner.experiment.assemble import assemble, build_data

__all__ = ["OBJECTIVES", "Stepper", "ratios"]

PLAIN = "kl"
COMMON = ("engine.threads=1", "distribution=normal")
OBJECTIVES: Mapping[str, tuple[str, ...]] = {
    **{name: (f"divergence={name}",) for name in ("beta", "beta_tc", "dip_i", "dip_ii", "info", "wae", "free_bits")},
    **{name: (f"divergence={name}",) for name in ("control", "geco", "factor")},
    "iwae, K = 5": ("divergence=iwae",),
    "iwae, K = 5, gradient_from=one": ("divergence=iwae", "divergence.gradient_from=one"),
    "iwae, K = 5, dreg": ("divergence=iwae", "divergence.estimator=dreg"),
    **{name: (f"divergence={name}",) for name in ("ada_gvae", "ada_ml_vae")},
}
BURN_IN = 3  # rounds

Timed = Callable[[], float]


class Stepper:
    """Makes steps of an objective on one batch, and says what they took."""

    def __init__(self, settings: tuple[str, ...], data: Any) -> None:
        self.engine: Engine = assemble(config_of([*COMMON, *settings]), data=data)
        self.engine.prepare()
        self.engine.objective.train()
        self.x, partner = self.engine.batches.at(0)
        self.pair = () if partner is None else (partner, partner)

    def step(self) -> None:
        training = self.engine.training_step
        training.update(training.gradients(self.x, self.x, *self.pair))

    def decode(self) -> None:
        """The decoder and the likelihood alone, forward and backward."""
        model = self.engine.objective.model
        codes = torch.randn(len(self.x), sum(model.latent_dims), device=self.x.device, requires_grad=True)
        with torch.autocast(self.x.device.type, torch.bfloat16, enabled=self.engine.precision == "bf16"):
            raw = model.decoder(codes)
        self.engine.optimizer.zero_grad(set_to_none=True)
        model.likelihood.nll(raw, self.x).mean().backward()

    def seconds(self, work: Callable[[], None], count: int) -> float:
        """Seconds of one of `count` turns of the work."""
        on_cpu = self.engine.device.type == "cpu"
        clock = time.process_time if on_cpu else time.perf_counter
        begun = clock()
        for _ in range(count):
            work()
        if not on_cpu:
            torch.cuda.synchronize()
        return (clock() - begun) / count


def ratios(plain: Timed, others: Mapping[str, Timed], rounds: int) -> dict[str, list[float]]:
    """How many times as long as `plain`, right before it, each of the others takes in each round that counts."""
    found: dict[str, list[float]] = {name: [] for name in others}
    for number in range(BURN_IN + rounds):
        for name, timed in others.items():
            before = plain()
            ratio = timed() / before
            if number >= BURN_IN:
                found[name].append(ratio)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[name.partition(",")[0] for name in OBJECTIVES], default=None)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=5, help="of each objective in a round")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--architecture", default="conv", help="the default run's is broadcast")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    keep_freed_memory()
    common = (f"engine.batch_size={options.batch_size}", f"engine.compile={str(options.compile).lower()}")
    common += (f"engine.precision={options.precision}", f"architecture={options.architecture}")
    chosen = {
        name: one for name, one in OBJECTIVES.items() if not options.only or name.partition(",")[0] in options.only
    }
    data = build_data(config_of([])["dataset"])
    plain = Stepper((*common, f"divergence={PLAIN}"), data)
    with ExitStack() as stack:
        stack.enter_context(process_globals(0, plain.engine.device, 1))
        steppers = {name: Stepper((*common, *settings), data) for name, settings in chosen.items()}
        others: dict[str, Timed] = {"decoder": lambda: plain.seconds(plain.decode, options.steps)}
        others |= {name: lambda one=one: one.seconds(one.step, options.steps) for name, one in steppers.items()}
        found = ratios(lambda: plain.seconds(plain.step, options.steps), others, options.rounds)
    print("| objective | times kl (quartiles) |\n|---|---|")
    for name, values in found.items():
        spread = Spread.of(values)
        print(f"| {name} | {spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f}) |")


if __name__ == "__main__":
    main()
