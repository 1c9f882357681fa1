"""What a run reports of itself behind its last step: what the weights that the validation images chose come to on the
test images.

Nothing here moves the run. What fails costs a line, and not the run, which is done; one that is killed meanwhile makes
up for it when it is resumed.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_runner.callbacks import TESTED, MetricsLog, Status
from vae_runner.checkpoint import BrokenCheckpointError, load_checkpoint
from vae_runner.datasets.split import Subset
from vae_runner.engine import Engine
from vae_runner.engine.fitting import load_weights
from vae_runner.errors import in_words
from vae_runner.experiment.assemble import build_objective
from vae_runner.experiment.saved_run.content import content_fault
from vae_runner.objective import Objective
from vae_runner.randomness import permutation, seed_for
from vae_runner.runs.names import BEST, CHECKPOINTS, LAST

__all__ = ["report_end"]

log = logging.getLogger(__name__)

MOST = 10_000  # test images that are measured: the error of a mean is then a hundredth of their spread


class Chosen:
    """The objective with the weights that are reported: of the `file` of the best checkpoint, or of the last one where
    there is no best, and the step that they are of.
    """

    def __init__(self, objective: Objective, file: str, step: int) -> None:
        self.objective, self.file, self.step = objective, file, step


def report_end(engine: Engine, config: Mapping[str, Any], status: Status) -> None:
    """Report the run in `status.folder`, which has made its last step. What goes wrong is told in a line."""
    if engine.test is None:
        return
    try:
        status.file.test = _measured(engine, _chosen_weights(engine, config, status.folder))
    except Exception as error:
        log.warning("nothing is measured on the test images: %s: %s", type(error).__name__, in_words(error))
        logging.getLogger("vae_runner.traceback").error("the test has failed", exc_info=error)  # to train.log alone


def _chosen_weights(engine: Engine, config: Mapping[str, Any], folder: Path) -> Chosen:
    """Those of the best checkpoint, in an objective of their own."""
    try:
        content = load_checkpoint(folder / CHECKPOINTS / BEST, content_fault)
    except BrokenCheckpointError:
        return Chosen(engine.objective, LAST, engine.step)
    objective = build_objective(config, engine.train.data.image_shape, len(engine.train)).to(engine.device)
    load_weights(objective, content["objective"])
    return Chosen(objective, BEST, content["step"])


def _measured(engine: Engine, chosen: Chosen) -> dict[str, Any]:
    """Measure the chosen weights on the test images, log it and say it; returns the figures, nats per image. Of more
    than `MOST` images a choice that is always the same.
    """
    assert engine.test is not None
    every, where = engine.test, engine.test.indices.device
    some = permutation(len(every), seed_for(0, "test"))[:MOST].sort().values.to(where)
    found = engine.measure(Subset(every.data, every.indices[some]), "test", chosen.objective)
    about = {"step": chosen.step, "checkpoint": chosen.file, "images": len(some)}
    for callback in engine.callbacks:
        if isinstance(callback, MetricsLog):
            callback.note(engine, TESTED, {**found, **about})
    of = f"{len(some):,} of {len(every):,}" if len(some) < len(every) else f"{len(every):,}"
    log.info(
        "test  -ELBO %.1f, recon %.1f, KL %.2f nats per image; %.4g bits per dimension (%s, step %s; %s test images)",
        *(found[name] for name in ("neg_elbo", "recon", "kl", "bits_per_dim")),
        *(chosen.file, f"{chosen.step:,}", of),
    )
    return {name: found[name] for name in ("neg_elbo", "recon", "kl", "bits_per_dim")} | about
