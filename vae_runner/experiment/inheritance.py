"""A run that begins with the weights of another one, `init_from=RUN`, and lets everything else differ.

    encoder, head         taken where the encoder is of the same class
    decoder, likelihood   each where it is of the same class
    spaces                the latent frame, and what a prior has learned; a fixed prior is what the config says

Of each part a tensor is taken where it has the same name and shape; all others are drawn as ever, and named. Steps are
counted from 0; the optimiser, the schedules, and what terms of the loss keep for themselves begin anew. Of the other
run only tensors are read, after a check: none of its parts is built, whatever its config names, so there is nothing to
be trusted.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from vae_runner.checkpoint import BrokenCheckpointError, load_checkpoint
from vae_runner.engine.fitting import load_weights
from vae_runner.errors import UserError
from vae_runner.experiment.saved_run.content import content_fault
from vae_runner.foreign import dig
from vae_runner.objective import Objective
from vae_runner.runs.names import CHECKPOINTS, CONFIG, checkpoint_file
from vae_runner.runs.read import such_as
from vae_runner.runs.words import and_more, shown
from vae_runner.text import plain

__all__ = ["Inherited", "Source", "absolute_source", "begun_with", "inherit", "read_source"]
__all__ += ["source_fault"]

log = logging.getLogger(__name__)

NAMES = ("best", "last", "previous")  # each in the place of the one before it
MODEL = "model."  # before the names of an objective's weights that are its model's
PARTS = ("encoder", "head", "spaces", "decoder", "likelihood")
# Of whose class a part has to be, for its numbers to mean the same.
KINDS = {"encoder": "architecture.encoder", "head": "architecture.encoder", "decoder": "architecture.decoder"}
KINDS["likelihood"] = "likelihood"
MOST = 6  # tensors that are named
LIMIT, USUAL = "logvar_limit", 20.0  # what a normal head's numbers mean; of runs before there was this setting


@dataclass(frozen=True)
class Source:
    """A whole checkpoint, its weights by their names in the model."""

    file: Path
    step: int
    config: Mapping[str, Any]
    weights: Mapping[str, Tensor]


@dataclass
class Inherited:
    """What a run has taken of a source, by the names of the tensors; what was drawn anew, and why; and of what there is
    no use. `digest` is the SHA-256 of what was taken.
    """

    source: Source
    taken: list[str] = field(default_factory=list)
    drawn: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    digest: str = ""

    def record(self) -> dict[str, Any]:
        """For environment.json."""
        about = {"checkpoint": str(self.source.file), "step": self.source.step, "sha256": self.digest}
        return {**about, "taken": self.taken, "drawn": self.drawn, "unused": self.unused}

    def lines(self, config: Mapping[str, Any]) -> Iterator[str]:
        """For people: what was taken of each part, what was not, and what means something else now."""
        run, file = shown(self.source.file.parent.parent), self.source.file.name
        parts = [share for part in PARTS if (share := self._share(part))]
        yield f"init  weights of {run}, {file} of step {self.source.step:,}: {', '.join(parts)} tensors"
        for reason, names in self._by_reason():
            yield f"init  not taken, but drawn: {and_more(names, MOST)}: {reason}"
        frames = [name for name in self.unused if name.endswith(".frame")]
        if others := [name for name in self.unused if name not in frames and not self._is_of_another_kind(name)]:
            yield f"init  not taken: {and_more(others, MOST)}: this model has no such"
        if frames:
            yield f"init  not taken: {and_more(frames, MOST)}: this distribution keeps none; latents are unturned"
        yield from _other_meanings(config, self.source.config)

    def _by_reason(self) -> Iterator[tuple[str, list[str]]]:
        """Each reason for which tensors were drawn, and which; of a part of another class, the part."""
        reasons: dict[str, dict[str, None]] = {}
        for name, reason in self.drawn.items():
            called = name.split(".")[0] if self._is_of_another_kind(name) else name
            reasons.setdefault(reason, {})[called] = None
        return ((reason, list(names)) for reason, names in reasons.items())

    def _is_of_another_kind(self, name: str) -> bool:
        part = name.split(".")[0]
        return part in KINDS and any(
            one.split(".")[0] == part and reason.startswith(f"{KINDS[part]} is ") for one, reason in self.drawn.items()
        )

    def _share(self, part: str) -> str:
        """'encoder 10 of 12'; empty for a part that has nothing to be taken."""
        taken = sum(name.split(".")[0] == part for name in self.taken)
        every = taken + sum(name.split(".")[0] == part for name in self.drawn)
        return f"{part} {taken} of {every}" if every else ""


def absolute_source(name: str) -> str:
    """The run's folder as seen from everywhere, and not by a link: `outputs/latest` is soon another one."""
    return str(Path(name).expanduser().resolve())


def source_fault(name: str | None) -> str | None:
    """What is wrong with `init_from`, as far as a look into the folder tells; None where nothing is."""
    if name is None:
        return None
    said = f"init_from={plain(name)}"
    try:
        folder = Path(name).expanduser()
        if not (folder / CONFIG).is_file():
            return f"{said}: no run there (no {CONFIG}); give the folder of a run{such_as(folder)}"
        if not any((folder / CHECKPOINTS / checkpoint_file(one)).is_file() for one in NAMES):
            return f"{said}: the run has no checkpoint yet, and so no weights to begin with"
    except (OSError, ValueError, RuntimeError) as error:  # a name that is none
        return f"{said}: {plain(getattr(error, 'strerror', None) or error)}; give the folder of a run"
    return None


