"""What a reader should know before looking at the figures."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vae_runner.foreign import dig, number
from vae_runner.runs.growing.record_table import Records
from vae_runner.runs.names import METRICS
from vae_runner.runs.read import Run
from vae_runner.runs.words import AGAINST_COLLAPSE, and_more, count, plural
from vae_runner.state import DEAD_NATS
from vae_runner.text import plain

__all__ = ["DEAD_NATS", "Finding", "LatentKL", "findings", "latent_kl"]


EARLY = 500  # steps before which latents may not have woken
LONG, MOST_ADVICE = 1000, 20  # characters of a reason; lines


@dataclass(frozen=True)
class Finding:
    """A sentence, and how loudly it is to be said."""

    level: Literal["note", "warning", "error"]
    text: str


@dataclass(frozen=True)
class LatentKL:
    """The KL of each latent by its name (z0, or space1/z0), nats per image, which record it is of, and the latents that
    are `closed` as yet: their KL is 0, and they are not dead.
    """

    nats: Mapping[str, float]
    split: Literal["training", "validation"]
    step: float
    closed: frozenset[str] = frozenset()

    @property
    def dead(self) -> list[str]:
        """The names of latents that carry nothing."""
        return [name for name, kl in self.nats.items() if kl < DEAD_NATS and name not in self.closed]

    @property
    def active(self) -> int:
        """How many latents carry something."""
        return sum(kl >= DEAD_NATS for kl in self.nats.values())  # nan is neither


def findings(run: Run) -> list[Finding]:
    """Returns what there is to say, the worst first."""
    makers = (_end, _faults, _worse, _not_finite, _dead_latents, _advised, _rendered)
    return [finding for make in makers for finding in make(run)]


def latent_kl(run: Run) -> LatentKL | None:
    """Returns the newest KL of each latent: of the last validation, or of training while only step 0 is validated."""
    validated = [record for record in run.validation[-1:] if record["step"] > 0]
    for record in (*validated, *run.train[-1:], *run.validation[-1:]):
        if named := dict(_named_kl(record)):
            split: Literal["training", "validation"] = "training" if record["split"] == "train" else "validation"
            return LatentKL(named, split, record["step"], frozenset(_closed(run, record["step"], named)))
    return None


def _closed(run: Run, step: float, kl: Mapping[str, float]) -> Iterator[str]:
    """Those latents that were not open when the step was made, as the training's last record until then says."""
    known = next((record for record in reversed(run.train) if record["step"] <= step), {})
    for name, value in kl.items():
        space, _, latent = name.rpartition("z")
        count = number(known.get(f"{space}open"))
        if count is not None and int(latent) + 1 > count and value < DEAD_NATS:  # they may be opened just behind it
            yield name


def _end(run: Run) -> Iterator[Finding]:
    if run.state in ("failed", "interrupted"):
        verb = "failed" if run.state == "failed" else "was interrupted"
        reason = plain(run.status.get("reason") or "", LONG)
        text = f"The run {verb} at step {count(run.step)}{f': {reason}' if reason else '.'}"
        yield Finding("error" if run.state == "failed" else "warning", text)
    if run.state == "killed":
        text = f"The run ended at step {count(run.step)} or later without a word: its process is gone."
        yield Finding("error", text)


def _worse(run: Run) -> Iterator[Finding]:
    if run.state != "running" and (words := run.worsened):
        yield Finding("warning", f"The run is worse than it was at its beginning: {words}.")


def _faults(run: Run) -> Iterator[Finding]:
    yield from (Finding("warning", f"{fault}.") for fault in run.faults)


def _not_finite(run: Run) -> Iterator[Finding]:
    records = [record for record in (*_suspect(run.train), *_suspect(run.validation)) if _wrong(record)]
    if records:
        names = sorted({plain(name) for record in records for name in _wrong(record)})
        first = min(record["step"] for record in records)
        yield Finding(
            "warning",
            f"Not a finite number: {and_more(names)}, in {plural(len(records), 'record')} of {METRICS}, "
            f"first at step {count(first)}.",
        )


def _dead_latents(run: Run) -> Iterator[Finding]:
    kl = latent_kl(run)
    if kl is None or kl.step == 0:  # before the first step nothing is to be expected
        return
    if kl.closed:
        closed = [name for name in kl.nats if name in kl.closed]
        verb = "is" if len(closed) == 1 else "are"
        yield Finding(
            "note",
            f"{len(closed)} of {len(kl.nats)} latents {verb} closed at step {count(kl.step)} ({and_more(closed)}), as "
            "`open` says.",
        )
    if not kl.dead:
        return
    where = f"KL below {DEAD_NATS} nats in {kl.split} at step {count(kl.step)}."
    if len(kl.dead) == len(kl.nats):
        tried = AGAINST_COLLAPSE[0].upper() + AGAINST_COLLAPSE[1:] + "." if _is_settled(run) else ""
        yield Finding(
            "warning",
            f"All {plural(len(kl.nats), 'latent')} carry nothing, the decoder ignores them: {where} {tried}".rstrip(),
        )
    else:
        verb = "carries" if len(kl.dead) == 1 else "carry"
        yield Finding("note", f"{len(kl.dead)} of {len(kl.nats)} latents {verb} nothing ({and_more(kl.dead)}): {where}")


def _is_settled(run: Run) -> bool:
    """Whether the run is long enough for latents to have woken, and nothing that is scheduled may wake them yet."""
    names = [name for name in (run.train[-1] if run.train else ()) if name.endswith(("capacity", "open", "beta"))]
    moves = any(name.endswith(("capacity", "open")) for name in names)
    betas = [[number(record.get(name)) for record in run.train] for name in names if name.endswith("beta")]
    return run.step >= EARLY and not moves and not any(len(set(values)) > 1 for values in betas)


def _advised(run: Run) -> Iterator[Finding]:
    """What was told when the run was taken up."""
    lines = dig(run.environment, "advice")
    for line in lines[:MOST_ADVICE] if isinstance(lines, list) else ():
        yield Finding("note", f"{plain(str(line), LONG)}.")


def _rendered(run: Run) -> Iterator[Finding]:
    if dig(run.environment, "data", "source") == "rendered":
        dataset = plain(dig(run.environment, "choices", "dataset") or "the data set")
        yield Finding("note", f"The images of {dataset} were rendered, not read from the published file.")


def _suspect(records: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """All that have figures that are not finite, and perhaps some more."""
    return records.wrong() if isinstance(records, Records) else records


def _wrong(record: Mapping[str, Any]) -> list[str]:
    """The names of the record's values that are not finite."""
    return [name for name, value in record.items() if any(not math.isfinite(v) for v in _numbers(value))]


def _numbers(value: object) -> list[float]:
    found = map(number, value if isinstance(value, list) else [value])
    return [v for v in found if v is not None]


def _named_kl(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """z0, z1, ... of `kl_dims`; with several latent spaces space0/z0, ... of `space0/kl_dims`."""
    for key, value in record.items():
        if key.rpartition("/")[2] == "kl_dims":
            for index, kl in enumerate(_numbers(value)):
                yield f"{key.removesuffix('kl_dims')}z{index}", kl
