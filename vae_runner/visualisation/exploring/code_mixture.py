"""The mixture of Gaussians that a page can draw codes of: `gaussian_mixture`, of few enough numbers for a page."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.visualisation.exploring.program import packed
from vae_runner.visualisation.gaussian_mixture import fit_mixture, why_no_mixture

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
    if not (components and dims <= LARGEST and codes.isfinite().all()) or why_no_mixture(priors):
        return None
    mixture = fit_mixture(codes, components)
    known = {"means": packed(torch.from_numpy(mixture.means)), "lower": packed(torch.from_numpy(mixture.lower))}
    return {"weights": [float(f"{weight:.5g}") for weight in mixture.weights], **known}
