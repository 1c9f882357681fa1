"""The process of one program: `python -m vae_runner.bench.worker PROGRAM SETTING...`, spoken to in lines of JSON.

Asked for a number of steps, it makes them and answers with their seconds; asked for `"parts"`, with these. At the end
of its input it leaves.
"""

import contextlib
import json
import logging
import os
import resource
import sys
import time
from typing import Any

import torch

from vae_runner.bench.programs import PROGRAMS
from vae_runner.cli.arguments import read_arguments
from vae_runner.cli.precheck import composer, precheck, without_hydra
from vae_runner.errors import RunError, UserError
from vae_runner.experiment.check import check

__all__ = ["BORN", "config_of", "main"]

BORN = "VAE_BENCH_BORN"  # environment variable: when the process was started, seconds since 1970


def config_of(settings: list[str]) -> dict[str, Any]:
    """The checked config of a command line. Raises `UserError` with all mistakes in it."""
    request = read_arguments(settings)
    with composer(request) as compose:
        precheck(request, compose)
        config, problems = check(without_hydra(compose.compose(request.overrides)))
    if problems:
        raise UserError("\n".join(problems))
    return config


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
    program = PROGRAMS[name](config)
    program.steps(1)
    print(json.dumps({"first_step": time.time() - float(os.environ.get(BORN, "nan"))}), file=answers)
    for line in sys.stdin:
        wish = json.loads(line)
        begun = time.perf_counter()
        if wish == "parts":
            answer: dict[str, Any] = {"parts": program.parts()}
        else:
            program.steps(wish)
            answer = {"seconds": time.perf_counter() - begun}
        print(json.dumps({**answer, "peak_memory": _peak_memory()}), file=answers)
    program.close()


def _peak_memory() -> int:
    """Bytes that this process has had in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
