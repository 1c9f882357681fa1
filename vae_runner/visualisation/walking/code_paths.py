"""Walks between two codes, and between the codes of two images, along one of two `ways`."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from vae_runner.auto_encoder import AutoEncoderBase
from vae_runner.datasets.base import ImageData
from vae_runner.errors import UserError
from vae_runner.signature import Limit, enforced
from vae_runner.state import MODEL, State
from vae_runner.visualisation.image_grid import Grid
from vae_runner.visualisation.walking.priors import family, on_whole_line, quantile, why_not
from vae_runner.visualisation.walking.references import Images, as_images
from vae_runner.visualisation.walking.walker import (
    LatentWalker,
    Phase,
    Scale,
    SpaceId,
    as_lists,
    decoded,
    filled,
    titled,
)
from vae_runner.visualisation.walking.ways import spherical, straight

__all__ = ["CodePathWalker", "ImagePathWalker"]

TAIL = 0.05  # probability beyond each end of a path that is left to the prior


def _holds_codes(value: Any) -> bool:
    """Whether it is a number, a tensor, or a list of these that is not empty, at any depth."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return len(value) > 0 and all(map(_holds_codes, value))
    return isinstance(value, (int, float, Tensor)) and not isinstance(value, bool)


Interpolation = Literal["linear", "spherical"]
Steps = Annotated[
    int,
    Limit("must be at least 2, both ends of the path", lambda value: value >= 2),
    Limit("must be at most 1,000,000", lambda value: value <= 1_000_000),
]
some_codes = Limit("must be a list of numbers, or of codes", _holds_codes)
Codes = Tensor | Annotated[list, some_codes] | Annotated[tuple, some_codes] | None


class PathWalker(LatentWalker):
    """Base class: rows of `num_steps` images, the first and the last exactly what the codes of `ends` decode to.

    Rows are decoded together, one step at a time: the last bit of an image can differ with the size of its batch.
    """

    def __init__(
        self,
        num_steps: int,
        space_id: int | None,
        phase: Phase = "validation",
        interpolation: Interpolation = "linear",
        scale: int | None = None,
    ) -> None:
        super().__init__(False, num_steps, space_id, phase, scale)
        self.num_steps = num_steps
        self.interpolation = interpolation

    def check(self, model: AutoEncoderBase) -> None:
        super().check(model)
        priors = [model.priors()[space] for space in self.spaces(model)]
        if self.interpolation == "spherical" and (left := [prior for prior in priors if not on_whole_line(prior)]):
            raise UserError(
                f"interpolation: spherical leaves the codes of the prior {family(left[0])}, "
                f"{why_not(left[0])}; take linear"
            )

    def ends(self, state: State) -> tuple[list[Tensor], list[Tensor]]:
        """Returns the codes (B, D) of each latent space at the start and at the end of the B paths."""
        raise NotImplementedError(f"{type(self).__name__} has no ends")

    def vis(self, state: State) -> Tensor:
        """Returns the images of all paths, one path after the other, (B * num_steps, C, H, W)."""
        return self._walk(state)[0].flatten(0, 1)

    def _walk(self, state: State) -> tuple[Tensor, list[Tensor]]:
        """The images (B, num_steps, C, H, W), and their codes (B * num_steps, D) for each latent space."""
        self.check(state[MODEL])
        way = spherical if self.interpolation == "spherical" else straight
        parts = [way(start, end, self.num_steps) for start, end in zip(*self.ends(state), strict=True)]
        images = [decoded(state[MODEL], codes) for codes in zip(*parts, strict=True)]
        return torch.stack(images, 1), [part.transpose(0, 1).flatten(0, 1) for part in parts]

    def _way(self) -> str:
        """For the caption."""
        return "straight" if self.interpolation == "linear" else "along a sphere around 0"

    def _percent(self) -> list[str]:
        return [f"{100 * step / (self.num_steps - 1):.3g} %" for step in range(self.num_steps)]


