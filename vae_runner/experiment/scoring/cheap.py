"""Scores that are cheap enough to be made unasked, and which of them fit into the time that there is.

What costs most is to encode images: how long that takes is measured on a few.
"""

import time
from collections.abc import Iterator, Mapping

import numpy as np

from vae_runner.experiment.scoring.evaluation import LeftOut, evaluate
from vae_runner.experiment.scoring.records import Record
from vae_runner.experiment.scoring.subject import BATCH, Subject
from vae_runner.runs.words import duration

__all__ = ["CHEAP", "fitting"]

# Seconds of each on one core, of 10,000 draws whose codes are there (benchmarks: on an otherwise idle core).
CHEAP: Mapping[str, float] = {
    "mig": 1.0,
    "modularity": 0.2,
    "sap_continuous": 0.1,
    "irs": 0.2,
    "mig_sup": 0.2,
    "factor_vae": 0.2,
    "beta_vae": 0.3,
    "sap": 3.0,
}
OF_ALL_IMAGES = ("factor_vae", "beta_vae")  # look at each image of the part
TOO_LONG = "more than fits into the {} that scores may take unasked; vae-evaluate makes what is missing"


def fitting(subject: Subject, names: tuple[str, ...], seconds: float) -> Iterator[tuple[str, Record] | LeftOut]:
    """Yields those of the cheap scores that should be made within so many seconds, as `evaluate` does, and what else
    is left out.
    """
    begun, known = time.perf_counter(), np.arange(min(BATCH, len(subject)))
    subject.codes(known, "pace")
    per_image = (time.perf_counter() - begun) / len(known)
    for name in names:
        draws = subject.settings.samples
        images = len(subject) if name in OF_ALL_IMAGES else min(draws, len(subject))
        needed = CHEAP[name] + per_image * max(images - subject.number_known, 0)
        left = seconds - (time.perf_counter() - begun)
        if needed > left:
            yield LeftOut(name, TOO_LONG.format(duration(seconds)))
        else:
            yield from evaluate(subject, [name])
