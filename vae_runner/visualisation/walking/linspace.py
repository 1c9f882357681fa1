"""The latent traversal: one dimension after the other goes from its start to its end, all else stays."""

import contextlib
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.auto_encoder import AutoEncoderBase
from vae_runner.errors import UserError
from vae_runner.signature import Limit, enforced
from vae_runner.state import MODEL, State
from vae_runner.visualisation.image_grid import Grid
from vae_runner.visualisation.walking.priors import (
    centre,
    family,
    inside,
    is_choice,
    is_learned,
    kl_per_dimension,
    on_whole_line,
    quantile,
)
from vae_runner.visualisation.walking.walker import (
    Count,
    LatentWalker,
    Phase,
    Scale,
    SpaceId,
    as_lists,
    decoded,
    has_posteriors,
    one_for_each,
    posteriors_of,
    titled,
)

__all__ = ["NATS", "Dims", "LinSpaceWalker", "Row", "as_labels"]

NATS = "; nats: its KL, the information it carries"  # in captions

Dims = Annotated[Sequence[int], Limit("must name a dimension, or be null for all", len)]


class Row(NamedTuple):
    """A walked dimension, its KL in nats (None: of a model without posteriors), and its values (steps,). Or a space of
    classes: the first of those that it goes through, the space's KL, the classes, and their `vectors` (steps, D).

    Example:
        >>> row = Row(space=0, dim=3, kl_nats=1.5, values=torch.linspace(-1, 1, 3))
        >>> row.name(several_spaces=False), row.labels()
        ('z3', ['-1.00', '+0.00', '+1.00'])
    """

    space: int
    dim: int
    kl_nats: float | None
    values: Tensor
    vectors: Tensor | None = None

    def put(self, codes: Tensor) -> None:
        """Write its values into codes (..., steps, D) of its space."""
        if self.vectors is None:
            codes[..., self.dim] = self.values
        else:
            codes[:] = self.vectors

    def labels(self) -> list[str]:
        """Returns what stands at each step."""
        if self.vectors is None:
            return as_labels(self.values)
        return [f"class {int(value)}" for value in self.values.tolist()]

    def name(self, several_spaces: bool) -> str:
        """Returns what its latent, or its classes, are called."""
        space = f"space{self.space} " if several_spaces else ""
        return f"{space}z{self.dim}" if self.vectors is None else f"{space}classes"

    def record(self) -> dict[str, Any]:
        """Returns what the file beside a picture says."""
        return {"space": self.space, "dim": self.dim, "kl_nats": self.kl_nats, "values": self.values.tolist()}