@enforced
class CodePathWalker(PathWalker):
    """Each row goes from a code of `p1` to that of `p2`.

    Args:
        num_steps: images in a row, both ends included.
        p1, p2: codes (B, D), or one (D,); for several spaces that vary, a list of these with one for each. One code
            serves for all of the other end. None: the 5 % quantile of the prior in each dimension, for p2 the 95 %.
        space_id: the space that varies, the others hold the codes of the batch's images; None: all of them.
        interpolation: linear, or spherical around 0, where the priors cover the whole line.

    Example:
        >>> model = AutoEncoderBase(latent_dims=1)
        >>> model.decode = lambda code: code.view(-1, 1, 1, 1)  # one pixel, as bright as its code
        >>> CodePathWalker(3, p1=torch.zeros(1), p2=torch.ones(1))({MODEL: model}).images.flatten()
        tensor([0.0000, 0.5000, 1.0000])
    """

    def __init__(
        self,
        num_steps: Steps,
        p1: Codes,
        p2: Codes,
        space_id: SpaceId = None,
        phase: Phase = "validation",
        interpolation: Interpolation = "linear",
        scale: Scale = None,
    ) -> None:
        super().__init__(num_steps, space_id, phase, interpolation, scale)
        self.p1, self.p2 = p1, p2

    def check(self, model: AutoEncoderBase) -> None:
        super().check(model)
        self._given(model)

    def grid_size(self, model: AutoEncoderBase, batch: int) -> tuple[str, int, int]:
        rows = len(self._given(model)[0][0])
        return "p1" if rows > self.num_steps else f"num_steps={self.num_steps}", rows, self.num_steps

    def ends(self, state: State) -> tuple[list[Tensor], list[Tensor]]:
        model = state[MODEL]
        spaces, like = self.spaces(model), [prior.mean for prior in model.priors()]
        start, end = (
            {space: part.to(like[space]) for space, part in zip(spaces, parts, strict=True)}
            for parts in self._given(model)
        )
        return filled(start, state, self.data_key), filled(end, state, self.data_key)

    def grid(self, state: State) -> Grid:
        images, codes = self._walk(state)
        return Grid(
            images.flatten(0, 1),
            self.num_steps,
            title=titled("paths between codes", state),
            caption=f"each row goes {self._way()} from one code to another",
            column_labels=self._percent(),
            details={"codes": as_lists(codes)},
        )

    def _given(self, model: AutoEncoderBase) -> list[list[Tensor]]:
        """The codes (B, D) of the spaces that vary, [end][space]."""
        dims = [model.latent_dims[space] for space in self.spaces(model)]
        ends = [
            self._quantiles(model, tail, name) if codes is None else _as_codes(codes, dims, name)
            for name, codes, tail in (("p1", self.p1, TAIL), ("p2", self.p2, 1 - TAIL))
        ]
        return _alike(ends, "p1 and p2", "codes")

    def _quantiles(self, model: AutoEncoderBase, probability: float, argument: str) -> list[Tensor]:
        priors = model.priors()
        return [quantile(priors[space], torch.tensor([probability]), argument) for space in self.spaces(model)]


