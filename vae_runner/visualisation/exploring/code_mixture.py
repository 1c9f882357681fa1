"""A mixture of Gaussians with full covariances, fitted to codes: where the images' codes do not fill the prior, draws
of it decode to better images (Ghosh et al. 2020, arXiv 1903.12436). It needs scikit-learn, extra `evaluate`.
"""

import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from vae_runner.evaluation.learners import fitted, learner
from vae_runner.visualisation.exploring.program import packed

__all__ = ["mixture_of"]

COMPONENTS = 10
LARGEST = 40  # latents; the covariances of more are too many numbers for a few thousand codes
FEWEST = 200  # codes


def mixture_of(priors: Sequence[Distribution], codes: Tensor) -> dict[str, Any] | None:
    """Returns the mixture fitted to samples (N, D) of the posteriors, those of all spaces beside each other; None where
    there are too few codes for their number, latents that are not on the whole line, or no scikit-learn.
    """
    count, dims = codes.shape
    components = min(COMPONENTS, count // max(20, 2 * dims)) if count >= FEWEST else 0
    on_line = all(prior.support is constraints.real for prior in priors)
    if not (on_line and components and dims <= LARGEST and codes.isfinite().all()) or not _is_there():
        return None
    model = learner("mixture").GaussianMixture(components, covariance_type="full", random_state=0)
    mixture, _ = fitted(model, codes.double().cpu().numpy(), None)  # type: ignore[arg-type]
    lower = np.linalg.cholesky(mixture.covariances_)
    known = {"means": packed(torch.from_numpy(mixture.means_)), "lower": packed(torch.from_numpy(lower))}
    return {"weights": [float(f"{weight:.5g}") for weight in mixture.weights_], **known}


def _is_there() -> bool:
    return importlib.util.find_spec("sklearn") is not None
