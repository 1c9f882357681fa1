"""Train variational auto-encoders from YAML configs, and look at what they learned."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from vae_runner.experiment.saved_run.loading import Checkpoint
    from vae_runner.experiment.saved_run.saved import SavedRun

__all__ = ["__version__", "load"]
__version__ = "0.1.0"


def load(
    run: str | Path,
    checkpoint: Checkpoint | None = None,
    device: str = "auto",
    trust: bool = False,
    root: str | Path | None = None,
) -> SavedRun:
    """The trained model of a run, with its config: `vae_runner.load("outputs/latest").sample(16)`.

    run          the run's folder
    checkpoint   best (by the validation's -ELBO), last or previous; None: the best, or, where there is none that is
                 whole, last or previous, with a warning
    device       auto, cpu or cuda
    trust        also build parts from outside vae_runner and torch that the saved config names: what a config names is
                 run, so switch this on only for a config that you know
    root         where the run's images are now, if they have moved; None: where they were in training. They are read
                 when they are needed: `encode`, `decode` and `sample` do without

    Raises `vae_runner.errors.UserError` where there is no such run, its checkpoint is not whole, or it is not trusted.
    """
    from vae_runner.experiment.saved_run import loading  # here: `--help` imports this package, but needs no torch

    return loading.load(run, checkpoint, device, trust, root)
