"""Which images a sweep keeps in memory for its jobs: those of its last job, or of as many jobs as run at once."""

import contextlib
from collections.abc import Iterator

import torch
from omegaconf import DictConfig

from vae_runner.cli.sweeping.jobs_setting import number_of_jobs
from vae_runner.cli.sweeping.launcher import PROCESSES
from vae_runner.datasets.reading.parallel import usable_cores
from vae_runner.experiment.kept_sets import keeping_sets

__all__ = ["kept_images"]


@contextlib.contextmanager
def kept_images(cfg: DictConfig) -> Iterator[None]:
    """Inside, jobs find the images that another has read. Beside a GPU, which takes them, each reads its own.

    Where other processes do the jobs, this one computes with one thread: it may be forked.
    """
    apart = cfg.hydra.launcher._target_ == PROCESSES
    at_once = number_of_jobs(cfg.hydra.launcher.jobs, usable_cores(), 0) if apart else 1
    threads = torch.get_num_threads()
    if apart:
        torch.set_num_threads(1)
    try:
        with keeping_sets(0 if torch.cuda.is_available() else at_once):
            yield
    finally:
        torch.set_num_threads(threads)