def read_source(name: str) -> Source:
    """The run's best checkpoint, or, with a warning, the next one that is whole. Raises `UserError`."""
    if fault := source_fault(name):
        raise UserError(fault)
    broken: list[str] = []
    for one in NAMES:
        file = Path(name).expanduser() / CHECKPOINTS / checkpoint_file(one)
        try:
            content = load_checkpoint(file, content_fault)
        except BrokenCheckpointError as error:
            broken.append(str(error))
            continue
        except UserError as error:
            raise UserError(f"init_from: {error}") from error
        if broken:
            log.warning("init_from: %s; taking %s, step %s", broken[0], file.name, f"{content['step']:,}")
        weights = content["objective"].items()
        own = {key.removeprefix(MODEL): value for key, value in weights if key.startswith(MODEL)}
        return Source(file, content["step"], content["config"], own)
    raise UserError(f"init_from: {broken[0]}, and there is no other checkpoint that is whole")


def begun_with(objective: Objective, config: Mapping[str, Any], known: Mapping[str, Any]) -> Inherited | None:
    """Begin with the weights of another run, where the config names one, and say what was taken. `known` is what
    environment.json has of the run. Raises `UserError` where nothing fits, or where, of a run that was killed before
    its first checkpoint, the weights are no longer those that it began with.
    """
    if config.get("init_from") is None:
        return None
    found = inherit(objective, config, read_source(config["init_from"]))
    for line in found.lines(config):
        log.info("%s", line)
    if dig(known, "init_from", "sha256") not in (None, found.digest):
        raise UserError(f"init_from={config['init_from']}: its weights are others than those that the run began with")
    return found


def inherit(objective: Objective, config: Mapping[str, Any], source: Source) -> Inherited:
    """Take what fits into the objective's model. Raises `UserError` where that is nothing of its networks."""
    state = objective.model.state_dict()
    own = {name: value for name, value in state.items() if _is_learned(name)}
    found, digest = Inherited(source), hashlib.sha256()
    found.unused = [name for name in source.weights if _is_learned(name) and name not in own]
    for name, value in own.items():
        reason = _misfit(name, value, source, config)
        if reason is not None:
            found.drawn[name] = reason
            continue
        state[name] = source.weights[name]
        digest.update(f"{name}\0".encode() + state[name].contiguous().numpy().tobytes())
        found.taken.append(name)
    if not any(name.startswith(("encoder.", "decoder.")) for name in found.taken):
        name, reason = next(iter(found.drawn.items()))
        raise UserError(f"init_from={shown(source.file.parent.parent)}: nothing of its networks fits; {name}: {reason}")
    load_weights(objective.model, state)
    found.digest = digest.hexdigest()
    return found


def _is_learned(name: str) -> bool:
    """Whether a tensor of a model is neither set by the config, as a fixed prior is, nor a count of the run's steps."""
    of_space = name.split(".")[2:] if name.startswith("spaces.") else []
    return not (of_space and (of_space[0].startswith("prior_") or of_space == ["step"]))


def _misfit(name: str, value: Tensor, source: Source, config: Mapping[str, Any]) -> str | None:
    """Why a tensor is not taken; None where it is."""
    kind = KINDS.get(name.split(".")[0])
    ours, theirs = (_kind(one, kind) if kind else "" for one in (config, source.config))
    if ours != theirs:
        return f"{kind} is {ours} and was {theirs}"
    if name not in source.weights:
        return "that run has none"
    other = source.weights[name]
    if other.shape != value.shape:
        return f"it has {_size(value)} here and had {_size(other)}"
    return None if other.dtype == value.dtype else f"it is {value.dtype} here and was {other.dtype}"


def _kind(config: Mapping[str, Any], key: str) -> str:
    """'ConvEncoder': the class of a part."""
    return plain(dig(config, *key.split("."), "_target_"), 60).rpartition(".")[2]


def _size(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "one number"


def _other_meanings(config: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    """A line where the networks' numbers are taken for something else than they were trained for."""
    ours, other = _kind(config, "likelihood"), _kind(theirs, "likelihood")
    if ours != other:
        yield f"init  likelihood is {ours} and was {other}: what the decoder gives means something else now"
    ours, other = _families(config), _families(theirs)
    if ours != other:
        yield f"init  distribution is {ours} and was {other}: what the encoder gives may mean something else now"


def _families(config: Mapping[str, Any]) -> str:
    """'NormalSpace + GammaSpace'; a space that keeps its frame is of normal latents."""
    node = config.get("distribution")
    nodes = [node] if not isinstance(node, Mapping) or "_target_" in node else [node[name] for name in sorted(node)]
    return " + ".join(map(_family, nodes))


def _family(node: Any) -> str:
    """'NormalSpace', and how far its log variance goes, where that is not as ever."""
    name = plain(dig(node, "_target_"), 60).rpartition(".")[2].removeprefix("Aligned")
    is_usual = not isinstance(node, Mapping) or node.get(LIMIT, USUAL) == USUAL
    return name if is_usual else f"{name}({LIMIT}={'null' if node[LIMIT] is None else plain(node[LIMIT], 20)})"
