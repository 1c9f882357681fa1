"""One run, from a composed config to a folder of results."""

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import OutOfMemoryError

from vae_runner.augmentation import Unchanged
from vae_runner.callbacks import Checkpoints, Status
from vae_runner.callbacks.outcome import finish_page
from vae_runner.checkpoint import has_checkpoint, load_latest
from vae_runner.datasets.split import Parts
from vae_runner.engine import Engine
from vae_runner.errors import RunError, UserError
from vae_runner.experiment.assemble import assemble
from vae_runner.experiment.checking.check import check
from vae_runner.experiment.inheritance import Inherited, absolute_source, begun_with
from vae_runner.experiment.notices.advice import advice, tell_advice
from vae_runner.experiment.notices.estimate import tell_size
from vae_runner.experiment.notices.turns import tell_turns
from vae_runner.experiment.notices.unfinished_schedules import log_unfinished_schedules, schedule_advice
from vae_runner.experiment.provenance import describe_run, environment, warn_of_another_place
from vae_runner.experiment.saved_run.content import content_fault
from vae_runner.experiment.saved_run.resume import (
    compare_configs,
    compare_data,
    own_folders,
    refuse_imported,
    saved_config,
)
from vae_runner.experiment.saved_run.roots import absolute_root, found_root
from vae_runner.experiment.scoring.at_end import report_end
from vae_runner.experiment.several.leading import begin_together, call
from vae_runner.experiment.signals import StopSignals
from vae_runner.files import write_json
from vae_runner.foreign import dig, read_json, read_yaml
from vae_runner.ranks import Ranks, current
from vae_runner.runs.folder import RunFolder
from vae_runner.runs.names import CHECKPOINTS, ENVIRONMENT, EXPLORER, GRIDS, NOTED_HYDRA, NOTES, PAGE
from vae_runner.runs.read import read_run
from vae_runner.runs.words import duration, shown

__all__ = ["resume", "start"]

log = logging.getLogger(__name__)


def start(
    cfg: DictConfig | dict[str, Any],
    place: Path | RunFolder,
    choices: Mapping[str, str],
    command: str,
    latest: Path | None = None,
    data: Parts | None = None,
) -> float:
    """Train in the new folder `place`, which is claimed by the caller or here; returns the last validation's -ELBO,
    nats per image.

    `cfg` is composed, and checked here, or plain, as the check has returned it. `choices` are the options chosen of
    each config group, `command` what the user typed, `latest` a link to set to the folder, `data` the images, where
    they have been looked up already. Raises `UserError` for what is wrong with the request,
    `RunError` for what went wrong on the way, and `Interrupted` where the run was asked to stop.
    """
    config = _checked(cfg) if isinstance(cfg, DictConfig) else cfg
    if config["engine"]["resume"] is not None:
        raise UserError("resume takes a run's folder at the front door; a new run starts from nothing")
    if config.get("init_from") is not None:
        config["init_from"] = absolute_source(config["init_from"])
    with _folder(place).claim(resuming=False) as folder:
        folder.write_config(config)
        known = {"name": folder.path.name, "choices": dict(choices)}
        return _train(folder, config, known, _Session(command, latest=latest, data=data))


def resume(
    place: Path | RunFolder, changes: Mapping[str, Any], command: str, trust: bool = False, latest: Path | None = None
) -> float:
    """Go on with the run in `place` where its last checkpoint was, with those settings changed; returns as `start`.

    `latest` is set to the folder where the run was killed before it could do so.
    """
    folder = _folder(place)
    path = folder.path
    refuse_imported(path)
    saved, cfg = saved_config(path, {}, trust), saved_config(path, changes, trust)
    if "dataset.root" not in changes and "root" in (cfg.get("dataset") or {}):
        cfg.dataset.root = found_root(OmegaConf.to_container(cfg.dataset), path)
    made = {key: value for key, value in changes.items() if OmegaConf.select(saved, key) != value}
    config = _checked(cfg)
    with folder.claim(resuming=True):
        known = {"name": path.name, "choices": _choices(path), **read_json(path / ENVIRONMENT)}
        had_begun = (path / ENVIRONMENT).exists()
        session = _Session(command, made, is_resumed=True, latest=None if had_begun else latest)
        return _train(folder, config, known, session)