@enforced
class ImagePathWalker(PathWalker):
    """Each row goes from the code of an image of `im1` to that of `im2` (a VAE's: the posterior's means). In the grid,
    the images themselves stand at both ends of the row.

    Args:
        num_steps: decoded images in a row, both ends included.
        im1, im2: images (B, C, H, W), or one (C, H, W); in a config an index in the data set, the name of a file, or a
            list of these. One serves for all of the other end. None: those that the set shows, for im2 the next ones.
        space_id, interpolation: as of `CodePathWalker`, but that the other spaces stay at the code of im1.

    Example:
        >>> walker = ImagePathWalker(9, im1=[0, 2], im2=[1, 3])  # indices in the data set
        >>> walker.grid_size(AutoEncoderBase(latent_dims=10), batch=64)  # with the two images at the ends
    """

    def __init__(
        self,
        num_steps: Steps,
        im1: Images,
        im2: Images,
        space_id: SpaceId = None,
        interpolation: Interpolation = "linear",
        scale: Scale = None,
    ) -> None:
        super().__init__(num_steps, space_id, interpolation=interpolation, scale=scale)
        self.im1, self.im2 = im1, im2
        self._images: list[Tensor] | None = None

    def prepare(self, model: AutoEncoderBase, data: ImageData) -> None:
        super().prepare(model, data)
        device = next(model.parameters()).device
        showcase = data.showcase()
        for name, given in (("im1", self.im1), ("im2", self.im2)):
            if given is None and not showcase:
                raise UserError(f"{name}: the data set has no images to show of itself; name some by their index")
        im1 = showcase if self.im1 is None else self.im1
        im2 = showcase[1:] + showcase[:1] if self.im2 is None else self.im2
        images = [as_images(im1, data, device, "im1"), as_images(im2, data, device, "im2")]
        self._images = [end[0] for end in _alike([[end] for end in images], "im1 and im2", "images")]
        self.check_size(model, self._images[0].shape)

    def grid_size(self, model: AutoEncoderBase, batch: int) -> tuple[str, int, int] | None:
        if self._images is None:
            return None
        rows = len(self._images[0])
        return "im1" if rows > self.num_steps else f"num_steps={self.num_steps}", rows, self.num_steps + 2

    def ends(self, state: State) -> tuple[list[Tensor], list[Tensor]]:
        model = state[MODEL]
        start, end = (model.codes(images) for images in self._both(state))
        varied = self.spaces(model)
        return list(start), [end[space] if space in varied else start[space] for space in range(len(start))]

    def grid(self, state: State) -> Grid:
        images, codes = self._walk(state)
        start, end = self._both(state)
        return Grid(
            torch.cat([start[:, None], images, end[:, None]], 1).flatten(0, 1),
            self.num_steps + 2,
            title=titled("paths between images", state),
            caption=f"each row goes {self._way()} from the code of its first image to that of its last",
            column_labels=["image", *self._percent(), "image"],
            details={"codes": as_lists(codes)},
        )

    def _both(self, state: State) -> tuple[Tensor, Tensor]:
        """The images at the start and at the end of each path, (B, C, H, W) both."""
        images = self._images
        if images is None:
            if not (isinstance(self.im1, Tensor) and isinstance(self.im2, Tensor)):
                raise UserError("im1, im2: images that are no tensors have to be looked up: call prepare(model, data)")
            both = [[image[None] if image.dim() == 3 else image] for image in (self.im1, self.im2)]
            images = [end[0] for end in _alike(both, "im1 and im2", "images")]
        start, end = (image.to(state[self.data_key]) for image in images)
        return start, end


def _alike(ends: list[list[Tensor]], arguments: str, what: str) -> list[list[Tensor]]:
    """Both ends, [end][space], with as many rows in every tensor, where one row stands for all of them."""
    counts = [{len(part) for part in end} - {1} for end in ends]
    rows = max((*counts[0], *counts[1]), default=1)
    if rows == 0 or any(count - {rows} for count in counts):
        shown = " and ".join(str(max(count, default=1)) for count in counts)
        raise UserError(f"{arguments}: {shown} {what}; give as many for both, or one for one of them")
    return [[part.expand(rows, *part.shape[1:]) for part in end] for end in ends]


def _as_codes(given: Tensor | Sequence[Any], dims: Sequence[int], argument: str) -> list[Tensor]:
    """The codes (B, D) for each of the spaces of these dimensions. Raises `UserError` where they do not fit."""
    whole = isinstance(given, Tensor) or (len(dims) == 1 and not isinstance(given[0], Tensor))
    parts = [given] if whole else list(given)
    if len(parts) != len(dims):
        raise UserError(
            f"{argument}: codes for {len(parts)} of {len(dims)} latent spaces; give a list with one for each"
        )
    return [_as_codes_of_space(part, size, argument) for part, size in zip(parts, dims, strict=True)]


def _as_codes_of_space(given: Tensor | Sequence[Any], size: int, argument: str) -> Tensor:
    try:
        codes = torch.as_tensor(given, dtype=torch.get_default_dtype())
    except (ValueError, TypeError) as error:
        raise UserError(f"{argument}: its codes are not of one length") from error
    if codes.dim() not in (1, 2):
        raise UserError(f"{argument}: expected one code or a list of codes, got shape {tuple(codes.shape)}")
    if codes.shape[-1] != size:
        raise UserError(f"{argument}: a code of {codes.shape[-1]} numbers, but the latent space has {size} dimensions")
    return codes.reshape(-1, size)