@enforced
class LinSpaceWalker(LatentWalker):
    """One row for each walked dimension: it goes from `lin_start` to `lin_end` in `lin_steps` steps.

    Args:
        dims_to_walk: list of dimensions, of each space that varies; None: all, the one with the largest KL first. Of a
            space of classes: those that its row goes through, one vector after the other.
        zero_init: dimensions that are not walked are 0, or the prior's mean where 0 is not in the interior of its
            support; else they are what the encoder gives (a VAE's: the posterior's mean).
        same_image: walk every dimension from the first image; else the one of row i from image i (again from the first
            where there are fewer images than rows).
        walk: "linear": through the numbers themselves; "quantile": through the prior's quantiles, the numbers being
            standard scores (see `priors`; for N(0, 1) this is the same); "auto": linear where the prior covers the
            whole line, else quantile. A linear walk has to stay inside the prior's support.
        space_id: the space whose dimensions are walked; None: those of all spaces.

    Example:
        >>> from vae_runner.state import X
        >>> model = AutoEncoderBase(latent_dims=1)
        >>> model.decode = lambda code: code.view(-1, 1, 1, 1)  # one pixel, as bright as its code
        >>> walker = LinSpaceWalker(0, 1, lin_steps=5, zero_init=True)
        >>> walker({MODEL: model, X: torch.zeros(1, 1, 1, 1)}).images.flatten()
        tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """

    def __init__(
        self,
        lin_start: float = -1,
        lin_end: float = 1,
        lin_steps: Count = 8,
        dims_to_walk: Dims | None = (0,),
        zero_init: bool = False,
        same_image: bool = False,
        walk: Literal["auto", "linear", "quantile"] = "auto",
        space_id: SpaceId = None,
        phase: Phase = "validation",
        scale: Scale = None,
    ) -> None:
        super().__init__(same_image, lin_steps, space_id, phase, scale)
        self.lin_start, self.lin_end, self.lin_steps = lin_start, lin_end, lin_steps
        self.dims_to_walk = None if dims_to_walk is None else list(dims_to_walk)
        self.zero_init = zero_init
        self.walk = walk

    def check(self, model: AutoEncoderBase) -> None:
        super().check(model)
        priors = model.priors()
        for space in self.spaces(model):
            size = model.latent_dims[space]
            if wrong := [dim for dim in self._dims(size) if not 0 <= dim < size]:
                where = f" of latent space {space}" if len(priors) > 1 else ""
                raise UserError(
                    f"dims_to_walk: {wrong[0]} is not one of the {size} latent dimensions{where}, 0 to {size - 1}"
                )
            if not is_choice(priors[space]):
                self._check_values(priors[space], self._dims(size))

    def grid_size(self, model: AutoEncoderBase, batch: int) -> tuple[str, int, int]:
        rows = self._count(model)
        return "dims_to_walk" if rows > self.lin_steps else f"lin_steps={self.lin_steps}", rows, self.lin_steps

    def vis(self, state: State) -> Tensor:
        return self.grid(state).images

    def grid(self, state: State) -> Grid:
        model = state[MODEL]
        self.check(model)
        priors, posteriors, encoded = model.priors(), None, None
        if has_posteriors(model):
            posteriors = posteriors_of(state, self.data_key)
            encoded = [posterior.mean for posterior in posteriors]
        elif not self.zero_init:
            encoded = model.codes(state[self.data_key])
        rows = self._rows(model, posteriors, priors)
        codes = self._start(encoded, priors, len(rows))
        for index, row in enumerate(rows):
            row.put(codes[row.space][index])
        codes = [part.flatten(0, 1) for part in codes]  # (rows * steps, D)
        columns, meaning = self._column_labels(rows, priors)
        return Grid(
            decoded(model, codes),
            self.lin_steps,
            title=titled("latent traversal", state),
            caption=f"each row moves one latent, all others stay{NATS if posteriors else ''}{meaning}",
            row_labels=[_row_label(row, several=len(priors) > 1) for row in rows],
            column_labels=columns,
            details={
                "rows": [row.record() for row in rows],
                "codes": as_lists(codes),
            },
        )

    def _dims(self, size: int) -> list[int]:
        return list(range(size)) if self.dims_to_walk is None else self.dims_to_walk

    def _count(self, model: AutoEncoderBase) -> int:
        """How many dimensions are walked."""
        dims, priors = {space: self._dims(model.latent_dims[space]) for space in self.spaces(model)}, model.priors()
        return sum(len(self._parts(part) if is_choice(priors[space]) else part) for space, part in dims.items())

    def _parts(self, classes: list[int]) -> list[list[int]]:
        """Classes in as many rows as it takes."""
        return [classes[start : start + self.lin_steps] for start in range(0, len(classes), self.lin_steps)]

    def _choices(self, space: int, size: int, kl_nats: float | None, like: Tensor) -> list[Row]:
        """The rows of a space of so many classes: each goes from its first to its last, evenly."""
        rows = []
        for part in self._parts(self._dims(size)):
            classes = torch.tensor([part[step * len(part) // self.lin_steps] for step in range(self.lin_steps)])
            vectors = torch.nn.functional.one_hot(classes, size).to(like)
            rows.append(Row(space, part[0], kl_nats, classes.to(like), vectors))
        return rows

    def _rows(
        self, model: AutoEncoderBase, posteriors: Sequence[Distribution] | None, priors: Sequence[Distribution]
    ) -> list[Row]:
        """The walked dimensions: as asked for, or all of them by their KL (one that is not a number comes last)."""
        rows = []
        for space in self.spaces(model):
            posterior, prior, size = posteriors and posteriors[space], priors[space], model.latent_dims[space]
            kl = kl_per_dimension(posterior, prior).tolist() if posterior else [None] * size
            if is_choice(prior):
                rows += self._choices(space, size, sum(kl) if posterior else None, prior.mean)
                continue
            values = self._range(posterior, prior)
            rows += [Row(space, dim, kl[dim], values[:, dim]) for dim in self._dims(size)]
        if posteriors and self.dims_to_walk is None:
            rows.sort(key=lambda row: math.inf if math.isnan(row.kl_nats) else -row.kl_nats)
        return rows

    def _is_linear(self, prior: Distribution) -> bool:
        return self.walk == "linear" or (self.walk == "auto" and on_whole_line(prior))

    def _scores(self) -> Tensor:
        return torch.linspace(self.lin_start, self.lin_end, self.lin_steps, dtype=torch.float64)

    def _values(self, prior: Distribution) -> Tensor:
        """What each dimension of the prior goes through, (steps, D)."""
        if self._is_linear(prior):
            return self._scores().to(prior.mean)[:, None].expand(-1, len(prior.mean))
        return quantile(prior, torch.special.ndtr(self._scores()), "walk")

    def _range(self, posterior: Distribution | None, prior: Distribution) -> Tensor:
        """What each dimension of a space goes through, (steps, D)."""
        return self._values(prior)

    def _check_values(self, prior: Distribution, dims: list[int]) -> None:
        values = self._values(prior)
        outside = (~inside(prior, values))[:, dims].nonzero().tolist()
        if outside:
            step, dim = outside[0][0], dims[outside[0][1]]
            hint = "walk=quantile takes it as a standard score" if self._is_linear(prior) else "take a smaller range"
            raise UserError(
                f"lin_start={self.lin_start:g}, lin_end={self.lin_end:g}: {float(values[step, dim]):g} lies outside "
                f"the prior of dimension {dim}, {family(prior)}; {hint}"
            )

    def _start(self, encoded: Sequence[Tensor] | None, priors: Sequence[Distribution], rows: int) -> list[Tensor]:
        """The codes that each row starts from, once for each step, (rows, steps, D) of each space; `encoded` are those
        of the images, (B, D).
        """
        starts = [centre(prior)[None] for prior in priors] if self.zero_init else encoded
        return [one_for_each(start, rows, self.same_image)[:, None].repeat(1, self.lin_steps, 1) for start in starts]

    def _column_labels(self, rows: Sequence[Row], priors: Sequence[Distribution]) -> tuple[list[str], str]:
        """The values where all rows share them, else the quantiles where all share these, else nothing; and what the
        caption says of them.
        """
        are_quantiles = all(self._goes_through_quantiles(row, priors[row.space]) for row in rows)
        percent = [f"{value:.3g} %" for value in (100 * torch.special.ndtr(self._scores())).tolist()]
        learned = any(is_learned(priors[row.space]) for row in rows)
        of_prior = "quantiles of the prior" + (", found by halving, of each latent alone" if learned else "")
        if all(torch.equal(row.values, rows[0].values) for row in rows):
            is_linear = all(self._is_linear(priors[row.space]) for row in rows)
            meaning = f"; columns: {of_prior}, {percent[0]} to {percent[-1]}"
            return rows[0].labels(), meaning if are_quantiles and not is_linear else ""
        return (percent, f"; columns: {of_prior}") if are_quantiles else ([], "")

    def _goes_through_quantiles(self, row: Row, prior: Distribution) -> bool:
        """Whether the row's values are the quantiles of the standard scores, as those of a linear walk for N(0, 1)."""
        if row.vectors is not None:
            return False
        with contextlib.suppress(UserError):
            expected = quantile(prior, torch.special.ndtr(self._scores()), "walk")[:, row.dim]
            return torch.allclose(row.values, expected, atol=1e-4)
        return False


def as_labels(values: Tensor) -> list[str]:
    """Returns two decimals, or as many as tell the values apart."""
    span = float(values.max() - values.min())
    decimals = max(2, 1 - math.floor(math.log10(span))) if span > 0 else 2
    return [f"{round(value, decimals) + 0.0:+.{decimals}f}" for value in values.tolist()]


def _row_label(row: Row, several: bool) -> str:
    return row.name(several) + ("" if row.kl_nats is None else f"   {row.kl_nats:.2f} nats")
