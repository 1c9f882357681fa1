"""The loop of a search: trials are proposed, done as jobs of a sweep by whatever launcher, and told what came of them.

    propose -> study.db      note job -> study.db      list -> sweep.json      launch -> folders      tell -> study.db

A kill between any two of these is made up for by the next start, which does the same as the first one: what has a job
and no figure yet is done to its end, from its checkpoint. A job's figure is read from its folder.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf

from vae_runner.cli.searching.aim import Aim
from vae_runner.cli.searching.search_space import SearchSpace
from vae_runner.cli.searching.trials import Proposed, Trials
from vae_runner.cli.sweeping.jobs_setting import number_of_jobs
from vae_runner.cli.sweeping.launcher import PROCESSES
from vae_runner.experiment.signals import stop_if_asked
from vae_runner.output import to_stderr, to_stdout
from vae_runner.runs.ledger import job_number, read_ledger, write_ledger
from vae_runner.runs.read import find_runs, read_run

__all__ = ["Search", "search_settings"]

WAITING = ("interrupted", "running")  # what a job is that will go on, behind a launcher that has come back
OVER = ("done", "failed")  # what a job is that is not begun again


def search_settings(cfg: DictConfig) -> list[str]:
    """All settings of a composed sweep, which its sweeper makes jobs of: those of its `params`, and what was typed."""
    params: Any = OmegaConf.to_container(cfg.hydra.sweeper.params or OmegaConf.create({}), resolve=False)
    typed: Any = OmegaConf.to_container(cfg.hydra.overrides.task, resolve=False)
    return [*(f"{name}={value}" for name, value in params.items()), *typed]


class Search:
    """That of the composed sweep, whose list is in its folder. `launcher` does jobs; `prepare` composes one, and
    returns what is wrong with it; `added` are settings of all jobs that are not in the list.
    """

    def __init__(
        self,
        cfg: DictConfig,
        launcher: Launcher,
        settings: Sequence[Override],
        prepare: Callable[[list[str]], str | None],
        added: Sequence[str] = (),
    ) -> None:
        self.cfg, self.launcher, self.prepare, self.added = cfg, launcher, prepare, list(added)
        self.folder = Path(cfg.hydra.sweep.dir)
        sweeper: Any = OmegaConf.to_container(cfg.hydra.sweeper, resolve=True)
        self.most, self.at_once = sweeper["n_trials"], _at_once(cfg)
        self.aim = Aim(sweeper["objective"])
        self.space = SearchSpace.of(settings)
        self.trials = Trials(self.folder, sweeper, self.space, self.aim.way)

    @property
    def begun(self) -> int:
        """How many trials there are."""
        return self.trials.begun

    @property
    def is_done(self) -> bool:
        """Whether all are made, and told of."""
        return self.begun >= self.most and not self.trials.open_jobs() and not self.trials.lost()

    def do(self) -> None:
        """Do all trials that are left. Raises `Interrupted` where this process was asked to stop."""
        for number in self.trials.lost():
            to_stdout(f"search trial {number} was killed before it had a job, and counts as failed")
            self.trials.tell(number, None)
        self._finish(self.trials.open_jobs())
        while (left := self.most - self.begun) > 0:
            stop_if_asked()
            self._finish(list(self._new(min(left, self.at_once))))

    def _new(self, count: int) -> Iterator[tuple[int, Proposed]]:
        """So many new trials, with the numbers of their jobs; less those that cannot be composed.

        One that proposes what another one has is of the same job, which is not done again.
        """
        known = {tuple(settings): job for job, settings in enumerate(self._ledger().jobs)}
        for _ in range(count):
            proposed = self.trials.propose(is_beside_others=count > 1)
            settings = self.space.settings(proposed.values)
            if tuple(settings) not in known and (fault := self.prepare([*settings, *self.added])):
                to_stderr(f"vae-train: error: trial {proposed.number} ({' '.join(settings)}) failed: {fault}")
                self.trials.tell(proposed.number, None)
                continue
            job = known.setdefault(tuple(settings), len(known))
            proposed.note_job(job)
            yield job, proposed

    def _finish(self, proposed: Sequence[tuple[int, Proposed]]) -> None:
        """Have the jobs done that are not over, and tell what came of all of them."""
        self._write_down(proposed)
        folders = self._folders()
        left = [job for job in dict(proposed) if job not in folders or read_state(folders[job]) not in OVER]
        jobs = self._ledger().jobs
        for numbers in _in_a_row(left):
            self.launcher.launch([[*jobs[job], *self.added] for job in numbers], initial_job_idx=numbers[0])
        folders = self._folders()
        for job, one in proposed:
            if job in folders and read_state(folders[job]) in WAITING:
                continue
            self.trials.tell(one.number, self.aim.figure(folders[job]) if job in folders else None)
        if proposed:
            to_stdout(self._told())

    def _write_down(self, proposed: Sequence[tuple[int, Proposed]]) -> None:
        """Put the jobs into the list that are not there yet."""
        ledger = self._ledger()
        new = {job: self.space.settings(one.values) for job, one in proposed if job >= len(ledger.jobs)}
        if new:
            write_ledger(self.folder, replace(ledger, jobs=[*ledger.jobs, *(new[job] for job in sorted(new))]))

    def _ledger(self) -> Any:
        ledger = read_ledger(self.folder)
        assert ledger is not None
        return ledger

    def _folders(self) -> dict[int, Path]:
        return {number: run for run in find_runs(self.folder) if (number := job_number(run)) is not None}

    def _told(self) -> str:
        """'search 3 of 20 trials, lowest neg_elbo 43.21 so far: optimizer.lr=0.003'."""
        best = self.trials.best()
        told = f"search {self.begun} of {self.most} trials"
        if best is None:
            return f"{told}, none with a figure so far"
        values = " ".join(self.space.settings(best.params)[len(self.space.fixed) :])
        way = "lowest" if self.aim.way == "minimize" else "highest"
        return f"{told}, {way} {self.aim.objective} {best.value:.6g} so far: {values}"


def read_state(folder: Path) -> str:
    """What has become of the run in the folder."""
    return read_run(folder, with_pictures=False).state


def _in_a_row(numbers: Iterable[int]) -> Iterator[list[int]]:
    """The numbers in pieces without a gap: [1, 2, 5] as [1, 2], [5]."""
    piece: list[int] = []
    for number in numbers:
        if piece and number != piece[-1] + 1:
            yield piece
            piece = []
        piece.append(number)
    if piece:
        yield piece


def _at_once(cfg: DictConfig) -> int:
    """How many trials are chosen at once: as many as it says, or as the launcher runs at once, where that is known."""
    import torch

    most, launcher = cfg.hydra.sweeper.n_trials, cfg.hydra.launcher
    if cfg.hydra.sweeper.n_jobs is not None:
        return int(cfg.hydra.sweeper.n_jobs)
    if launcher._target_ == PROCESSES:
        return number_of_jobs(launcher.jobs, most, torch.cuda.device_count())
    known = launcher.get("n_jobs")  # of joblib
    return known if isinstance(known, int) and known > 0 else 1
