"""Charts of the latents, as SVG and PNG: how much each carries, and where the images lie in two of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from vae_runner.auto_encoder import VAE
from vae_runner.datasets.split import ImageData, factors_of
from vae_runner.errors import UserError
from vae_runner.signature import Limit, enforced, non_negative
from vae_runner.state import FACTORS, MODEL, STEP, State
from vae_runner.ticks import tick_labels, ticks
from vae_runner.visualisation.association import followed
from vae_runner.visualisation.axes import COLOURS, INK, QUIET, RULE, Axes, Box
from vae_runner.visualisation.canvas import Canvas, text_width
from vae_runner.visualisation.colours import colour_map
from vae_runner.visualisation.picture import Drawing, Encoded, Phase, Picture, Scene, check_space
from vae_runner.visualisation.priors import kl_per_dimension
from vae_runner.visualisation.traversal import latent_name
from vae_runner.visualisation.walker import SpaceId, followed_of, posteriors_of

__all__ = ["Chart", "KLBars", "LatentScatter"]

DEAD = "#c8c8c8"
PITCH = 46  # units from bar to bar
TALL = 240  # units of the longest bar
SQUARE = 440  # units of the side of a scatter


@dataclass
class Chart:
    """A canvas to be written as SVG and PNG, and what the JSON file beside says."""

    canvas: Canvas
    details: Mapping[str, Any] = field(default_factory=dict)

    name: ClassVar[str | None] = None
    folder: ClassVar[str] = "grids"

    def detached(self) -> "Chart":
        return self

    def encode(self) -> Encoded:
        return Encoded({".png": self.canvas.png(), ".svg": self.canvas.svg()}, self.details)


class Latent(NamedTuple):
    """One dimension of a latent space: its KL over the batch in nats, and the factor that it follows."""

    space: int
    dim: int
    kl_nats: float
    follows: str


@enforced
class KLBars(Picture):
    """The KL of each latent dimension as bars, the largest first, space by space.

    dead_below   nats below which a bar is gray
    """

    def __init__(self, dead_below: Annotated[float, non_negative] = 0.05, phase: Phase = "validation") -> None:
        self.dead_below, self.phase = dead_below, phase

    def drawings(self, scene: Scene) -> list[Drawing]:
        state = scene.state(self.phase)
        rows = _latents(state)
        several = len({row.space for row in rows}) > 1
        live = sum(row.kl_nats >= self.dead_below for row in rows)
        total = f"{sum(row.kl_nats for row in rows):.2f} nats in {live} of {len(rows)} latents"
        title = f"KL per latent, step {state[STEP]:,}: {total}"
        return [Chart(_bars(rows, title, several, self.dead_below), {"rows": [row._asdict() for row in rows]})]


@enforced
class LatentScatter(Picture):
    """The posteriors' means of the images in two latents, coloured by a factor of the data.

    dims       two dimensions of the space; None: those with the largest KL
    colour     name of the factor; None: the one that either of the two follows most closely; without known factors, and
               where none is followed, all dots are of one colour
    space_id   the latent space of both; None: any, where `dims` is None, else the first
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
        names = list(factors_of(data, torch.zeros(1, dtype=torch.int64)))
        if self.colour is not None and self.colour not in names:
            choices = f"choices: {', '.join(names)}" if names else "of this data set none are known; leave colour=null"
            raise UserError(f"colour: the data set has no factor called '{self.colour}'; {choices}")
        self._classes = getattr(data, "factor_classes", {})

    def drawings(self, scene: Scene) -> list[Drawing]:
        state = scene.state(self.phase)
        across, up = self._chosen(state)
        factors = state.get(FACTORS) or {}
        means = [posterior.mean for posterior in posteriors_of(state)]
        x, y = (means[latent.space][:, latent.dim].cpu() for latent in (across, up))
        codes = torch.stack([x, y], 1)
        name = self.colour or _followed_most(codes, factors)
        several = len(means) > 1
        title = f"codes of {len(x):,} images, step {state[STEP]:,}"
        names = [_axis_title(latent, several) for latent in (across, up)]
        canvas = _scatter(codes, names, title, name, factors.get(name), self._classes.get(name, ()))
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


