"""Where log messages go: plain lines on the console, and all of it with the time to a run's train.log.

A message is one line, whatever is in it: what a file's name, or a server, puts there cannot look like another message.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from tqdm import tqdm

from vae_runner.output import to_stderr
from vae_runner.text import LINE, one_line, plain

__all__ = ["ConsoleHandler", "logging_to", "warnings_alone", "warnings_to_stderr"]


class ConsoleHandler(logging.Handler):
    """Prints messages to standard output above the progress bar, warnings and errors with their level before them.

    Tracebacks are left to train.log; inside `warnings_alone` all is that is no warning.
    """

    least: ClassVar[int] = logging.NOTSET

    def __init__(self) -> None:
        super().__init__(self.least)

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        try:
            if not record.exc_info:
                tqdm.write(one_line(prefix + record.getMessage()))
        except Exception:
            self.handleError(record)


class LineFormatter(logging.Formatter):
    """The time, the level and the message in one line; the lines of a traceback are set in below it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        text = plain(super().formatException(ei), 10 * LINE, lines=True)
        return "\n".join(f"  {line}" for line in text.split("\n"))


class LogFile(logging.FileHandler):
    """A run's train.log, which it can do without: what cannot be written, on a full disk say, is left out."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: the run says why it ends, in one line."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # opening it, at the first message
            super().emit(record)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # flushing what is left
            super().close()


@contextlib.contextmanager
def warnings_alone() -> Iterator[None]:
    """Inside, a console that is opened shows warnings and errors alone: it is that of many runs at once."""
    before, ConsoleHandler.least = ConsoleHandler.least, logging.WARNING
    try:
        yield
    finally:
        ConsoleHandler.least = before


@contextlib.contextmanager
def logging_to(file: Path | None) -> Iterator[None]:
    """Inside, what vae_runner logs goes to the console and is appended to `file`, if any; afterwards as before."""
    logger = logging.getLogger("vae_runner")
    level, propagate = logger.level, logger.propagate
    handlers: list[logging.Handler] = [ConsoleHandler()]
    if file is not None:
        to_file = LogFile(file, delay=True)
        to_file.setFormatter(LineFormatter())
        handlers.append(to_file)
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.propagate = propagate
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


class _StderrHandler(logging.Handler):
    """Prints warnings to standard error, for commands that print something else to standard output."""

    def emit(self, record: logging.LogRecord) -> None:
        if not record.exc_info:
            to_stderr(f"{record.levelname.lower()}: {record.getMessage()}")


@contextlib.contextmanager
def warnings_to_stderr() -> Iterator[None]:
    """Inside, warnings that vae_runner logs are lines of standard error."""
    logger, handler = logging.getLogger("vae_runner"), _StderrHandler(logging.WARNING)
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
