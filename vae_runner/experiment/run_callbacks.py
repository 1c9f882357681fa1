"""What a run writes and shows while it trains, from its config: logs, pictures, checkpoints and its page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_runner.auto_encoder import VAE
from vae_runner.callbacks import (
    AfterPictures,
    Callback,
    Checkpoints,
    Collapse,
    EpochTable,
    MetricsLog,
    NonFatal,
    Pictures,
    Progress,
    Report,
    Writer,
)
from vae_runner.callbacks.loggers.named_loggers import named_loggers
from vae_runner.callbacks.pages import keepers
from vae_runner.datasets.base import ImageData
from vae_runner.engine import EngineConfig
from vae_runner.errors import ImagesError, UserError
from vae_runner.experiment.building import build
from vae_runner.experiment.scoring.curve import ScoreCurve
from vae_runner.experiment.scoring.wanted import evaluation_config, makeable
from vae_runner.runs.names import CHECKPOINTS, EPOCHS, GRIDS, METRICS
from vae_runner.visualisation import Picture

__all__ = ["build_callbacks", "build_pictures"]


def build_callbacks(
    config: Mapping[str, Any], settings: EngineConfig, folder: Path, model: VAE, data: ImageData
) -> list[Callback]:
    """Logs first, checkpoints behind them, so that a checkpoint holds what the logs have summed up.

    A run stops where its metrics, pictures or checkpoints cannot be written; it can do without the others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = build_pictures(config.get("visualisation") or {}, model, data)
    metrics, writer = MetricsLog(folder / METRICS, settings.log_every), Writer()
    wanted = evaluation_config(config)
    names = makeable(wanted, data)
    curve = [NonFatal(ScoreCurve(metrics, names, wanted.every, config, wanted.inception))] if wanted.every else []
    pictures = Pictures(folder / GRIDS, shown, settings.picture_every, writer)
    return [
        metrics,
        NonFatal(EpochTable(folder / EPOCHS)),
        NonFatal(Progress(metrics, settings.progress)),
        Collapse(),
        *curve,
        pictures,
        *keepers(pictures, folder),
        Checkpoints(folder / CHECKPOINTS, settings.checkpoint_every, {"config": dict(config)}),
        *named_loggers(config, metrics, folder, settings.tensorboard),
        AfterPictures(writer, NonFatal(Report(folder, settings.picture_every)), pictures.is_due),
    ]


def build_pictures(nodes: Mapping[str, Any], model: VAE, data: ImageData) -> dict[str, Picture]:
    """The pictures by name, ready for that model and data. Raises `UserError`, a line for each that does not fit."""
    pictures: dict[str, Picture] = {name: build(node) for name, node in nodes.items()}
    problems = []
    for name, picture in pictures.items():
        try:
            picture.prepare(model, data)
        except ImagesError:
            raise
        except UserError as error:
            problems.append(f"visualisation.{name}.{error}")
    if problems:
        raise UserError("\n".join(problems))
    return pictures
