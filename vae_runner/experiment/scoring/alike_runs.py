"""Scores of runs that differ in their seed alone: UDR, by the codes that they have for the same images.

Of each run only what is compared is kept: so many data sets need not be in memory together.
"""

import copy
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.distributions import kl_divergence

from vae_runner.distributions import has_closed_form_kl, log_ratio
from vae_runner.evaluation import udr
from vae_runner.evaluation.score import Array
from vae_runner.experiment.scoring.records import Record, figures, made
from vae_runner.experiment.scoring.subject import Subject
from vae_runner.randomness import isolated
from vae_runner.runs.names import TENSORBOARD

__all__ = ["OF_SEEDS", "Portrait", "alike", "compared", "portrait"]

OF_SEEDS = {"udr": "lasso", "udr_spearman": "spearman"}  # and how they relate codes
ROWS = "udr"  # whose draws both share
# Settings that do not change what is learned, but in its last digits.
APART = {
    "engine": ("seed", "device", "threads", "progress", TENSORBOARD),
    "dataset": ("root", "download", "cache_dir"),
}


@dataclass(frozen=True)
class Portrait:
    """What is compared of a run: codes of the part's images, the KL of each latent, what must be the same, and how it
    was made, with the name that a record has.
    """

    setting: str
    codes: Array
    kl: Array
    made: Record
    kept_as: Callable[[str], str]


def portrait(subject: Subject) -> Portrait:
    """Of the images drawn for UDR."""
    begun, rows = time.perf_counter(), subject.rows(ROWS)
    codes, kl = subject.codes(rows, ROWS), _kl(subject, rows)
    how = made(subject, len(np.unique(rows)), {"samples": len(rows)}, time.perf_counter() - begun)
    return Portrait(_setting(subject), codes, kl, how, subject.kept_as)


def alike(portraits: Sequence[Portrait]) -> list[list[int]]:
    """The places of those of one setting, for each setting that two or more have."""
    found: dict[str, list[int]] = {}
    for place, one in enumerate(portraits):
        found.setdefault(one.setting, []).append(place)
    return [places for places in found.values() if len(places) > 1]


def compared(portraits: Sequence[Portrait], name: str) -> list[Record]:
    """The record of the score of that name, of each of several runs of one setting."""
    method: Any = OF_SEEDS[name]
    found = udr([one.codes for one in portraits], [one.kl for one in portraits], method)
    runs = {"runs": len(portraits)}
    return [
        {**figures(score, ()), **one.made, "settings": {**one.made["settings"], **runs}}
        for score, one in zip(found, portraits, strict=True)
    ]


def _setting(subject: Subject) -> str:
    """The run's config without its seed, and its data: equal where runs differ in nothing else."""
    config: dict[str, Any] = copy.deepcopy(dict(subject.run.config))
    for name in ("seed", "visualisation", "evaluation", "tags", "note", "logger"):
        config.pop(name, None)
    for node, names in APART.items():
        if isinstance(config.get(node), Mapping):
            config[node] = {key: value for key, value in config[node].items() if key not in names}
    return json.dumps(
        [config, subject.run.step, subject.part, len(subject), subject.data.fingerprint()], sort_keys=True, default=str
    )


def _kl(subject: Subject, rows: Array) -> Array:
    """The mean KL of each latent, (D,), nats."""
    closed, total = [has_closed_form_kl(*pair) for pair in subject.model.pairs()], np.zeros(subject.dims)
    with isolated(subject.seed("udr/kl"), subject.run.device), torch.no_grad():
        for _, posteriors in subject.posteriors(rows, by_place=True):
            each = zip(posteriors, subject.model.priors(), closed, strict=True)
            kls = [kl_divergence(q, p) if is_closed else log_ratio(q, p, q.sample()) for q, p, is_closed in each]
            total += torch.cat(kls, 1).double().sum(0).cpu().numpy()
    return total / len(rows)
