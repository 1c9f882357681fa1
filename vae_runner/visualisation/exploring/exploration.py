"""A page on which the trained decoder runs, as an entry of a config's `visualisation`."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from vae_runner.auto_encoder import VAE, evaluating
from vae_runner.drawing.encoded import Drawing, Encoded
from vae_runner.drawing.explorer.explorer_page import explorer
from vae_runner.errors import UserError
from vae_runner.foreign import dig, read_json
from vae_runner.runs.names import ENVIRONMENT, HISTORY
from vae_runner.signature import Limit, enforced, positive
from vae_runner.state import MODEL, STEP
from vae_runner.visualisation.exploring.compared_steps import compared
from vae_runner.visualisation.exploring.page_content import Shown, content, decoder_of
from vae_runner.visualisation.picture import Past, Phase, Picture, Scene

__all__ = ["Exploration", "Explore"]

log = logging.getLogger(__name__)

MEGA = 1e6
few = Limit("must be at most 100,000", lambda value: value <= 100_000)
Count = Annotated[int, positive, few]


@dataclass
class Exploration:
    """What the page is made of.

    Example:
        >>> Exploration({"name": "run"}).is_moving
        False
    """

    known: dict[str, Any]

    name: ClassVar[str | None] = None
    is_moving: ClassVar[bool] = False

    def detached(self) -> "Exploration":
        """Returns itself: all of it is plain."""
        return self

    def encode(self) -> Encoded:
        """Returns it as an HTML file that loads nothing."""
        return Encoded({".html": explorer([self.known])}, {})


@enforced
class Explore(Picture):
    """A page with a slider for each latent, on which the decoder runs while they move; made when the run ends.

    Args:
        images: images whose codes are on its map.
        starts: images that one can start from.
        megabytes: a page that would be larger is not made.
        history: whether there is a slider of steps, too: weights are kept at picture times, and as many steps are
            compared as the page has bytes for.
        phase: the split whose images are shown.

    Example:
        >>> Explore(megabytes=8).at_end
        True
    """

    at_end: ClassVar[bool] = True
    history: ClassVar[bool] = False

    def __init__(
        self,
        images: Count = 2000,
        starts: Count = 36,
        megabytes: Annotated[float, positive] = 8.0,
        history: bool = False,
        phase: Phase = "validation",
    ) -> None:
        self.images, self.starts, self.megabytes, self.compares = images, starts, megabytes, history
        self.phase: Phase = phase

    def drawings(self, scene: Scene) -> list[Drawing]:
        """Raises `UserError` where the decoder has a layer that the page does not know, or is too large for it."""
        if scene.chosen is None:
            raise UserError("images: there are none to show")
        model, step = scene.state(self.phase)[MODEL], scene.state(self.phase)[STEP]
        data, indices = scene.chosen(self.phase, max(self.images, self.starts))
        with evaluating(model):
            program = decoder_of(model)
            if (size := len(program["weights"])) > self.megabytes * MEGA:
                need = f"megabytes={math.ceil(size / MEGA) + 1} makes the page"
                raise UserError(f"megabytes={self.megabytes:g}: the decoder alone takes {size / MEGA:.1f}; {need}")
            shown = Shown(data, indices, self.starts)
            known = {**_about(scene, step), **content(model, program, shown)}
            if self.compares:
                known["past"] = self._past(scene, model, known, shown)
        return [Exploration(known)]

    def _past(self, scene: Scene, model: VAE, known: Mapping[str, Any], shown: Shown) -> dict[str, Any]:
        """What the page has of other steps, and a line about those that it has not, which is logged too."""
        past, size = scene.past(), len(explorer([known]))
        mapped = Shown(shown.data, shown.indices[: known["map"]["count"]], shown.starts)
        steps, wanted = compared(model, known, known["step"], past, mapped, self.megabytes * MEGA - size)
        line = _others(past)
        if size + wanted > self.megabytes * MEGA and past:
            need = f"megabytes={math.ceil((size + wanted) / MEGA)} has it for all"
            line = f"megabytes={self.megabytes:g} has room for {len(steps)} of {len(past)} other steps; {need}"
        if line:
            line = f"visualisation.explore.{line}"
            log.warning("%s", line)
        return {"steps": steps, "line": line}


def _others(past: Sequence[Past]) -> str:
    """A line where a run has not kept steps for this page."""
    if any(one.file.parent.name == HISTORY for one in past):
        return ""
    there = ", ".join(f"{one.file.name} (step {one.step:,})" for one in past) or "none"
    return f"history=true: of other steps' weights there are {there}; a run that is trained with it keeps more"


def _about(scene: Scene, step: int) -> dict[str, Any]:
    environment = read_json(scene.folder / ENVIRONMENT)
    about = [str(dig(environment, "choices", name) or "") for name in ("dataset", "architecture", "divergence")]
    return {"name": scene.folder.resolve().name, "about": about, "step": step}
