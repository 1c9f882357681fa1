"""What a run reports of itself behind its last step: a page to try the weights on that the validation images chose,
what these come to on the test images, and their scores, as far as they are cheap or asked for.

Nothing here moves the run. What fails costs a line, and not the run, which is done; one that is killed meanwhile makes
up for it when it is resumed.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from vae_runner.callbacks import TESTED, MetricsLog, Status
from vae_runner.callbacks.pages import has_pages, write_pages
from vae_runner.checkpoint import BrokenCheckpointError, load_checkpoint
from vae_runner.datasets.split import Subset
from vae_runner.engine import Engine, Interrupted
from vae_runner.engine.fitting import load_weights
from vae_runner.engine.machine.process_globals import process_globals
from vae_runner.errors import in_words
from vae_runner.experiment.assemble import build_objective
from vae_runner.experiment.saved_run.content import content_fault
from vae_runner.experiment.scoring.cheap import fitting
from vae_runner.experiment.scoring.curve import Live, parts_of
from vae_runner.experiment.scoring.evaluation import LeftOut, evaluate, write_records
from vae_runner.experiment.scoring.subject import Settings, Subject
from vae_runner.experiment.scoring.wanted import AUTO, evaluation_config, makeable
from vae_runner.foreign import dig, read_json
from vae_runner.objective import Objective
from vae_runner.randomness import all_isolated, permutation, seed_for
from vae_runner.runs.names import BEST, CHECKPOINTS, EVALUATION, LAST

__all__ = ["report_end"]

log = logging.getLogger(__name__)

SHARE, LEAST = 0.05, 10.0  # of the run's time, and seconds, that scores may take unasked
MOST = 10_000  # test images that are measured: the error of a mean is then a hundredth of their spread


class Chosen:
    """The objective with the weights that are reported: of the `file` of the best checkpoint, or of the last one where
    there is no best, and the step that they are of.
    """

    def __init__(self, objective: Objective, file: str, step: int) -> None:
        self.objective, self.file, self.step = objective, file, step


def report_end(
    engine: Engine, config: Mapping[str, Any], status: Status, stop_signal: Callable[[], int | None] = lambda: None
) -> None:
    """Report the run in `status.folder`, which has made its last step: with the threads and the float32 of its steps.
    What goes wrong is told in a line.

    Raises `Interrupted` where the run is asked to stop between two scores.
    """
    try:
        threads = engine.threads or torch.get_num_threads()
        with process_globals(seed_for(engine.config.seed, "end"), engine.device, threads):
            _report(engine, config, status, stop_signal)
    except Exception as error:
        log.warning("the run is done, and not all of it is scored: %s: %s", type(error).__name__, in_words(error))
        logging.getLogger("vae_runner.traceback").error("scoring has failed", exc_info=error)  # to train.log alone


def _report(engine: Engine, config: Mapping[str, Any], status: Status, stop_signal: Callable[[], int | None]) -> None:
    wanted = evaluation_config(config)
    names = makeable(wanted, engine.train.data) if wanted.scores == AUTO else wanted.names
    if engine.test is None and not names and not has_pages(engine.callbacks):
        return
    chosen = _chosen_weights(engine, config, status.folder)
    _show(engine, status.folder, chosen)
    if engine.test is not None:
        status.file.test = _measured(engine, chosen)
    if names:
        seconds = max(LEAST, SHARE * status.file.seconds) if wanted.scores == AUTO else None
        settings = Settings(inception=wanted.inception)
        _score(_subject(engine, config, status.folder, chosen, settings), names, seconds, stop_signal)


def _show(engine: Engine, folder: Path, chosen: Chosen) -> None:
    """Write the pages on which the chosen weights can be tried; what goes wrong costs no score."""
    try:
        write_pages(engine, engine.callbacks, folder, chosen.objective.model, chosen.step)
    except Exception as error:
        log.warning("the run is done, without a page to try it on: %s: %s", type(error).__name__, in_words(error))
        logging.getLogger("vae_runner.traceback").error("a page has failed", exc_info=error)


def _subject(engine: Engine, config: Mapping[str, Any], folder: Path, chosen: "Chosen", settings: Settings) -> Subject:
    model = chosen.objective.model.eval()
    name = chosen.file.partition(".")[0]
    return Subject(Live(folder, dict(config), model, chosen.step, name, engine.device, parts_of(engine)), settings)


def _score(
    subject: Subject, names: tuple[str, ...], seconds: float | None, stop_signal: Callable[[], int | None]
) -> None:
    """Make the scores that are not there yet, within so many seconds where it is limited; write each at once."""
    folder, run = subject.run.folder, subject.run
    before = read_json(folder / EVALUATION)
    missing = tuple(name for name in names if not _is_made(before.get(name), subject))
    told: list[str] = []
    left_out: dict[str, list[str]] = {}
    with all_isolated(0, run.device), torch.no_grad():
        found = evaluate(subject, missing) if seconds is None else fitting(subject, missing, seconds)
        for one in found:
            if isinstance(one, LeftOut):
                left_out.setdefault(one.reason, []).append(one.name)
            else:
                write_records(folder, {one[0]: one[1]})
                subject.keep()
                told.append(f"{one[0]} {one[1]['value']:.4g}")
            if (number := stop_signal()) is not None:
                raise Interrupted(number, run.step)
    where = f"{run.checkpoint}, step {run.step:,}; {subject.part} part, {len(subject):,} images"
    if told:
        log.info("score %s (%s)", ", ".join(told), where)
    for reason, those in left_out.items():
        log.info("score without %s: %s", ", ".join(those), reason)


def _is_made(record: Any, subject: Subject) -> bool:
    """Whether a score is there, of the same weights and images: the run was killed behind it."""
    wanted = {"part": subject.part, "seed": subject.settings.seed, "checkpoint": subject.run.checkpoint}
    wanted |= {"step": subject.run.step}
    samples = dig(record, "settings", "samples")
    is_alike = dig(record, "settings", "codes") == subject.settings.codes
    is_alike = is_alike and samples in (None, subject.settings.samples)
    return is_alike and all(dig(record, key) == value for key, value in wanted.items())


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
