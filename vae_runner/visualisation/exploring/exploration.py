"""A page on which the trained decoder runs, as an entry of a config's `visualisation`."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from vae_runner.auto_encoder import evaluating
from vae_runner.drawing.encoded import Drawing, Encoded
from vae_runner.drawing.explorer.explorer_page import explorer
from vae_runner.errors import UserError
from vae_runner.foreign import dig, read_json
from vae_runner.runs.names import ENVIRONMENT
from vae_runner.signature import Limit, enforced, positive
from vae_runner.state import MODEL, STEP
from vae_runner.visualisation.exploring.page_content import Shown, content, decoder_of
from vae_runner.visualisation.picture import Phase, Picture, Scene

__all__ = ["Exploration", "Explore"]

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
        phase: Phase = "validation",
    ) -> None:
        self.images, self.starts, self.megabytes = images, starts, megabytes
        self.phase: Phase = phase

    def drawings(self, scene: Scene) -> list[Drawing]:
        """Raises `UserError` where the decoder has a layer that the page does not know, or is too large for it."""
        if scene.chosen is None:
            raise UserError("images: there are none to show")
        model, step = scene.state(self.phase)[MODEL], scene.state(self.phase)[STEP]
        data, indices = scene.chosen(self.phase, max(self.images, self.starts))
        with evaluating(model):
            program = decoder_of(model)
            if len(program["weights"]) > self.megabytes * MEGA:
                size = len(program["weights"]) / MEGA
                raise UserError(f"megabytes={self.megabytes:g}: the decoder alone takes {size:.1f}")
            known = content(model, program, Shown(data, indices, self.starts))
        environment = read_json(scene.folder / ENVIRONMENT)
        about = [str(dig(environment, "choices", name) or "") for name in ("dataset", "architecture", "divergence")]
        return [Exploration({"name": scene.folder.resolve().name, "about": about, "step": step, **known})]
