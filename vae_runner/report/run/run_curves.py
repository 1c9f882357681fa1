"""The curves of a run on its page: what is minimised, its parts, and the schedules from 0, each over the steps."""

import math
import re
from collections.abc import Iterator, Sequence

from vae_runner.foreign import number
from vae_runner.report.chart import Point, Series, chart
from vae_runner.report.markup import Html, tag
from vae_runner.report.page import section
from vae_runner.runs.growing.record_table import points
from vae_runner.runs.read import Run
from vae_runner.runs.turn_marks import TurnMark, turn_marks
from vae_runner.runs.words import nats
from vae_runner.text import plain

__all__ = ["NATS", "SCHEDULES", "curves", "further_curves", "title_of"]

NATS = "nats per image"
LABELS = {"train": "training", "validation": "validation", "capacity": "C"}
# Drawn, or follow from what is drawn: what is measured, and of a run with one term for each space what is trained.
LOSSES = re.compile(r"(space\d+/)?(recon|kl|loss|neg_elbo|divergence|capacity)")
SCHEDULES = {"beta": "Weight beta", "capacity": "Capacity C", "lr": "Learning rate"}
MOST = 60  # curves of a kind
NO_CURVE = ("step", "epoch", "seconds", "images_per_second")


def curves(run: Run) -> Html:
    """Loss, reconstruction, KL (of each latent space, with its capacity) and what else moves over the steps; marked
    where latent frames were turned.
    """
    turns = list(turn_marks(run.turns))[:MOST]
    found = {key for record in run.train[-1:] for key in record}
    spaces = sorted(key.removesuffix("kl") for key in found if re.fullmatch(r"space\d+/kl", key))[:MOST]
    others = further_curves(run)
    drawn = [
        _curve(run, "loss", "Loss", turns, may_be_log=True),
        _curve(run, "recon", "Reconstruction, -log p(x|z)", turns, may_be_log=True),
        _curve(run, "kl", "KL", turns, reference="capacity"),
        *(
            _curve(run, f"{space}kl", f"KL of {space.rstrip('/')}", turns, reference=f"{space}capacity")
            for space in spaces
        ),
        *(_curve(run, key, title_of(key), turns, unit=NATS if _part(key) == "divergence" else "") for key in others),
        *(_score(run, name) for name in _scored(run)),
    ]
    still = [f"{title_of(key)}: {value:.6g}" for key, value in _constants(run)][:MOST]
    constant = tag("p", "Constant: " + "; ".join(still), class_="quiet") if still else ""
    told = [tag("li", turn.words) for turn in turns]
    marked = tag("p", "Dotted lines, where latents were turned to independent components, or opened:", class_="quiet")
    said = [marked, tag("ul", *told, class_="quiet")] if told else []
    return section("Curves", tag("div", *drawn, class_="charts"), constant, *said) if any(drawn) else Html()


def further_curves(run: Run) -> list[str]:
    """Returns the names of what else moves over the steps of training: the schedules first."""
    return [key for key in _others(run) if _varies(points(run.train, key))][:MOST]


def _others(run: Run) -> list[str]:
    """The names of what else is recorded as a number: the schedules first."""
    names = {key for record in (*run.train[:1], *run.train[-1:]) for key, value in record.items() if _is_curve(key)}
    return sorted(names, key=lambda key: (_part(key) not in SCHEDULES, key))


def _is_curve(key: str) -> bool:
    return not LOSSES.fullmatch(key) and _part(key) not in NO_CURVE


def _part(key: str) -> str:
    return key.rpartition("/")[2]


def title_of(key: str) -> str:
    """Returns 'Learning rate', 'Weight beta of space1', or 'Weighted term tc'."""
    space, _, part = key.rpartition("/")
    if part == "divergence":
        return plain(f"Weighted term {space}")
    return plain(SCHEDULES.get(part, part.replace("_", " ")) + (f" of {space}" if space else ""))


def _varies(points: list[Point]) -> bool:
    return len({value for _, value in points if math.isfinite(value)}) > 1


def _constants(run: Run) -> Iterator[tuple[str, float]]:
    """What is scheduled but stays, with its value; one record does not tell."""
    for key in _others(run):
        found = points(run.train, key)
        values = {value for _, value in found}
        if _part(key) in SCHEDULES and len(values) == 1 < len(found) and math.isfinite(value := next(iter(values))):
            yield key, value


def _curve(
    run: Run,
    key: str,
    name: str,
    turns: Sequence[TurnMark],
    may_be_log: bool = False,
    reference: str | None = None,
    unit: str = NATS,
) -> Html:
    """Training as a line, validation as dots, and the reference (a capacity) dashed, with their last values."""
    events = [(turn.step, turn.words) for turn in turns]
    series = [
        Series("train", points(run.train, key)),
        Series("capacity", points(run.train, reference) if reference else []),
        Series("validation", points(run.validation, key), drawn_as="dots"),
    ]
    series = [one for one in series if one.points]
    about = ", ".join(filter(None, [f"{name} over the steps", unit]))
    if not (drawing := chart(series, unit, about, may_be_log, from_zero=_part(key) in SCHEDULES, events=events)):
        return Html()
    keys = [tag("span", LABELS[one.name], tag("b", _last(one, unit)), class_=f"key {one.name}") for one in series]
    return tag("figure", tag("figcaption", tag("h3", name), *keys), drawing)


def _scored(run: Run) -> list[str]:
    """The names of the scores that were made while the run was trained."""
    found = {name for record in run.scores for name, value in record.items() if number(value) is not None}
    return sorted(found - {*NO_CURVE})[:MOST]


def _score(run: Run, name: str) -> Html:
    """A score of the validation images over the steps."""
    series = Series("validation", points(run.scores, name))
    name = plain(name)
    if not (drawing := chart([series], "", f"{name} of the validation images over the steps", False, from_zero=True)):
        return Html()
    key = tag("span", "validation", tag("b", _last(series, "")), class_="key validation")
    return tag("figure", tag("figcaption", tag("h3", name), key), drawing)


def _last(series: Series, unit: str) -> str:
    value = series.points[-1][1]
    return nats(value, 2) if unit == NATS else f"{value:.4g}"