def _folder(place: Path | RunFolder) -> RunFolder:
    return place if isinstance(place, RunFolder) else RunFolder(place)


def _choices(path: Path) -> dict[str, str]:
    """The options chosen of each group, as Hydra has noted them: for a run that was killed before it did so itself."""
    chosen = dig(read_yaml(path / NOTES / NOTED_HYDRA), "hydra", "runtime", "choices")
    named = chosen.items() if isinstance(chosen, Mapping) else ()
    return {str(group): str(choice) for group, choice in named if not str(group).startswith("hydra/")}


@dataclass(frozen=True)
class _Session:
    """One time that a run is taken up: what the user typed, which settings he changed, the link to set, the images,
    where they have been looked up already, the signals that he may send, and the processes that train together.
    """

    command: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    is_resumed: bool = False
    latest: Path | None = None
    data: Parts | None = None
    signals: StopSignals = field(default_factory=StopSignals)
    ranks: Ranks = field(default_factory=current)


def _checked(cfg: DictConfig) -> dict[str, Any]:
    config, problems = check(cfg)
    if problems:
        raise UserError("\n".join(problems))
    return config


def _train(folder: RunFolder, config: Mapping[str, Any], known: Mapping[str, Any], session: _Session) -> float:
    """Assemble, train, and leave a status that says how it ended. `known` is what environment.json starts from."""
    with session.signals.listening():  # to the end, for what has become of the run is written down in any case
        return _trained(folder, config, known, session)


def _trained(folder: RunFolder, config: Mapping[str, Any], known: Mapping[str, Any], session: _Session) -> float:
    path, status, signals = folder.path, Status(folder.path), session.signals
    before = read_json(status.file.path).get("state")
    engine: Engine | None = None
    begun = not session.is_resumed  # a resumed run that is refused stays as it was
    try:
        if not session.is_resumed:
            status.write("running")
        call(session.ranks, config)
        engine = assemble(config, path, lambda: signals.number, session.data, session.ranks)
        log.info("run   %s", shown(path))  # behind what is found wrong while the parts are made
        engine.callbacks.insert(0, status)
        is_new = not (session.is_resumed and _go_on(engine, path, config, is_done=before == "done"))
        inherited = begun_with(engine.objective, config, known) if is_new else None
        begin_together(engine, config)
        engine.prepare()
        record = _recorded(engine, config, known, session, inherited)
        begun = True
        _write_down(folder, config, record, session)
        _tell(engine, record, session)
        _keep_first_step(engine, inherited)
        validated = _run(engine, config, status, signals)
    except (RunError, OutOfMemoryError) as error:
        reason = session.ranks.loss(error) if isinstance(error, RunError) else _full(error)
        error = RunError(f"{reason}{_last_good(engine)}")
        _tell_failure(error, status)
        raise error from None
    except BaseException as error:
        if begun:
            _tell_failure(error, status)
        raise
    finally:
        for callback in engine.callbacks if engine else ():
            callback.close()
    try:
        status.end("done")
    except RunError as error:
        raise RunError(f"{error}{_last_good(engine)}") from None
    _tell_end(status, path, session.latest)
    return float(validated["neg_elbo"])


def _run(engine: Engine, config: Mapping[str, Any], status: Status, signals: StopSignals) -> dict[str, Any]:
    """Train to the end, and report what has come of it; returns the last validation."""
    signals.defer()  # to the very end: what comes behind the last step finds a run that is done
    validated = engine.run()
    report_end(engine, config, status, lambda: signals.number)
    return validated


def _recorded(
    engine: Engine,
    config: Mapping[str, Any],
    known: Mapping[str, Any],
    session: _Session,
    inherited: Inherited | None,
) -> dict[str, Any]:
    """What environment.json is to hold. Raises `UserError` where a resumed run has other images than before."""
    record = environment(engine, known, session.command, session.changes)
    if begun := inherited.record() if inherited else known.get("init_from"):
        record["init_from"] = begun
    record["advice"] = [*(line for _, line in advice(engine, record["choices"])), *schedule_advice(engine)]
    record["root"] = absolute_root(config["dataset"])  # as seen from wherever the run is looked at
    if own := own_folders(config):
        record["own_folders"] = own  # where a resumed run finds them
    if session.is_resumed:
        compare_data(known.get("data"), record["data"])
        for line in warn_of_another_place(known, record):
            log.warning("%s", line)
    return record


