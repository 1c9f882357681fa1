"""Hooks of the engine: what a run writes and shows while it trains."""

from vae_runner.callbacks.base import Callback, Training
from vae_runner.callbacks.checkpoints import Checkpoints, KeptWeights
from vae_runner.callbacks.collapse import Collapse
from vae_runner.callbacks.logs import TESTED, EpochTable, MetricsLog
from vae_runner.callbacks.non_fatal import NonFatal
from vae_runner.callbacks.outcome import Report, Status
from vae_runner.callbacks.pictures import Pictures
from vae_runner.callbacks.progress import Progress
from vae_runner.callbacks.tensorboard import TensorBoard
from vae_runner.callbacks.writer import AfterPictures, Writer

__all__ = [
    "TESTED",
    "AfterPictures",
    "Callback",
    "Checkpoints",
    "Collapse",
    "EpochTable",
    "KeptWeights",
    "MetricsLog",
    "NonFatal",
    "Pictures",
    "Progress",
    "Report",
    "Status",
    "TensorBoard",
    "Training",
    "Writer",
]
