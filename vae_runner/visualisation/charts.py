"""Charts of the latents, as SVG and PNG: how much each carries, and where the images lie in two of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from vae_runner.auto_encoder import VAE, evaluating
from vae_runner.datasets.base import ImageData
from vae_runner.drawing.encoded import Drawing, Encoded
from vae_runner.drawing.marks.canvas import Canvas
from vae_runner.drawing.on_screen import NARROW, Bar, bars, scatter
from vae_runner.drawing.paper import Paper
from vae_runner.drawing.printing.on_paper import printed
from vae_runner.errors import UserError
from vae_runner.signature import Limit, enforced, non_negative
from vae_runner.state import FACTORS, MODEL, STEP, State
from vae_runner.visualisation.association import followed
from vae_runner.visualisation.picture import Phase, Picture, Scene, check_space
from vae_runner.visualisation.walking.priors import kl_per_dimension
from vae_runner.visualisation.walking.traversal import latent_name
from vae_runner.visualisation.walking.walker import SpaceId, followed_of, posteriors_of

__all__ = ["Chart", "KLBars", "LatentScatter"]


@dataclass
class Chart:
    """A canvas to be written as SVG and PNG, and what the JSON file beside says.

    Example:
        >>> chart = Chart(bars([Bar(2.0, "z0", 0, "", False)], ["space0"], "KL", "nats"), {"nats": [2.0]})
        >>> sorted(chart.encode().files)
        ['.png', '.svg']
    """

    canvas: Canvas
    details: Mapping[str, Any] = field(default_factory=dict)

    name: ClassVar[str | None] = None
    is_moving: ClassVar[bool] = False

    def detached(self) -> "Chart":
        """Returns itself: it is drawn already."""
        return self

    def _repr_png_(self) -> bytes:
        """Returns the picture that a notebook shows."""
        return self.canvas.png()

    def encode(self) -> Encoded:
        """Returns it as a PNG and as an SVG."""
        return Encoded({".png": self.canvas.png(), ".svg": self.canvas.svg()}, self.details)

    def printed(self, paper: Paper) -> Encoded:
        """Returns it as a file for print. Raises `UserError` where it is drawn for the screen alone."""
        return Encoded(printed(self.canvas, paper).file(), {**self.details, "paper": paper.record()})


class Latent(NamedTuple):
    """One dimension of a latent space: its KL over the batch in nats, and the factor that it follows."""

    space: int
    dim: int
    kl_nats: float
    follows: str


@enforced
class KLBars(Picture):
    """The KL of each latent dimension as bars, the largest first, space by space.

    Args:
        dead_below: nats below which a bar is gray.

    Example:
        >>> from vae_runner.auto_encoder import AutoEncoderBase
        >>> from vae_runner.state import POSTERIORS
        >>> q = torch.distributions.Normal(torch.tensor([[0.0, 2.0], [0.0, -2.0]]), 1.0)
        >>> state = {MODEL: AutoEncoderBase(latent_dims=2), POSTERIORS: (q,), STEP: 100}
        >>> chart = KLBars().drawings(Scene(100, 200, "run", lambda phase: state, dict))[0]
        >>> [(row["dim"], row["kl_nats"]) for row in chart.details["rows"]]  # the second is mu^2 / 2
        [(1, 2.0), (0, 0.0)]
    """

    def __init__(self, dead_below: Annotated[float, non_negative] = 0.05, phase: Phase = "validation") -> None:
        self.dead_below, self.phase = dead_below, phase

    def drawings(self, scene: Scene) -> list[Drawing]:
        state = scene.state(self.phase)
        with evaluating(state[MODEL]):
            rows = _latents(state)
        live = sum(row.kl_nats >= self.dead_below for row in rows)
        total = f"{sum(row.kl_nats for row in rows):.2f} nats in {live} of {len(rows)} latents"
        title = f"KL per latent, step {state[STEP]:,}: {total}"
        spaces = [f"space{space}" for space in sorted({row.space for row in rows})]
        is_narrow = len(rows) > NARROW
        shown = [_bar(row, self.dead_below, is_narrow) for row in rows]
        about = "nats per image" + ("; the latents by their numbers" if is_narrow else "")
        canvas = bars(shown, spaces, title, about)
        return [Chart(canvas, {"rows": [row._asdict() for row in rows]})]


@enforced
class LatentScatter(Picture):
    """The posteriors' means of the images in two latents, coloured by a factor of the data.

    Args:
        dims: two dimensions of the space; None: those with the largest KL.
        colour: name of the factor; None: the one that either of the two follows most closely; without known factors,
            and where none is followed, all dots are of one colour.
        space_id: the latent space of both; None: any, where `dims` is None, else the first.

    Example:
        >>> from vae_runner.auto_encoder import AutoEncoderBase
        >>> from vae_runner.state import POSTERIORS
        >>> q = torch.distributions.Normal(torch.tensor([[0.0, 2.0], [1.0, -2.0]]), 1.0)
        >>> state = {MODEL: AutoEncoderBase(latent_dims=2), POSTERIORS: (q,), STEP: 100}
        >>> chart = LatentScatter(dims=[0, 1]).drawings(Scene(100, 200, "run", lambda phase: state, dict))[0]
        >>> chart.details["codes"]
        [[0.0, 2.0], [1.0, -2.0]]
    """

    def __init__(
        self,
        dims: Annotated[Sequence[int], Limit("must name two dimensions, or be null", lambda dims: len(dims) == 2)]
        | None = None,
        colour: str | None = None,
        space_id: SpaceId = None,
        phase: Phase = "validation",
    ) -> None:
        self.dims, self.colour, self.space_id, self.phase = dims, colour, space_id, phase
        self._classes: Mapping[str, Sequence[str]] = {}

    def prepare(self, model: VAE, data: ImageData) -> None:
        check_space(self.space_id, model)
        size = model.latent_dims[self.space_id or 0]
        if wrong := [dim for dim in self.dims or () if not 0 <= dim < size]:
            raise UserError(f"dims: {wrong[0]} is not one of the {size} latent dimensions, 0 to {size - 1}")
        names = list(data.factors(torch.zeros(1, dtype=torch.int64)))
        if self.colour is not None and self.colour not in names:
            choices = f"choices: {', '.join(names)}" if names else "of this data set none are known; leave colour=null"
            raise UserError(f"colour: the data set has no factor called '{self.colour}'; {choices}")
        self._classes = data.factor_classes

    def drawings(self, scene: Scene) -> list[Drawing]:
        state = scene.state(self.phase)
        with evaluating(state[MODEL]):
            across, up = self._chosen(state)
            means = [posterior.mean.detach() for posterior in posteriors_of(state)]
        factors = state.get(FACTORS) or {}
        x, y = (means[latent.space][:, latent.dim].cpu() for latent in (across, up))
        codes = torch.stack([x, y], 1)
        name = self.colour or _followed_most(codes, factors)
        several = len(means) > 1
        title = f"codes of {len(x):,} images, step {state[STEP]:,}"
        names = [_axis_title(latent, several) for latent in (across, up)]
        values = None if name is None or name not in factors else factors[name].detach().cpu().numpy()
        canvas = scatter(codes.numpy(), title, names, values, name or "", self._classes.get(name, ()))
        details = {"axes": [across._asdict(), up._asdict()], "colour": name, "codes": codes.tolist()}
        return [Chart(canvas, details)]

    def _chosen(self, state: State) -> tuple[Latent, Latent]:
        rows = _latents(state)
        if self.space_id is not None or self.dims is not None:
            rows = [row for row in rows if row.space == (self.space_id or 0)]
        if self.dims is not None:
            by_dim = {row.dim: row for row in rows}
            return by_dim[self.dims[0]], by_dim[self.dims[1]]
        rows.sort(key=_by_kl)
        return rows[0], rows[1 if len(rows) > 1 else 0]


def _latents(state: State) -> list[Latent]:
    """All latents, space by space, in each the one with the largest KL first."""
    pairs = zip(posteriors_of(state), state[MODEL].priors(), strict=True)
    rows = []
    for space, ((q, p), follows) in enumerate(zip(pairs, followed_of(state), strict=True)):
        kl = kl_per_dimension(q, p).tolist()
        names = [str(one or "") for one in follows]
        rows += sorted((Latent(space, dim, kl[dim], names[dim]) for dim in range(len(kl))), key=_by_kl)
    return rows


def _by_kl(row: Latent) -> float:
    return math.inf if math.isnan(row.kl_nats) else -row.kl_nats


def _bar(row: Latent, dead_below: float, is_narrow: bool) -> Bar:
    is_dead = not row.kl_nats >= dead_below
    return Bar(row.kl_nats, str(row.dim) if is_narrow else f"z{row.dim}", row.space, row.follows, is_dead)


def _axis_title(latent: Latent, several: bool) -> str:
    follows = f", {latent.follows}" if latent.follows else ""
    return f"{latent_name(latent.space, latent.dim, several)}  ({latent.kl_nats:.2f} nats{follows})"


def _followed_most(codes: Tensor, factors: Mapping[str, Tensor]) -> str | None:
    found = [one for one in followed(codes, factors) if one is not None]
    return max(found, key=lambda one: one.strength).factor if found else None
