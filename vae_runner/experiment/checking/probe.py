"""Before the first step, one batch and one decoding: does each part give what the next one takes?

Torch itself says of most mistakes only which two shapes cannot be multiplied, far from their cause, and of images in
0..255 nothing at all: the loss is a number, and falls. Here each part is judged alone (`chain`), by the shape, the kind
and the range of what it gives; where one fails, those behind it get what it should have given, so that all mistakes are
told at once. In training mode on a few images, and in evaluation mode on one alone, where a `squeeze` too many takes
the batch away.

A copy is asked, under generators of its own, and the run is the same to the bit.
"""

import copy
import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vae_runner.auto_encoder import VAE
from vae_runner.corruption import Clean, Corruption
from vae_runner.datasets.reading.pixel_range import SLACK, remedy
from vae_runner.datasets.split import Subset
from vae_runner.engine import Engine
from vae_runner.errors import RunError, UserError, in_words
from vae_runner.experiment.checking.chain import Chain, kind_of, kind_problem, named
from vae_runner.randomness import all_isolated

__all__ = ["check_images", "check_kinds", "check_model", "images_problem", "probe"]

log = logging.getLogger(__name__)

LOOKED_AT = 64  # images whose values are looked at
FEW = 4  # images that go through the model


def probe(engine: Engine, config: Mapping[str, Any]) -> None:
    """Raises `UserError` with a line for each part that gives something else than it must."""
    with all_isolated(0, engine.device):
        x, problems = _images(engine.train, config)
        for subset in filter(None, (engine.validation, engine.test)):
            problems = problems or _images(subset, config)[1]
        if x is None:
            x = torch.full((FEW, *engine.train.data.image_shape), 0.5, device=engine.device)
        model = engine.objective.model
        problems += Chain(model, config, x[:FEW]).augmented(engine.batches.augmentation)
        problems += _model_problems(model, x[:FEW], config, engine.corruption, engine.precision)
    if problems:
        raise UserError("\n".join(dict.fromkeys(problems)))


def check_images(subset: Subset, config: Mapping[str, Any]) -> None:
    """Raises `UserError` where images of the subset are not what a model can take."""
    with all_isolated(0, subset.indices.device):
        problems = _images(subset, config)[1]
    if problems:
        raise UserError("\n".join(problems))


def check_model(model: VAE, image_shape: tuple[int, int, int], config: Mapping[str, Any]) -> None:
    """As `probe`, of a model alone, on gray images of that shape."""
    device = next(model.parameters()).device
    with all_isolated(0, device):
        x = torch.full((FEW, *image_shape), 0.5, device=device)
        problems = _model_problems(model, x, config, Clean(), "fp32")
    if problems:
        raise UserError("\n".join(problems))


def check_kinds(config: Mapping[str, Any], **parts: Any) -> None:
    """Raises `UserError` with a line for each part that is of another kind than it must be; by its name in the config,
    with `_` for a dot.
    """
    problems = [
        f"{named(name.replace('_', '.'), config)} {problem}"
        for name, part in parts.items()
        if (problem := kind_problem(name, part))
    ]
    if problems:
        raise UserError("\n".join(problems))


def _images(subset: Subset, config: Mapping[str, Any]) -> tuple[Tensor | None, list[str]]:
    """Images from all over the subset, where they are fit for use, and what is wrong with them."""
    name, wanted = named("dataset", config), tuple(subset.data.image_shape)
    count = min(len(subset), LOOKED_AT)
    chosen = torch.linspace(0, len(subset) - 1, count, dtype=torch.float64).round().long()
    positions = chosen.to(subset.indices.device)
    try:
        x = subset.batch(positions)
    except (UserError, RunError):
        raise
    except Exception as error:
        return None, [f"{name} cannot gather {count} of its {len(subset.data):,} images: {in_words(error)}"]
    if problem := images_problem(x, count, wanted, subset.indices[positions]):
        return None, [f"{name} {problem}"]
    if 0 < float(x.max()) < 1.5 / 255:
        log.warning("%s: the brightest of %s images is %.2g of 1: divided by 255 twice?", name, count, float(x.max()))
    elif float(x.max()) == float(x.min()):
        log.warning("%s: %s images have one and the same value everywhere, %.3g", name, count, float(x.max()))
    return x, []


def images_problem(x: Any, count: int, wanted: tuple[int, ...], indices: Tensor) -> str | None:
    """What is wrong with what `gather` gave for these indices."""
    expected = f"expected a float32 tensor {(count, *wanted)} in [0, 1]"
    if not isinstance(x, Tensor):
        return f"gives {kind_of(x)} for {count} images, {expected}"
    if tuple(x.shape) != (count, *wanted):
        return f"gives {tuple(x.shape)} for {count} images, {expected}{_about_shape(x, wanted)}"
    if x.dtype != torch.float32:
        low, high = float(x.min()), float(x.max())
        how = "x.float()" if high <= 1 else "x.float() / 255" if x.dtype == torch.uint8 else "float32 in [0, 1] of them"
        return f"gives {str(x.dtype).removeprefix('torch.')} from {low:g} to {high:g}, {expected}: make it {how}"
    per_image = x.flatten(1)
    if not (finite := per_image.isfinite().all(1)).all():
        return f"gives values that are not finite in {_which(~finite, indices)}; {expected}"
    low, high = float(x.min()), float(x.max())
    if low < -SLACK or high > 1 + SLACK:
        outside = ((per_image < -SLACK) | (per_image > 1 + SLACK)).any(1)
        return (
            f"gives values from {low:.4g} to {high:.4g}, in {_which(outside, indices)}; {expected}: {remedy(low, high)}"
        )
    return None


def _which(chosen: Tensor, indices: Tensor) -> str:
    """'3 of 64 images (first: 17)', by the index in the data set."""
    where = chosen.cpu().nonzero().flatten()
    return f"{len(where)} of {len(chosen)} images (first: {int(indices.cpu()[where[0]])})"


def _about_shape(x: Tensor, wanted: tuple[int, ...]) -> str:
    """What would bring a batch into the shape that is wanted, where that is plain."""
    channels, *size = wanted
    if tuple(x.shape[1:]) == (*size, channels):
        return ": channels come first, x.permute(0, 3, 1, 2)"
    if x.dim() == 3 and channels == 1 and list(x.shape[1:]) == size:
        return ": x[:, None] adds the channel"
    return f"; its image_shape is {wanted}" if x.dim() == 4 else ""


def _model_problems(
    model: VAE, x: Tensor, config: Mapping[str, Any], corruption: Corruption, precision: str
) -> list[str]:
    """In training mode on all the images, and, where nothing is wrong there, in evaluation mode on one. A model that
    cannot be copied is not asked in training mode, where batch norms and the like move.
    """
    try:
        model, modes = copy.deepcopy(model), (True, False)
    except Exception:
        modes = (False,)
    was_training, problems = model.training, []
    for train in modes:
        model.train(train)
        with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=train and precision == "bf16"):
            problems = problems or list(Chain(model, config, x if train else x[:1]).problems(corruption))
    model.train(was_training)
    return problems
