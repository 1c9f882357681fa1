"""Standard output, which may go away: its reader leaves, its disk is full; or was never there (`vae-data check >&-`).

A command that is there to print ends with it, a run goes on without it. Once it has failed it points to nothing, for
the interpreter's own flush at exit would fail again.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

__all__ = ["OutputLost", "open_streams", "standard_output", "to_stderr"]


class OutputLost(BaseException):
    """Standard output cannot be written, though there is need of it.

    It ends the program, as Ctrl-C does: nothing that handles an `Exception`, such as logging, is to hide it.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write to standard output: {error.strerror}")
        self.reader_is_gone = isinstance(error, BrokenPipeError)


def open_streams() -> None:
    """Have standard input, output and errors point to nothing where whoever started the program has closed them.

    Else the next file that is opened gets the number of one of them, and what a library, or a program that is started,
    prints goes into that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # which takes the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


@contextlib.contextmanager
def standard_output(is_needed: bool) -> Iterator[None]:
    """Inside, `OutputLost` is raised where standard output cannot be written, or what is printed is left out.

    All of it is written when the block ends. The innermost block decides.
    """
    output = _Output(sys.stdout.stream if isinstance(sys.stdout, _Output) else sys.stdout, is_needed)
    with contextlib.redirect_stdout(output):  # type: ignore[type-var]
        try:
            yield
        finally:
            output.flush()


def to_stderr(line: str) -> None:
    """One line to standard error, or none where that cannot be written."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        _give_up(sys.stderr)


class _Output:
    """Standard output, all of whose users get the same answer when it fails: print, tqdm, Hydra, parts of the user."""

    def __init__(self, stream: TextIO, is_needed: bool) -> None:
        self.stream, self.is_needed = stream, is_needed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        self._try(self.stream.write, text)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        self._try(self.stream.writelines, lines)

    def flush(self) -> None:
        self._try(self.stream.flush)

    def _try(self, action: Callable[..., Any], *arguments: Any) -> None:
        try:
            action(*arguments)
        except OSError as error:
            _give_up(self.stream)
            if self.is_needed:
                raise OutputLost(error) from error


def _give_up(stream: TextIO) -> None:
    """Have the stream point to nothing, with what is left in its buffer."""
    with contextlib.suppress(OSError):  # it may have no file descriptor
        descriptor = stream.fileno()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, descriptor)
        os.close(nothing)
