"""A saved run made ready for use: its config judged, its model built, the weights of a checkpoint put into it."""

import logging
from pathlib import Path
from typing import Any, Literal

from torch import nn

from vae_runner.callbacks.checkpoints import MODELS
from vae_runner.checkpoint import BrokenCheckpointError, load_checkpoint
from vae_runner.engine import choose_device
from vae_runner.engine.fitting import load_weights
from vae_runner.errors import UserError
from vae_runner.experiment.assemble import build_model
from vae_runner.experiment.checking.check import check
from vae_runner.experiment.checking.probe import check_model
from vae_runner.experiment.saved_run.content import content_fault
from vae_runner.experiment.saved_run.resume import saved_config
from vae_runner.experiment.saved_run.roots import found_root
from vae_runner.experiment.saved_run.saved import SavedRun
from vae_runner.randomness import isolated
from vae_runner.runs.folder import warn_of_real_latest
from vae_runner.runs.names import CHECKPOINTS, CONFIG, checkpoint_file
from vae_runner.runs.read import such_as
from vae_runner.runs.words import shown
from vae_runner.text import plain

__all__ = ["Checkpoint", "load"]

log = logging.getLogger(__name__)

Checkpoint = Literal["best", "last", "previous"]
NAMES: tuple[Checkpoint, ...] = ("best", "last", "previous")  # each in the place of the one before it


def load(
    run: str | Path,
    checkpoint: Checkpoint | None = None,
    device: str = "auto",
    trust: bool = False,
    root: str | Path | None = None,
) -> SavedRun:
    """The documented `vae_runner.load`, which see."""
    folder = Path(run).expanduser()
    if not (folder / CONFIG).is_file():
        raise UserError(f"{run}: no run there (no {CONFIG}); give the folder of a run{such_as(folder)}")
    warn_of_real_latest(folder)
    here = {"engine.device": str(choose_device(device)), "engine.threads": None}  # those of the training's machine
    cfg = saved_config(folder, here, trust)
    config, problems = check(cfg, to_train=False)
    if problems:
        raise UserError("\n".join(problems))
    if root is not None or "root" in config["dataset"]:
        config["dataset"]["root"] = found_root(config["dataset"], folder) if root is None else str(root)
    content, file = _chosen(folder / CHECKPOINTS, checkpoint)
    image_shape = tuple(content["image_shape"])
    weights = content["objective"].items()  # the model's, and what its terms keep
    try:
        with isolated(0):
            model = build_model(config, image_shape)
        own = {name: value for name, value in weights if name.startswith(MODELS)}
        load_weights(nn.ModuleDict({"model": model}), own)  # under the objective's names, as it is when it is resumed
        check_model(model, image_shape, config)
    except UserError as error:
        raise UserError(f"{shown(file)}: {error}") from error
    return SavedRun(folder, config, model.to(choose_device(device)), content["step"], image_shape, file.stem)


def _chosen(folder: Path, name: Checkpoint | None) -> tuple[dict[str, Any], Path]:
    """The content of the checkpoint, and its file; where none is named, of the best one that is whole, with a warning
    where it is not best.pt. Raises `UserError` where there is none.
    """
    if name is not None and name not in NAMES:
        raise UserError(f"checkpoint: expected one of {', '.join(NAMES)}, got {plain(name)!r}")
    broken: list[str] = []
    for one in NAMES if name is None else (name,):
        file = folder / checkpoint_file(one)
        try:
            content = load_checkpoint(file, content_fault)
        except BrokenCheckpointError as error:
            broken.append(str(error))
            continue
        if broken:
            log.warning("%s; taking %s, step %s", broken[0], file.name, f"{content['step']:,}")
        return content, file
    others = [one for one in NAMES if one != name and (folder / checkpoint_file(one)).exists()]
    if name is None:
        raise UserError(f"{broken[0]}, and there is no other checkpoint that is whole: nothing has been trained yet")
    raise UserError(broken[0] + (f"; there is checkpoint={others[0]}" if others else ""))
