"""A score of a run as evaluation.json has it, an object under its name, behind which stands @NAME where it is of
another data set:

value, per_factor (by name), per_latent, matrix (latents, factors), others    the score
notes                                                                         what was left out, and why
factors                                                                       the names of the matrix's columns
settings, part, data, images, seed, checkpoint, step, seconds, version        how it was made
"""

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from vae_runner import __version__
from vae_runner.evaluation import Score
from vae_runner.experiment.scoring.subject import Subject

__all__ = ["Record", "figures", "made"]

Record = dict[str, Any]


def figures(score: Score, names: Sequence[str]) -> Record:
    """The score, without what it does not have; factors by their `names`."""
    found: Record = {"value": score.value}
    if score.per_factor is not None:
        found["per_factor"] = dict(zip(names, score.per_factor, strict=True))
    if score.per_latent is not None:
        found["per_latent"] = list(score.per_latent)
    if score.matrix is not None:
        found["matrix"] = [list(row) for row in score.matrix]
    if score.others:
        found["others"] = dict(score.others)
    if score.notes:
        found["notes"] = [_named(note, names) for note in score.notes]
    return found


def made(subject: Subject, images: int, sizes: Record, seconds: float) -> Record:
    """How a score of so many different images was made, with the `sizes` of its parts."""
    settings, run = subject.settings, subject.run
    found: Record = {"settings": {"codes": settings.codes, **sizes}, "part": subject.part, "images": images}
    found["data"] = subject.about_data()
    found |= {"seed": settings.seed, "checkpoint": run.checkpoint, "step": run.step}
    return {**found, "seconds": round(seconds, 3), "version": _versions()}


def _named(note: str, names: Sequence[str]) -> str:
    """The note with the names of the factors whose places it has."""
    return re.sub(r"(?<=factor )\d+(, \d+)*", lambda found: _names(found[0], names), note)


def _names(places: str, names: Sequence[str]) -> str:
    return ", ".join(names[int(place)] for place in places.split(", "))


def _versions() -> dict[str, str]:
    try:
        return {"vae_runner": __version__, "scikit-learn": version("scikit-learn")}
    except PackageNotFoundError:
        return {"vae_runner": __version__}
