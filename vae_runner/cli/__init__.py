"""`vae-train`: the front door. Help and version come at once, without torch or Hydra; a run comes by `launch`.

Exit codes: 0 done, 1 a run failed, 2 a mistake in the request, 128 + N stopped by signal N, 141 (SIGPIPE) nobody reads
what is printed.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from vae_runner.cli.process.before_torch import prepare_environment
from vae_runner.cli.process.own_process import Program
from vae_runner.errors import RunError, UserError, in_words
from vae_runner.output import OutputLost, open_streams, standard_output, to_stderr

__all__ = ["exit_code_of", "main"]

HELP = ("--help", "-h")


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says, and exit."""
    Program.is_alone = True
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code. HYDRA_FULL_ERROR=1 in the environment shows tracebacks."""
    return exit_code_of("vae-train", lambda: _command(arguments))


def exit_code_of(program: str, action: Callable[[], int]) -> int:
    """Do it; returns its exit code, or that of the exception that it raised, which is told in one line.

    It is there to print, except inside a block that says otherwise: see `standard_output`.
    """
    open_streams()
    prepare_environment()
    show_traceback = os.environ.get("HYDRA_FULL_ERROR") not in (None, "", "0")
    try:
        with standard_output(is_needed=True):
            return action()
    except KeyboardInterrupt as stop:  # a run that was asked to stop, and has said so; or Ctrl-C before there was one
        return 128 + getattr(stop, "number", signal.SIGINT)
    except OutputLost as lost:
        if lost.reader_is_gone:
            return 128 + signal.SIGPIPE
        to_stderr(f"{program}: error: {lost}")
        return 1
    except Exception as error:
        if show_traceback:
            traceback.print_exc()
        return _explain(error, program)


def _command(arguments: list[str]) -> int:
    if any(argument.partition("=")[0] in HELP for argument in arguments):
        print(_help(arguments))
        return 0
    if "--version" in arguments:
        from vae_runner import __version__

        print(f"vae-train {__version__}")
        return 0
    from vae_runner.cli.launch import launch

    return launch(arguments)


def _help(arguments: list[str]) -> str:
    """The screen of what the command line names besides, or the whole one."""
    from vae_runner.cli.arguments import read_arguments

    rest = [argument.partition("=")[2] if argument.partition("=")[0] in HELP else argument for argument in arguments]
    request = read_arguments([argument for argument in rest if argument])
    own = Path(folder) if (folder := request.flags.get("--config-dir")) else None
    if request.overrides:
        from vae_runner.cli.screens.topics import topic_text

        return topic_text(request.overrides, own)
    from vae_runner.cli.screens.help import help_text

    return help_text(own)


def _explain(error: Exception, program: str) -> int:
    if isinstance(error, UserError):
        lines, code = str(error).split("\n"), 2
    elif isinstance(error, RunError):
        lines, code = [str(error)], 1
    else:
        lines, code = [f"{in_words(error)} (HYDRA_FULL_ERROR=1 shows the traceback)"], 1
    for line in lines:
        to_stderr(f"{program}: error: {line}")
    return code
