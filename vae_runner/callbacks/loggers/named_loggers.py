"""The loggers that a config names, each as a callback that a run can do without."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_runner.callbacks.base import Callback
from vae_runner.callbacks.loggers.board import Board, loggers_of
from vae_runner.callbacks.loggers.mlflow_board import MlflowBoard
from vae_runner.callbacks.loggers.wandb_board import WandbBoard
from vae_runner.callbacks.logs import MetricsLog
from vae_runner.callbacks.non_fatal import NonFatal
from vae_runner.callbacks.tensorboard import TensorBoard
from vae_runner.runs.names import GRIDS, TENSORBOARD

__all__ = ["named_loggers"]

BOARDS: dict[str, type[Board]] = {"wandb": WandbBoard, "mlflow": MlflowBoard}


def named_loggers(config: Mapping[str, Any], metrics: MetricsLog, folder: Path, tensorboard: bool) -> list[Callback]:
    """Returns those of `logger`, and TensorBoard where `tensorboard` asks for it too."""
    names, made = loggers_of(config), []
    if tensorboard or TENSORBOARD in names:
        made.append(NonFatal(TensorBoard(metrics, folder / TENSORBOARD, folder / GRIDS)))
    return [*made, *(NonFatal(BOARDS[name](folder, metrics.every)) for name in names if name in BOARDS)]
