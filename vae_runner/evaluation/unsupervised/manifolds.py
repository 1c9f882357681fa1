"""Precision and recall of samples (Kynkaanniemi et al. 2019, arXiv 1904.06991): do they lie where images lie, and do
images lie where samples do?

A set of features stands for the union of balls about each of them, which reach to its third neighbour in the set.

    precision = share of the samples that lie in a ball of the images
    recall    = share of the images that lie in a ball of the samples
"""

from typing import Any

import torch
from torch import Tensor

from vae_runner.evaluation.score import Score, as_codes

__all__ = ["precision", "recall"]

NEIGHBOURS = 3
AT_ONCE = 1000  # rows of distances


def precision(images: Any, samples: Any, neighbours: int = NEIGHBOURS) -> Score:
    """Returns the precision, in [0, 1], of features of images (N, F) and of samples (M, F).

    Raises `ValueError` for fewer images than neighbours and one, or for features of other networks.
    """
    return _share(images, samples, neighbours)


def recall(images: Any, samples: Any, neighbours: int = NEIGHBOURS) -> Score:
    """Returns the recall, in [0, 1], of features of images (N, F) and of samples (M, F).

    Raises `ValueError` for fewer samples than neighbours and one, or for features of other networks.
    """
    return _share(samples, images, neighbours)


def _share(balls: Any, points: Any, neighbours: int) -> Score:
    """The share of the points that lie in a ball."""
    centres, others = (torch.from_numpy(as_codes(one)) for one in (balls, points))
    if len(centres) <= neighbours or centres.shape[1] != others.shape[1] or neighbours < 1:
        shapes = f"{tuple(centres.shape)} and {tuple(others.shape)}"
        raise ValueError(f"features of more than {neighbours} images, of one network, got {shapes}")
    origin = centres.mean(0)  # distances are of small numbers, then
    centres, others = centres - origin, others - origin
    radii = torch.cat([_apart(part, centres).kthvalue(neighbours + 1, 1).values for part in centres.split(AT_ONCE)])
    inside = torch.cat([(_apart(part, centres) <= radii).any(1) for part in others.split(AT_ONCE)])
    return Score(float(inside.double().mean()), others={"neighbours": float(neighbours)})


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """The distances (A, B) of features (A, F) and (B, F); of few features without a product, which would round."""
    mode = "donot_use_mm_for_euclid_dist" if one.shape[1] <= 64 else "use_mm_for_euclid_dist"
    return torch.cdist(one, other, compute_mode=mode)
