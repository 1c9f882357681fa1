"""One line for all jobs that run at once: a bar on a terminal, above which lines are told; else a line now and then."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence

from tqdm import tqdm

from vae_runner.output import to_stderr, to_stdout

__all__ = ["JobsBar"]

SECONDS = 30  # between two lines where there is no bar


class JobsBar:
    """How far `jobs` jobs are, `size` of them at once."""

    def __init__(self, jobs: int, size: int, enabled: bool) -> None:
        self.jobs, self.size = jobs, size
        self._begun = self._told = time.monotonic()
        self._bar = tqdm(
            total=jobs,
            disable=None if enabled else True,
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}% |{bar:12}| {remaining} left{postfix}",
        )

    def show(self, done: int, at_work: Sequence[tuple[float, float]]) -> None:
        """`done` jobs are done, and of others these parts, at these images per second."""
        share = done + sum(part for part, _ in at_work)
        rate = sum(rate for _, rate in at_work)
        figures = f"{done} of {self.jobs} jobs done, {len(at_work)} at work, {rate:,.0f} images/s"
        self._bar.set_postfix_str(figures, refresh=False)
        self._bar.update(share - self._bar.n)
        self._bar.refresh()
        if self._bar.disable and time.monotonic() - self._told >= SECONDS:
            self._told = time.monotonic()
            left = (self._told - self._begun) * (self.jobs / share - 1) if share else None
            ahead = f", {tqdm.format_interval(left)} left" if left is not None else ""
            to_stdout(f"sweep {figures}, {share / self.jobs:.0%}{ahead}")

    def tell(self, line: str, is_error: bool = False) -> None:
        """A line above the bar."""
        with self.aside():
            (to_stderr if is_error else to_stdout)(line)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Inside, the bar is out of the way."""
        with tqdm.external_write_mode(file=sys.stderr):
            yield

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()
