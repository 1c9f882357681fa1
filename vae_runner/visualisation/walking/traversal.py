"""The latent traversal as one wants to show it: what each latent carries, what it follows, and from where it starts."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.auto_encoder import AutoEncoderBase
from vae_runner.randomness import isolated
from vae_runner.signature import Limit, enforced, non_negative, positive
from vae_runner.state import MODEL, State
from vae_runner.visualisation.association import Follows
from vae_runner.visualisation.image_grid import Grid
from vae_runner.visualisation.walking.linspace import NATS, Dims, LinSpaceWalker, Row
from vae_runner.visualisation.walking.walker import (
    Count,
    Phase,
    Scale,
    SpaceId,
    as_lists,
    decoded,
    followed_of,
    posteriors_of,
    titled,
)

__all__ = ["LatentRow", "Traversal", "latent_name"]

DRAWS = 64  # from q(z|x) of each image, for the quantiles of the aggregate posterior

indices = Limit("must name images of the batch, from 0", lambda value: len(value) > 0 and min(value) >= 0)
WhichImages = Annotated[int, positive] | Annotated[Sequence[int], indices]


class LatentRow(NamedTuple):
    """A walked dimension, the factor that it follows, and whether it carries next to nothing.

    Example:
        >>> row = LatentRow(Row(0, 3, 1.5, torch.linspace(-1, 1, 3)), Follows("size", 0.9), is_dead=False)
        >>> row.label(several_spaces=False)
        ('z3', '1.50 nats', 'size 0.90')
    """

    row: Row
    follows: Follows | None
    is_dead: bool

    def label(self, several_spaces: bool) -> tuple[str, str, str]:
        """Returns its name, its KL, and its factor."""
        return (
            self.row.name(several_spaces),
            f"{self.row.kl_nats:.2f} nats",
            str(self.follows or ""),
        )

    def record(self) -> dict[str, Any]:
        """Returns what the picture's JSON file says of the row."""
        factor = self.follows._asdict() if self.follows else {"factor": None, "strength": None}
        return {**self.row.record(), **factor, "dead": self.is_dead}