def _bars(rows: Sequence[Latent], title: str, several: bool, dead_below: float) -> Canvas:
    spaces = sorted({row.space for row in rows})
    pitch = max(PITCH, 12 + max(text_width(part, 10) for row in rows for part in [*row.follows.split(), f"z{row.dim}"]))
    pitch = pitch if len(rows) <= 20 else max(16.0 if len(rows) <= 100 else 20.0, 900 / len(rows))
    is_narrow = pitch < 24
    left, top = 64.0, 62.0
    width = max(left + pitch * len(rows) + 26 * (len(spaces) - 1) + 28, left + text_width(title, 14) + 24)
    canvas = Canvas(width, top + TALL + (76 if several else 62))
    finite = [row.kl_nats for row in rows if math.isfinite(row.kl_nats)]
    high = max([*finite, 0.1]) * 1.08
    axes = Axes(Box(left, top, width - 20, top + TALL), (0, 1), (0, high))
    canvas.text(left, 26, title, INK, 14)
    canvas.text(left, 46, "nats per image" + ("; the latents by their numbers" if is_narrow else ""), QUIET, 11)
    values = ticks(0, high, 5)
    for value, label in zip(values, tick_labels(values), strict=True):
        y = axes.place(0, value)[1]
        canvas.line([(left, y), (width - 20, y)], RULE, 1)
        canvas.text(left - 8, y + 4, label, QUIET, 11, "end")
    for number, row in enumerate(rows):
        x = left + pitch * (number + 0.5) + 26 * row.space
        is_dead = not row.kl_nats >= dead_below
        y = axes.place(0, min(row.kl_nats, high) if row.kl_nats >= 0 else 0)[1]
        half = min(pitch * 0.36, 24)
        canvas.box(x - half, min(y, top + TALL - 1), x + half, top + TALL, DEAD if is_dead else COLOURS[row.space % 6])
        if pitch >= 30:
            figure = f"{row.kl_nats:.2f}"
            half_text = text_width(figure, 10) / 2 + 2
            canvas.box(x - half_text, y - 15, x + half_text, y - 2, "#ffffff")  # no rule through the figure
            canvas.text(x, y - 5, figure, QUIET, 10, "middle")
        name = str(row.dim) if is_narrow else f"z{row.dim}"
        canvas.text(x, top + TALL + 17, name, QUIET if is_dead else INK, 12 if pitch >= 30 else 9, "middle")
        for line, part in enumerate([] if is_dead or len(rows) > 20 else row.follows.split()):
            canvas.text(x, top + TALL + 32 + 13 * line, part, QUIET, 10, "middle")
    if several:
        for space in spaces:
            of_space = [number for number, row in enumerate(rows) if row.space == space]
            x = left + pitch * of_space[0] + 26 * space + pitch * 0.14
            below = 66 if any(row.follows for row in rows) else 40
            canvas.text(x, top + TALL + below, f"space{space}", COLOURS[space % 6], 12)
    return canvas


def _axis_title(latent: Latent, several: bool) -> str:
    follows = f", {latent.follows}" if latent.follows else ""
    return f"{latent_name(latent.space, latent.dim, several)}  ({latent.kl_nats:.2f} nats{follows})"


def _followed_most(codes: Tensor, factors: Mapping[str, Tensor]) -> str | None:
    found = [one for one in followed(codes, factors) if one is not None]
    return max(found, key=lambda one: one.strength).factor if found else None


def _scatter(
    codes: Tensor, names: Sequence[str], title: str, factor: str | None, values: Tensor | None, classes: Sequence[str]
) -> Canvas:
    finite = codes[codes.isfinite().all(1)] if len(codes) else codes
    low, high = (finite.amin(0), finite.amax(0)) if len(finite) else (torch.zeros(2), torch.ones(2))
    middle = ((low + high) / 2).tolist()
    half = max(float((high - low).max()) / 2 * 1.06, 1e-3)  # both latents in the same unit
    box = Box(70, 66, 70 + SQUARE, 66 + SQUARE)
    axes = Axes(box, (middle[0] - half, middle[0] + half), (middle[1] - half, middle[1] + half))
    legend = factor is not None and values is not None
    canvas = Canvas(box.right + (130 if legend else 28), box.bottom + 52)
    canvas.text(box.left, 26, title, INK, 14)
    canvas.text(box.left, 48, f"up: {names[1]}", QUIET, 11)
    axes.draw(canvas, f"across: {names[0]}", vertical_rules=True)
    colours = [COLOURS[0]] * len(codes)
    if factor is not None and values is not None:
        colours = colour_map(canvas, box.right + 22, box.top, factor, values, classes)
    for point, colour in zip(codes.tolist(), colours, strict=True):
        if all(map(math.isfinite, point)):
            canvas.dot(*axes.place(*point), colour)
    return canvas
