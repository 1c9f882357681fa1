"""`vae-train`: the front door. Help and version come at once, without torch or Hydra; a run comes by `launch`.

Exit codes: 0 done, 1 a run failed, 2 a mistake in the request, 128 + N stopped by signal N.
"""

import os
import signal
import sys
import traceback
from collections.abc import Sequence

from vae_runner.errors import RunError, UserError

__all__ = ["explain", "main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says, and exit."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code. HYDRA_FULL_ERROR=1 in the environment shows tracebacks."""
    if {"--help", "-h"} & set(arguments):
        from vae_runner.cli.help import help_text

        print(help_text())
        return 0
    if "--version" in arguments:
        from vae_runner import __version__

        print(f"vae-train {__version__}")
        return 0
    show_traceback = os.environ.get("HYDRA_FULL_ERROR") not in (None, "", "0")
    try:
        from vae_runner.cli.launch import launch

        return launch(arguments)
    except KeyboardInterrupt as stop:  # a run that was asked to stop, and has said so; or Ctrl-C before there was one
        return 128 + getattr(stop, "number", signal.SIGINT)
    except Exception as error:
        if show_traceback:
            traceback.print_exc()
        return explain(error)


def explain(error: Exception, program: str = "vae-train") -> int:
    """Say in one line, or one for each mistake, what went wrong; returns the exit code."""
    if isinstance(error, UserError):
        for line in str(error).splitlines():
            _say(program, line)
        return 2
    if isinstance(error, RunError):
        _say(program, str(error))
        return 1
    what = f"{type(error).__name__}: {' '.join(str(error).split())}"
    _say(program, f"{what} (HYDRA_FULL_ERROR=1 shows the traceback)")
    return 1


def _say(program: str, line: str) -> None:
    print(f"{program}: error: {line}", file=sys.stderr, flush=True)
