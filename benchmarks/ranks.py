"""What it costs that several processes make a step together: started by torchrun, on the processors of one machine.

    torchrun --nproc-per-node=2 benchmarks/ranks.py architecture=conv distribution=normal

Each process makes a few steps of B / N images alone, and its part of as many steps of B images, in turns, all of them
at the same time. In both its networks see B / N images: what the ratio of neighbouring turns has beyond 1 is the
message with the gradients, what is gathered in a step, the terms of the whole batch, and waiting for the slowest, which
the ratio of the processor's times leaves out. Figures are medians over the turns of the first process, with quartiles;
two turns before are not counted.
"""

import logging
import os
import sys
import time

from vae_runner.bench.rounds import Spread
from vae_runner.bench.worker import config_of
from vae_runner.engine import Engine
from vae_runner.engine.machine.process_globals import process_globals
from vae_runner.experiment.assemble import assemble, build_data
from vae_runner.ranks.joining import joined
from vae_runner.ranks.torchrun import Place

__all__ = ["seconds"]

TURNS, STEPS, BURN_IN = 20, 4, 2


def seconds(engine: Engine) -> tuple[float, float]:
    """Returns the wall time of a step and the processor's, means over a few."""
    begun, used = time.perf_counter(), time.process_time()
    for _ in range(STEPS):
        engine.train_step()
    return (time.perf_counter() - begun) / STEPS, (time.process_time() - used) / STEPS


def shown(spread: Spread, digits: int) -> str:
    return f"{spread.median:.{digits}f} ({spread.low:.{digits}f} to {spread.high:.{digits}f})"


def main() -> None:
    logging.disable(logging.WARNING)
    config = config_of(["engine.threads=1", "engine.steps=100000", *sys.argv[1:]])
    images = config["engine"]["batch_size"]
    with joined(Place.told(os.environ)) as ranks:
        data = build_data(config["dataset"])
        together = assemble(config, data=data, ranks=ranks)
        small = {**config, "engine": {**config["engine"], "batch_size": images // ranks.world}}
        alone = assemble(small, data=data)
        with process_globals(0, together.device, threads=1):
            turns = [(seconds(alone), seconds(together)) for _ in range(BURN_IN + TURNS)][BURN_IN:]
        if ranks.is_first:
            print(f"{ranks.world} processes, {images} images in a step, {images // ranks.world} of each")
            for number, what in enumerate(("wall time", "processor's time")):
                one, two = ([1000 * turn[part][number] for turn in turns] for part in (0, 1))
                ratio = Spread.of([b / a for a, b in zip(one, two, strict=True)])
                print(f"{what}: alone {shown(Spread.of(one), 1)} ms a step, together {shown(Spread.of(two), 1)} ms")
                print(f"{what}: together / alone {shown(ratio, 3)}")


if __name__ == "__main__":
    main()
