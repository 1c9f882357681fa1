"""A model asked part by part, in the order in which images go through it, and what is wrong with what each one gives.

    images x (B, C, H, W) in [0, 1]  ->  encoder (B, num_features)  ->  q(z|x) (B, dims), samples z
        ->  decoder (B, C', H, W)  ->  likelihood: -log p(x|z) (B,), images (B, C, H, W)

A part that comes behind one that has failed is given what that should have given.
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vae_runner.augmentation import Augmentation
from vae_runner.auto_encoder import VAE
from vae_runner.corruption import Corruption
from vae_runner.errors import in_words
from vae_runner.experiment.checking.check import spaces_of
from vae_runner.latent_space import LatentSpace
from vae_runner.likelihood import Bernoulli, Likelihood

__all__ = ["Chain", "kind_of", "kind_problem", "named"]

log = logging.getLogger(__name__)


class Chain:
    """The parts of a model in the order in which images go through them."""

    def __init__(self, model: VAE, config: Mapping[str, Any], x: Tensor) -> None:
        self.model, self.config, self.x, self.count = model, config, x, len(x)
        self.images = f"{self.count} image{'s' if self.count > 1 else ''} {'x'.join(map(str, x.shape[1:]))}"
        channels, *size = x.shape[1:]
        self.raw_shape = (self.count, channels * model.likelihood.channels_per_channel, *size)

    def augmented(self, augmentation: Augmentation) -> list[str]:
        """A line where that gives something else than images as they came in."""
        made, wrong = self._given("augmentation", lambda: augmentation(self.x), tuple(self.x.shape), self.images)
        if not wrong and not 0 <= float(made.min()) <= float(made.max()) <= 1:
            low, high = float(made.min()), float(made.max())
            wrong = [f"{named('augmentation', self.config)} gives values from {low:g} to {high:g}, expected [0, 1]"]
        return wrong

    def problems(self, corruption: Corruption) -> Iterator[str]:
        """Yields a line for each part that gives something else than it must; stand-ins for what it should give."""
        model = self.model
        x, wrong = self._given("corruption", lambda: corruption(self.x), tuple(self.x.shape), self.images)
        yield from wrong
        x = self.x if wrong else x
        width = model.encoder.num_features
        features, wrong = self._given(
            "architecture.encoder",
            lambda: model.encoder(x),
            (self.count, width),
            self.images,
            f"as its num_features={width} says",
        )
        yield from wrong
        features, codes = None if wrong else features, []
        for (name, _), space in zip(self._spaces(), model.spaces, strict=True):
            code, wrong = self._code(name, space, features)
            codes.append(code)
            yield from wrong
        z = torch.cat(codes, dim=1)
        raw, wrong = self._given(
            "architecture.decoder", lambda: model.decoder(z), self.raw_shape, f"codes {tuple(z.shape)}",
            "the likelihood's parameters for each number of an image",
        )  # fmt: skip
        yield from wrong
        raw = torch.zeros(self.raw_shape, device=x.device) if wrong else raw
        yield from self._likelihood(raw)
        if not wrong and self.count > 1 and isinstance(model.likelihood, Bernoulli):
            self._tell_sigmoid(raw)

    def _spaces(self) -> list[tuple[str, Any]]:
        nodes = spaces_of(self.config["distribution"])
        return [(f"distribution.{name}" if name else "distribution", node) for name, node in nodes.items()]

    def _code(self, name: str, space: LatentSpace, features: Tensor | None) -> tuple[Tensor, list[str]]:
        """A sample of the space's posterior, with the head's own numbers where there are features."""
        shape = (self.count, space.dims)
        of = f"{(self.count, space.num_parameters)} numbers of the network"
        made, wrong = self._attempt(name, lambda: space.posterior(self._numbers(space, features)), of)
        for method in ("rsample", "log_prob", "mean") if not wrong else ():
            if not hasattr(made, method):
                wrong = [f"{named(name, self.config)}: its posterior, a {type(made).__name__}, has no {method}"]
        code: Any = None
        for words, give in (("mean", lambda: made.mean), ("samples", lambda: made.rsample())):
            if not wrong:
                code, wrong = self._given(name, give, shape, f"the {words} of its posterior")
        return (torch.zeros(shape, device=self.x.device) if wrong else code), wrong

    def _numbers(self, space: LatentSpace, features: Tensor | None) -> Tensor:
        """What the head makes of the features for that space, (B, num_parameters); zeros where there are none."""
        if features is None:
            return torch.zeros(self.count, space.num_parameters, device=self.x.device)
        parts = self.model.head(features).split([each.num_parameters for each in self.model.spaces], dim=1)
        return next(part for each, part in zip(self.model.spaces, parts, strict=True) if each is space)

    def _likelihood(self, raw: Tensor) -> Iterator[str]:
        part, given = self.model.likelihood, f"{self.count} images"
        nats = "the nats of each image: .flatten(1).sum(1) of those of its pixels"
        yield from self._given("likelihood", lambda: part.nll(raw, self.x), (self.count,), f"nll of {given}", nats)[1]
        yield from self._given("likelihood", lambda: part.mean(raw), tuple(self.x.shape), f"mean of {given}")[1]

    def _tell_sigmoid(self, raw: Tensor) -> None:
        """Logits have both signs: where none of so many is negative, they have been through a sigmoid."""
        if float(raw.min()) >= 0 and float(raw.max()) <= 1:
            log.warning(
                "%s gives numbers from %.2f to %.2f: likelihood=bernoulli takes logits, of both signs; leave a last "
                "sigmoid or ReLU out",
                named("architecture.decoder", self.config), float(raw.min()), float(raw.max()),
            )  # fmt: skip

    def _given(
        self, name: str, give: Callable[[], Any], shape: tuple[int, ...], of: str, meaning: str = ""
    ) -> tuple[Any, list[str]]:
        """What the part gives for `of`, and what is wrong with it: it is to be a finite floating tensor of `shape`."""
        made, wrong = self._attempt(name, give, of)
        if wrong:
            return made, wrong
        expected = f"expected {shape}{f', {meaning}' if meaning else ''}"
        problem = None
        if not isinstance(made, Tensor):
            problem = f"gives {kind_of(made)} for {of}, expected one tensor {shape}{f', {meaning}' if meaning else ''}"
        elif tuple(made.shape) != shape:
            problem = f"gives {tuple(made.shape)} for {of}, {expected}{_about_shape(made, shape)}"
        elif not made.is_floating_point():
            problem = f"gives {str(made.dtype).removeprefix('torch.')} for {of}, expected floats"
        elif made.dtype == torch.float64 and name != "likelihood":
            problem = f"gives float64 for {of}, expected float32"
        elif made.device != self.x.device:
            problem = f"gives a tensor on {made.device} for {of} on {self.x.device}"
        elif not made.isfinite().all():
            problem = (
                f"gives numbers that are not finite for {of}: {int((~made.isfinite()).sum()):,} of {made.numel():,}"
            )
        return made, [f"{named(name, self.config)} {problem}"] if problem else []

    def _attempt(self, name: str, give: Callable[[], Any], of: str) -> tuple[Any, list[str]]:
        try:
            return give(), []
        except Exception as error:
            return None, [f"{named(name, self.config)} fails on {of}: {in_words(error)}"]


def _about_shape(made: Tensor, shape: tuple[int, ...]) -> str:
    """What would bring it into that shape, where that is plain."""
    if made.numel() != math.prod(shape):
        return ""
    if made.dim() > len(shape) == 2:
        return "; .flatten(1) makes it so"
    if shape[0] == 1 and tuple(made.shape) == tuple(size for size in shape if size != 1):
        return "; a squeeze has taken the batch away: give it its dimension, or leave it out"
    return f"; .unflatten(1, {shape[1:]}) makes it so" if made.dim() == 2 < len(shape) else ""


def kind_problem(name: str, part: Any) -> str | None:
    """Returns what is wrong with the kind of a part, named as in the config, `_` for a dot; None where nothing is."""
    kinds = {"likelihood": Likelihood, "distribution": LatentSpace}
    kind = kinds.get(name, nn.Module)
    if not isinstance(part, kind):
        wanted = "torch.nn.Module" if kind is nn.Module else f"{kind.__module__}.{kind.__qualname__}"
        return f"must be a {wanted}, got {kind_of(part)}"
    if name != "architecture_encoder":
        return None
    width = getattr(part, "num_features", None)
    if isinstance(width, int) and not isinstance(width, bool) and width > 0:
        return None
    got = f"got {width!r}" if hasattr(part, "num_features") else "which is missing"
    return f"must say in num_features how many numbers it makes of an image, {got}: set self.num_features in __init__"


def named(key: str, config: Mapping[str, Any]) -> str:
    """'architecture.encoder (own.Encoder)'."""
    node: Any = config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    if key == "dataset" and isinstance(node, Mapping) and isinstance(node.get("dataset"), Mapping):
        node = node["dataset"]
    target = node.get("_target_") if isinstance(node, Mapping) else None
    return f"{key} ({target})" if target else key


def kind_of(made: Any) -> str:
    """'a tuple of 2', 'None', 'a numpy.ndarray'."""
    if made is None:
        return "None"
    home = type(made).__module__
    return f"a {'' if home == 'builtins' else home + '.'}{type(made).__name__}" + (
        f" of {len(made)}" if isinstance(made, (tuple, list, dict)) else ""
    )