def _write_down(folder: RunFolder, config: Mapping[str, Any], record: Mapping[str, Any], session: _Session) -> None:
    folder.write_config(config)  # with what the data have filled in
    if session.latest is not None:
        folder.link_as_latest(session.latest)
    write_json(folder.path / ENVIRONMENT, record)


def _tell_end(status: Status, path: Path, latest: Path | None) -> None:
    """How long it took, where to look, and whether it was for nothing."""
    seen = latest if latest is not None and latest.resolve() == path.resolve() else path
    where = f"report {shown(seen / PAGE)}"
    if (path / GRIDS).is_dir():  # none with visualisation=[]
        where += f"    grids {shown(seen / GRIDS)}"
    if (path / EXPLORER).is_file():
        where += f"    try it {shown(seen / EXPLORER)}"
    worse = read_run(path, with_pictures=False).worsened
    level = logging.WARNING if worse else logging.INFO
    verdict = f", but worse than at the start: {worse}; a smaller optimizer.lr may help" if worse else ""
    log.log(level, "done  %s%s    %s", duration(status.file.seconds), verdict, where)


def _tell(engine: Engine, record: Mapping[str, Any], session: _Session) -> None:
    """What is trained on what, what it will take, and what may not be as it is wanted."""
    log.info("%s", describe_run(record))
    if not isinstance(changed_by := engine.batches.augmentation, Unchanged):
        log.info("augmentation  each training image is changed anew in every step, by %s", changed_by)
    tell_size(engine)
    log_unfinished_schedules(engine)
    tell_turns(engine)
    if not session.is_resumed:
        tell_advice(engine, record["choices"])


def _keep_first_step(engine: Engine, inherited: Inherited | None) -> None:
    """Have a checkpoint of step 0, to go on from whatever becomes of the run that this one began with, if any."""
    for callback in engine.callbacks if inherited else ():
        if isinstance(callback, Checkpoints):
            callback.save(engine)


def _go_on(engine: Engine, path: Path, config: Mapping[str, Any], is_done: bool) -> bool:
    """Bring the engine to where the last checkpoint was, and return true; to the start, where the run has not come to
    its first one.

    A run that has made its last step and was killed before it said so is gone on with, to its end.
    """
    if not is_done and not has_checkpoint(path / CHECKPOINTS):
        log.info("there is no checkpoint yet: starting from step 0")
        return False
    content = load_latest(path / CHECKPOINTS, content_fault)
    compare_configs(content["config"], config)
    engine.load_state_dict(content)
    if engine.step > engine.total_steps or (engine.step == engine.total_steps and is_done):
        finish_page(path)
        if engine.step > engine.total_steps:
            raise UserError(f"{shown(path)} is at step {engine.step:,} already; {engine.total_steps:,} steps are less")
        done = f"{engine.step:,} of {engine.total_steps:,}"
        raise UserError(f"{shown(path)} is complete at step {done}; engine.steps=N trains it longer")
    log.info("going on from step %s", f"{engine.step:,}")
    return True


def _full(error: OutOfMemoryError) -> str:
    """Of a GPU's memory that is full, torch's first two sentences of many."""
    full, wanted, *_ = [*str(error).split(". "), ""]
    return f"{full}: {wanted or 'no more is left'}; a smaller engine.batch_size or model takes less"


def _last_good(engine: Engine | None) -> str:
    """'; last good checkpoint: step N', where there is one."""
    for callback in engine.callbacks if engine else ():
        if isinstance(callback, Checkpoints) and callback.saved_step is not None:
            return f"; last good checkpoint: step {callback.saved_step:,}"
    return ""


def _tell_failure(error: BaseException, status: Status) -> None:
    """Record in the folder, as far as it can still be written, how the run ended; the user is told by the caller."""
    if not isinstance(error, KeyboardInterrupt):
        logging.getLogger("vae_runner.traceback").error("the run failed", exc_info=error)
    with contextlib.suppress(OSError, RunError):
        if not status.file.path.exists():  # the folder is gone, and stays so
            return
        if isinstance(error, KeyboardInterrupt):
            status.end("interrupted", str(error))
        else:
            status.end("failed", f"{type(error).__name__}: {error}")