@enforced
class Traversal(LinSpaceWalker):
    """A panel for each chosen image: the image, its reconstruction, and one row for each latent, which goes from
    `lin_start` to `lin_end` in `lin_steps` steps while all others stay.

    Args:
        dims_to_walk: list of dimensions, of each space that varies; None: all, the one with the largest KL first.
        most: how many are shown at most where all are walked, the first ones; None: any number.
        walk: as of `LinSpaceWalker`; or "posterior": from one quantile of the aggregate posterior to another, each
            dimension's own, the numbers being standard scores (-2 is the 2.3 % quantile), in even steps.
        start: images: from the codes of the images; prior: from the prior's mean.
        images: so many of the first images of the batch, or all where there are fewer; or a list of their places in it
            (from the first again where the batch is smaller). The first are those that the data set shows of itself.
        dead: what becomes of dimensions below `dead_below` nats: dim, show or hide (but for the first of all).
        space_id: the space whose dimensions are walked; None: those of all spaces.

    Example:
        >>> walker, model = Traversal(lin_steps=11, images=2), AutoEncoderBase(latent_dims=10)
        >>> walker.grid_size(model, batch=64)  # ten rows for each image, which stands in front with its reconstruction
        ('images=2', 20, 13)
    """

    def __init__(
        self,
        lin_start: float = -2,
        lin_end: float = 2,
        lin_steps: Count = 11,
        dims_to_walk: Dims | None = None,
        walk: Literal["auto", "linear", "quantile", "posterior"] = "auto",
        start: Literal["images", "prior"] = "images",
        images: WhichImages = 1,
        dead: Literal["dim", "show", "hide"] = "dim",
        dead_below: Annotated[float, non_negative] = 0.05,
        space_id: SpaceId = None,
        phase: Phase = "validation",
        scale: Scale = None,
        most: Count | None = 20,
    ) -> None:
        super().__init__(lin_start, lin_end, lin_steps, dims_to_walk, space_id=space_id, phase=phase, scale=scale)
        self.walk = walk
        self.most = most if dims_to_walk is None else None
        self.start, self.dead, self.dead_below = start, dead, dead_below
        self.images = images if isinstance(images, int) else list(images)

    def grid_size(self, model: AutoEncoderBase, batch: int) -> tuple[str, int, int]:
        setting, rows, columns = super().grid_size(model, batch)
        rows = min(rows, self.most or rows)
        if self.start == "prior":
            return setting, rows, columns + 1
        panels = len(self._places(batch))
        if panels > 1:
            setting = f"images={self.images}" if isinstance(self.images, int) else "images"
        return setting, panels * rows, columns + 2

    def grid(self, state: State) -> Grid:
        model = state[MODEL]
        self.check(model)
        rows, several = self.latents(state), len(model.priors()) > 1
        left_out = self._count(model) - len(rows) if len(rows) == self.most else 0
        starts, shown = self._starts(state)
        codes = self._codes(starts, rows)
        walked = decoded(model, codes).unflatten(0, (-1, self.lin_steps))  # (panels rows, steps, C, H, W)
        lead = [part.repeat_interleave(len(rows), 0)[:, None] for part in (*shown, decoded(model, starts))]
        names = ["input", "recon"] if shown else ["start"]
        labels, meaning = self._column_labels([latent.row for latent in rows], model.priors())
        meaning += "" if labels else "; below each image: the latent's value"
        panels = len(starts[0])
        return Grid(
            torch.cat([*lead, walked], 1).flatten(0, 1),
            len(lead) + self.lin_steps,
            title=titled("latent traversal", state),
            caption=f"each row moves one latent, all others stay{NATS}{meaning}{self._about_factors(rows)}"
            + (f"; {left_out:,} more latents carry less" if left_out else ""),
            row_labels=[latent.label(several) for latent in rows] * panels,
            column_labels=[*names, *(labels or [""] * self.lin_steps)],
            tile_captions=[] if labels else _value_captions(rows, len(lead)) * panels,
            headings={panel * len(rows): name for panel, name in enumerate(self._headings(len(starts[0])))},
            lead=len(lead),
            dimmed=[i for i in range(panels * len(rows)) if self.dead == "dim" and rows[i % len(rows)].is_dead],
            details={"rows": [latent.record() for latent in rows], "codes": as_lists(codes)},
        )

    def latents(self, state: State) -> list[LatentRow]:
        """Returns the walked dimensions that are shown, in their order."""
        model = state[MODEL]
        posteriors, priors = posteriors_of(state, self.data_key), model.priors()
        follows = followed_of(state, self.data_key)
        rows = []
        for row in self._rows(model, posteriors, priors):
            is_dead = not row.kl_nats >= self.dead_below
            rows.append(LatentRow(row, None if is_dead else _followed(row, follows[row.space]), is_dead))
        live = [latent for latent in rows if not latent.is_dead]
        return ((live or rows[:1]) if self.dead == "hide" else rows)[: self.most]

    def _starts(self, state: State) -> tuple[list[Tensor], list[Tensor]]:
        """The codes that the panels start from, (panels, D) of each space; and the images, where it is those."""
        model, images = state[MODEL], state[self.data_key]
        if self.start == "prior":
            return [prior.mean[None] for prior in model.priors()], []
        places = torch.tensor(self._places(len(images)), device=images.device)
        chosen = images[places % len(images)]
        return list(model.codes(chosen)), [chosen]

    def _places(self, batch: int) -> Sequence[int]:
        """Those of the chosen images in a batch of that size."""
        return range(min(self.images, batch)) if isinstance(self.images, int) else self.images

    def _codes(self, starts: Sequence[Tensor], rows: Sequence[LatentRow]) -> list[Tensor]:
        """The codes of all panels, rows and steps, (panels * rows * steps, D) of each space."""
        codes = [start[:, None, None].repeat(1, len(rows), self.lin_steps, 1) for start in starts]
        for index, (row, _, _) in enumerate(rows):
            row.put(codes[row.space][:, index])
        return [part.flatten(0, 2) for part in codes]

    def _range(self, posterior: Distribution, prior: Distribution) -> Tensor:
        if self.walk != "posterior":
            return self._values(prior)
        with isolated(0, posterior.mean.device):
            drawn = posterior.sample((DRAWS,)).flatten(0, 1)  # of q(z), the mean of q(z|x) over the images
        ends = torch.special.ndtr(torch.tensor([self.lin_start, self.lin_end], dtype=torch.float64)).to(drawn)
        low, high = drawn.quantile(ends, dim=0)
        way = torch.linspace(0, 1, self.lin_steps, dtype=drawn.dtype, device=drawn.device)
        return torch.lerp(low, high, way[:, None])

    def _check_values(self, prior: Distribution, dims: list[int]) -> None:
        if self.walk != "posterior":
            super()._check_values(prior, dims)

    def _headings(self, panels: int) -> list[str]:
        if self.start == "prior":
            return ["from the mean of the prior"]
        return [f"from image {place}" for place in self._places(panels)] if panels > 1 else []

    def _about_factors(self, rows: Sequence[LatentRow]) -> str:
        is_known = any(latent.follows for latent in rows)
        return "; name and number: the factor of the data that it follows, 1 being closest" if is_known else ""


def _followed(row: Row, follows: Sequence[Follows | None]) -> Follows | None:
    """The factor that the row follows: of classes, that of the one which follows its own most closely."""
    if row.vectors is None:
        return follows[row.dim]
    return max((one for one in follows if one), key=lambda one: one.strength, default=None)


def latent_name(space: int, dim: int, several_spaces: bool) -> str:
    """Returns what a latent is called in pictures."""
    return f"space{space} z{dim}" if several_spaces else f"z{dim}"


def _value_captions(rows: Sequence[LatentRow], lead: int) -> list[str]:
    """The value below each walked image, where the rows go through values of their own."""
    return [text for latent in rows for text in [""] * lead + latent.row.labels()]
