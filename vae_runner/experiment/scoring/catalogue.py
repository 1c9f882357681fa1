"""Which scores of a run there are, what each needs, and how it is made of a `Subject`: docs/evaluation.md."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vae_runner import evaluation as of
from vae_runner.auto_encoder import evaluating
from vae_runner.distributions import has_closed_form_kl, log_ratio
from vae_runner.engine import choose_precision
from vae_runner.evaluation import ActiveUnits, Draws, Evidences, Fidelity, Score
from vae_runner.evaluation.score import Array
from vae_runner.experiment.scoring.subject import BATCH, Subject
from vae_runner.foreign import dig
from vae_runner.randomness import isolated

__all__ = ["CATALOGUE", "DEFAULT", "OF_FEATURES", "Entry", "Watch"]

Watch = Callable[[Iterable[Any]], Iterable[Any]]
IMAGES = 1000  # of which log p(x) is estimated at most
FEW = 16  # images whose samples are decoded together
MANY, CHECKED = 512, 64  # samples of an image that are worth bf16, and those that are decoded in fp32 again
PAIRS = 64  # images of a vote, pairs of a feature


@dataclass(frozen=True)
class Entry:
    """How a score is made, and of what.

    make            of the subject and the score's name, and what watches trees grow
    needs_factors   it cannot be made for a data set that states none
    needs_grid      nor for one that lacks combinations of them: it judges one factor while all others vary
    is_slow         minutes: made where it is asked for by name alone
    needs_features  it is of a network of features, and made where there is one
    """

    make: Callable[[Subject, str, Watch], tuple[Score, int, dict[str, Any]]]
    needs_factors: bool = False
    needs_grid: bool = False
    is_slow: bool = False
    needs_features: bool = False


def _of_draws(score: Callable[[Any, Any], Score], needs_grid: bool = False) -> Entry:
    """A score of codes and factors."""

    def make(subject: Subject, name: str, watch: Watch) -> tuple[Score, int, dict[str, Any]]:
        rows = subject.rows(name)
        return score(subject.codes(rows, name), subject.factors(rows)), len(np.unique(rows)), {"samples": len(rows)}

    return Entry(make, needs_factors=True, needs_grid=needs_grid)


def _of_codes(score: Callable[[Any], Score]) -> Entry:
    """A score of codes alone."""

    def make(subject: Subject, name: str, watch: Watch) -> tuple[Score, int, dict[str, Any]]:
        rows = subject.rows(name)
        return score(subject.codes(rows, name)), len(np.unique(rows)), {"samples": len(rows)}

    return Entry(make)


def _of_two_parts(score: Callable[..., Score], is_slow: bool = False, **options: Callable[[Subject], Any]) -> Entry:
    """A score that fits on some images and judges on others."""

    def make(subject: Subject, name: str, watch: Watch) -> tuple[Score, int, dict[str, Any]]:
        rows, others = subject.two_rows(name)
        parts = [part for some in (rows, others) for part in (subject.codes(some, name), subject.factors(some))]
        given = {key: option(subject) for key, option in options.items()}
        found = score(*parts, **given, **({"watch": watch} if "jobs" in options else {}))
        return found, len(np.unique(np.concatenate([rows, others]))), {"samples": len(rows), "test": len(others)}

    return Entry(make, needs_factors=True, is_slow=is_slow)


def _of_batches(score: Callable[..., Score]) -> Entry:
    """A score of batches with a factor fixed, from all images of the part."""

    def make(subject: Subject, name: str, watch: Watch) -> tuple[Score, int, dict[str, Any]]:
        rows, count = np.arange(len(subject)), subject.settings.samples
        draws = Draws(subject.codes(rows, name), subject.factors(rows), subject.seed(name))
        sizes = {"train": count, "test": max(count // 2, 1), "batch": PAIRS}
        return score(draws, **sizes), len(rows), sizes

    return Entry(make, needs_factors=True, needs_grid=True)


def _of_features(score: Callable[[Any, Any], Score]) -> Entry:
    """A score of features of images and of samples."""

    def make(subject: Subject, name: str, watch: Watch) -> tuple[Score, int, dict[str, Any]]:
        images, samples = subject.features
        sizes = {"samples": len(samples), "inception": str(subject.settings.inception)}
        return score(images, samples), len(images), sizes

    return Entry(make, needs_features=True)


def _posterior_mig(subject: Subject, name: str, watch: Watch) -> tuple[Score, int, dict[str, Any]]:
    rows = subject.rows(name)
    found = of.posterior_mig(*subject.normals(rows), subject.factors(rows))
    return found, len(np.unique(rows)), {"samples": len(rows)}


def _prior_match(subject: Subject, name: str, watch: Watch) -> tuple[Score, int, dict[str, Any]]:
    rows = subject.rows(name)
    with isolated(subject.seed(name), subject.run.device):
        draws = torch.cat([prior.sample((len(rows),)) for prior in subject.model.priors()], 1)
    return of.prior_match(subject.samples(rows, name), draws), len(np.unique(rows)), {"samples": len(rows)}


def _active_units(subject: Subject, name: str, watch: Watch) -> tuple[Score, int, dict[str, Any]]:
    rows, units = subject.some(name, subject.settings.samples), ActiveUnits()
    for _, posteriors in subject.posteriors(rows):
        units.add(posteriors)
    found = units.read()
    variances = [number for key, values in found.items() if isinstance(values, list) for number in values]
    return Score(float(found["active_units"]), per_latent=variances), len(rows), {}  # type: ignore[arg-type]


def _rate(subject: Subject, name: str, watch: Watch) -> tuple[Score, int, dict[str, Any]]:
    """-ELBO, which is the rate (the KL, also of each latent) and the distortion, -log p(x|z), one z for each image."""
    rows, model = subject.some(name, subject.settings.samples), subject.model
    rates: list[Array] = []
    distortions: list[Array] = []
    with isolated(subject.seed(name), subject.run.device), evaluating(model):
        closed = [has_closed_form_kl(*pair) for pair in model.pairs()]
        for images, (_, qs) in zip(subject.images(rows), subject.posteriors(rows), strict=True):
            ps = model.priors()
            codes = [q.sample() for q in qs]
            kls = [
                torch.distributions.kl_divergence(q, p) if is_closed else log_ratio(q, p, z)
                for q, p, z, is_closed in zip(qs, ps, codes, closed, strict=True)
            ]
            rates.append(torch.cat(kls, 1).double().cpu().numpy())
            raw = model.raw(torch.cat(codes, 1))
            distortions.append(model.likelihood.nll(raw, images).double().cpu().numpy())
    rate, distortion = np.concatenate(rates), np.concatenate(distortions)
    each = rate.sum(1) + distortion
    size = int(np.prod(subject.data.image_shape))
    others = {"rate": float(rate.sum(1).mean()), "distortion": float(distortion.mean())}
    others |= {"error": _error(each), "bits_per_dim": model.likelihood.bits_per_dim(float(each.mean()), size)}
    return Score(float(each.mean()), per_latent=rate.mean(0).tolist(), others=others), len(rows), {}


def _log_px(subject: Subject, name: str, watch: Watch) -> tuple[Score, int, dict[str, Any]]:
    rows, k = subject.some(name, min(IMAGES, subject.settings.samples)), subject.settings.k
    found, checked = Evidences(k), _checked(subject)
    with isolated(subject.seed(name), subject.run.device):
        seen = zip(subject.images(rows, FEW), subject.posteriors(rows, at_once=FEW), strict=True)
        for images, (_, posteriors) in watch(list(seen)):
            found.add(*of.log_evidence(subject.model, images, k, posteriors=posteriors, corrected_by=checked))
    return found.read(), len(rows), {"k": k} if checked is None else {"k": k, "corrected_by": checked}


def _checked(subject: Subject) -> int | None:
    """How many of many samples are decoded in fp32 again, where the run would train in bf16 on this machine; None: all
    are in fp32.
    """
    trained = dig(subject.run.config, "engine", "precision") or "auto"
    is_rough = choose_precision(trained, subject.run.device) == "bf16"
    return CHECKED if is_rough and subject.settings.k >= MANY else None


def _reconstruction(subject: Subject, name: str, watch: Watch) -> tuple[Score, int, dict[str, Any]]:
    rows, found = subject.some(name, subject.settings.samples), Fidelity()
    with evaluating(subject.model):
        for start, images in enumerate(subject.images(rows)):
            codes = subject.codes(rows[start * BATCH : (start + 1) * BATCH], name)
            raw = subject.model.raw(torch.from_numpy(codes).to(images.device))
            found.add(images, subject.model.likelihood.mean(raw))
    return found.read(), len(rows), {}


def _error(values: Array) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def _seed(name: str) -> Callable[[Subject], int]:
    return lambda subject: subject.seed(name)


def _jobs(subject: Subject) -> int | None:
    return subject.settings.jobs


CATALOGUE: dict[str, Entry] = {
    "mig": _of_draws(of.mig),
    "rmig": _of_draws(of.rmig),
    "mig_sup": _of_draws(of.mig_sup),
    "posterior_mig": Entry(_posterior_mig, needs_factors=True),
    "dci": _of_two_parts(of.dci, is_slow=True, seed=_seed("dci/fit"), jobs=_jobs),
    "dci_forest": _of_two_parts(of.dci_forest, seed=_seed("dci_forest/fit"), jobs=_jobs),
    "dci_linear": _of_two_parts(of.dci_linear, seed=_seed("dci_linear/fit"), jobs=_jobs),
    "sap": _of_two_parts(of.sap, seed=_seed("sap/fit")),
    "sap_continuous": _of_draws(of.sap_continuous),
    "factor_vae": _of_batches(of.factor_vae_score),
    "beta_vae": _of_batches(of.beta_vae_score),
    "modularity": _of_draws(of.modularity),
    "explicitness": _of_two_parts(of.explicitness),
    "irs": _of_draws(of.irs, needs_grid=True),
    "infomec": _of_draws(of.infomec),
    "total_correlation": _of_codes(of.gaussian_total_correlation),
    "wasserstein": _of_codes(of.wasserstein_correlation),
    "shared_information": _of_codes(of.shared_information),
    "active_units": Entry(_active_units),
    "rate_distortion": Entry(_rate),
    "log_px": Entry(_log_px),
    "reconstruction": Entry(_reconstruction),
    "prior_match": Entry(_prior_match),
    "fid": _of_features(of.frechet_distance),
    "precision": _of_features(of.precision),
    "recall": _of_features(of.recall),
}
OF_FEATURES = tuple(name for name, entry in CATALOGUE.items() if entry.needs_features)
DEFAULT = tuple(name for name, entry in CATALOGUE.items() if not entry.is_slow and name not in OF_FEATURES)
