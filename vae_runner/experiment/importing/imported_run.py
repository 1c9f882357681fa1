"""A run's folder made of another program's weights: config, checkpoint, environment and status, as a run that is done.

Nothing was trained here, so there is no log and no state of an optimiser: everything takes the folder as a run but
`resume`, which `init_from` stands in for.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import vae_runner
from vae_runner.auto_encoder import VAE
from vae_runner.checkpoint import save_checkpoint
from vae_runner.datasets.split import Parts
from vae_runner.engine.fitting import load_weights
from vae_runner.errors import UserError
from vae_runner.experiment.assemble import build_data, build_model
from vae_runner.experiment.checking.probe import check_images, check_model
from vae_runner.experiment.importing.disentangling_vae import Peer, own_weights, steps_of
from vae_runner.experiment.provenance import describe_data, describe_model
from vae_runner.experiment.saved_run.resume import IMPORTED
from vae_runner.experiment.saved_run.roots import absolute_root
from vae_runner.files import write_json
from vae_runner.randomness import isolated
from vae_runner.runs.folder import RunFolder
from vae_runner.runs.names import BEST, CHECKPOINTS, ENVIRONMENT, LAST
from vae_runner.runs.status import StatusFile

__all__ = ["imported_model", "known_images", "write_run"]


def imported_model(peer: Peer, config: Mapping[str, Any]) -> tuple[VAE, str]:
    """Returns the model with the peer's weights, and a line about what was not taken, or nothing. Raises `UserError`
    where they do not fit.
    """
    with isolated(0):
        model = build_model(config, peer.image_shape)
    state = model.state_dict()
    weights, note = own_weights(peer, list(state))
    load_weights(model, {**state, **weights})
    check_model(model, peer.image_shape, config)
    return model.eval(), note


def known_images(peer: Peer, config: Mapping[str, Any]) -> Parts:
    """Returns the images of the run. Raises `UserError` where they are not there, or not such as the net takes."""
    parts = build_data(config["dataset"])
    own, wanted = ("x".join(map(str, shape)) for shape in (parts.train.data.image_shape, peer.image_shape))
    if own != wanted:
        raise UserError(f"dataset has images of {own}, and the net takes {wanted}")
    for part in filter(len, parts):
        check_images(part, config)
    return parts


def write_run(
    folder: Path, peer: Peer, model: VAE, config: Mapping[str, Any], about: Mapping[str, Any], parts: Parts | None
) -> None:
    """Write the folder, which is to be a new one. `about` has what environment.json begins with: choices, commands.

    Raises `UserError` where there is a run already, `RunError` where it cannot be written.
    """
    step = steps_of(peer)
    with RunFolder(folder).claim(resuming=False) as held:
        held.write_config(config)
        write_json(folder / ENVIRONMENT, _environment(folder, peer, model, config, about, parts))
        for name in (LAST, BEST):  # nobody has told a better one from the last
            save_checkpoint(folder / CHECKPOINTS / name, _content(peer, model.state_dict(), config, step))
        status = StatusFile(folder)
        status.step = status.total_steps = step
        status.write("done")


def _content(peer: Peer, weights: Mapping[str, Tensor], config: Mapping[str, Any], step: int) -> dict[str, Any]:
    """Of a checkpoint, with an optimiser that has seen nothing."""
    return {
        "config": dict(config),
        "image_shape": list(peer.image_shape),
        "step": step,
        "objective": {f"model.{name}": value for name, value in weights.items()},
        "optimizer": {"state": {}, "param_groups": [{"params": [], "lr": 0.0}]},
        "validated": {},
        "callbacks": {},
    }


def _environment(
    folder: Path,
    peer: Peer,
    model: VAE,
    config: Mapping[str, Any],
    about: Mapping[str, Any],
    parts: Parts | None,
) -> dict[str, Any]:
    return {
        "name": folder.absolute().name,
        **about,
        **({} if parts is None else {"data": describe_data(parts)}),
        "model": describe_model(model),
        "versions": {"vae_runner": vae_runner.__version__, "torch": torch.__version__},
        IMPORTED: {
            "from": "disentangling-vae",
            "file": str(peer.file.absolute()),
            "sha256": hashlib.sha256(peer.file.read_bytes()).hexdigest(),
            "specs": dict(peer.specs),
        },
        "root": absolute_root(config["dataset"]),
    }
