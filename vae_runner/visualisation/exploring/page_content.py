"""All that a page on which a decoder runs is made of, as plain containers: `drawing.explorer` makes the page.

Images of the data stand in it with their codes, to start from, and the codes alone of many more, for a map of them,
with the value of each factor as a byte: of one with values from the lowest to the highest, of one that goes in a circle
its angle, of one with classes the class.
"""

import base64
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.auto_encoder import VAE
from vae_runner.datasets.base import ImageData
from vae_runner.drawing.paint import as_image, as_png, to_pixels
from vae_runner.randomness import isolated
from vae_runner.visualisation.exploring.code_mixture import mixture_of
from vae_runner.visualisation.exploring.moved_latents import draws_of, latents_of, spaces_of
from vae_runner.visualisation.exploring.program import packed
from vae_runner.visualisation.exploring.recording import recorded
from vae_runner.visualisation.picture import BATCH

__all__ = ["Shown", "content", "decoder_of"]

SECONDS = 5.0  # that the encoding of images may take; what is slower has fewer on its map
KINDS = ("values", "classes", "circle")


@dataclass(frozen=True)
class Shown:
    """The images that a page shows: so many to start from, and the places of more for its map.

    Example:
        >>> Shown(data=None, indices=torch.arange(5), starts=2).starts  # of five on the map
        2
    """

    data: ImageData
    indices: Tensor
    starts: int


def decoder_of(model: VAE) -> dict[str, Any]:
    """Returns the program that makes the likelihood's mean of a code. Raises `UserError` for an unknown layer."""

    def decode(codes: Tensor) -> Tensor:
        return model.likelihood.mean(model.raw(codes))

    return recorded(decode, model, sum(model.latent_dims)).plain()


def content(model: VAE, program: dict[str, Any], shown: Shown) -> dict[str, Any]:
    """Returns what the page has besides its name; the model is in evaluation mode."""
    starts, posteriors, count = _encoded(model, shown)
    means = torch.cat([posterior.mean for posterior in posteriors], 1).cpu()
    factors = {name: values.cpu() for name, values in shown.data.factors(shown.indices[:count]).items()}
    with isolated(0, means.device):
        drawn = torch.cat([posterior.sample() for posterior in posteriors], 1).cpu()
    return {
        "program": program,
        "spaces": spaces_of(model),
        "latents": latents_of(model, posteriors, factors),
        "start": {
            "pictures": [_picture(pixels) for pixels in to_pixels(starts.float().cpu().numpy(), "explore")],
            "codes": [[float(f"{value:.6g}") for value in code] for code in means[: len(starts)].tolist()],
            "indices": shown.indices[: len(starts)].tolist(),
        },
        "map": {"count": count, "codes": packed(means), "factors": _coloured(factors, shown.data.factor_classes)},
        "mixture": mixture_of(model.priors(), drawn),
        "draws": draws_of(model),
    }


def _picture(pixels: np.ndarray) -> str:
    """(H, W, C) uint8 as an address that holds all of it."""
    return "data:image/png;base64," + base64.b64encode(as_png(as_image(pixels))).decode()


def _encoded(model: VAE, shown: Shown) -> tuple[Tensor, Sequence[Distribution], int]:
    """The images to start from, q(z|x) of those of the map, and how many these are."""
    device, began = next(model.parameters()).device, time.monotonic()
    raws: list[tuple[Distribution, ...]] = []
    starts = shown.data.gather(shown.indices[: shown.starts])
    count = 0
    for indices in shown.indices.split(BATCH):
        raws.append(model.posteriors(shown.data.gather(indices).to(device)))
        count += len(indices)
        if time.monotonic() - began > SECONDS:
            break
    return starts, [_together(parts) for parts in zip(*raws, strict=True)], count


def _together(parts: Sequence[Distribution]) -> Distribution:
    """Posteriors of several batches as one."""
    first: Any = parts[0]
    names = getattr(first, "parameter_names", None) or tuple(first.arg_constraints)
    values = {name: torch.cat([getattr(part, name) for part in parts]) for name in names}
    return type(first)(**values, validate_args=False)


def _coloured(factors: Mapping[str, Tensor], classes: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    found = []
    for name, values in factors.items():
        kind = KINDS[2] if values.dim() == 2 else KINDS[0] if values.is_floating_point() else KINDS[1]
        levels, ends = _levels(values.double().numpy(), kind)
        labels = [str(label) for label in classes.get(name, ())]
        data = base64.b64encode(levels.astype(np.uint8).tobytes()).decode()
        found.append({"name": name, "kind": kind, "labels": labels, "ends": ends, "levels": data})
    return found


def _levels(values: np.ndarray, kind: str) -> tuple[np.ndarray, list[float]]:
    """A byte for each of the values, and which the lowest and the highest are."""
    if kind == KINDS[2]:
        turns = np.arctan2(values[:, 1], values[:, 0]) / (2 * math.pi) % 1 if values.shape[1] == 2 else values[:, 0] * 0
        return np.floor(turns * 256) % 256, []
    if kind == KINDS[1]:
        return values % 256, []
    low, high = float(values.min()), float(values.max())
    return np.round((values - low) / ((high - low) or 1) * 255), [low, high]
