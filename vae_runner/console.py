"""Where log messages go: plain lines on the console, and all of it with the time to a run's train.log."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

__all__ = ["ConsoleHandler", "logging_to"]


class ConsoleHandler(logging.Handler):
    """Prints messages to standard output above the progress bar, warnings and errors with their level before them.

    Tracebacks are left to train.log.
    """

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        try:
            if not record.exc_info:
                tqdm.write(prefix + record.getMessage())
        except Exception:
            self.handleError(record)


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
def logging_to(file: Path | None) -> Iterator[None]:
    """Inside, what vae_runner logs goes to the console and is appended to `file`, if any; afterwards as before."""
    logger = logging.getLogger("vae_runner")
    level, propagate = logger.level, logger.propagate
    handlers: list[logging.Handler] = [ConsoleHandler()]
    if file is not None:
        to_file = LogFile(file, delay=True)
        to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
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
