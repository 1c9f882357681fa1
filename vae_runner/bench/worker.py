"""The process of one program: `python -m vae_runner.bench.worker PROGRAM SETTING...`, spoken to in lines of JSON.

Asked for a number of steps, it makes them and answers with their seconds; asked for the `"rest"`, with what a step
spends on the parts, the peak of memory, and what it takes of a GPU. At the end of its input it leaves.
"""

import contextlib
import json
import logging
import os
import resource
import sys
import time
from dataclasses import asdict
from typing import Any

import torch

from vae_runner.bench.gpu import use
from vae_runner.bench.peers import PEERS
from vae_runner.bench.programs import PROGRAMS, Program
from vae_runner.cli.arguments import read_arguments
from vae_runner.cli.precheck import composer, precheck
from vae_runner.errors import RunError, UserError

__all__ = ["BORN", "config_of", "main"]

BORN = "VAE_BENCH_BORN"  # environment variable: when the process was started, seconds since 1970


def config_of(settings: list[str]) -> dict[str, Any]:
    """The checked config of a command line. Raises `UserError` with all mistakes in it."""
    request = read_arguments(settings)
    with composer(request) as compose:
        return precheck(request, compose).config


def main(name: str, settings: list[str]) -> None:
    """Serve until there is nothing more to do."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    logging.disable(logging.INFO)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            _serve(name, settings, answers)
    except (RunError, UserError) as error:
        print(json.dumps({"error": str(error)}), file=answers)


def _serve(name: str, settings: list[str], answers: Any) -> None:
    config = config_of(settings)
    torch.set_num_threads(config["engine"]["threads"])
    program = (PEERS.get(name) or PROGRAMS[name])(config)
    program.steps(1)
    print(json.dumps({"first_step": time.time() - float(os.environ.get(BORN, "nan"))}), file=answers)
    for line in sys.stdin:
        wish = json.loads(line)
        print(json.dumps(_rest(program) if wish == "rest" else _turn(program, wish)), file=answers)
    program.close()


def _turn(program: Program, steps: int) -> dict[str, Any]:
    begun = time.perf_counter()
    program.steps(steps)
    return {"seconds": time.perf_counter() - begun}


def _rest(program: Program) -> dict[str, Any]:
    parts, gpu = program.parts(), use(program.steps, program.engine.device)
    return {"parts": parts, "peak_memory": _peak_memory(), "gpu": None if gpu is None else asdict(gpu)}


def _peak_memory() -> int:
    """Bytes that this process has had in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
