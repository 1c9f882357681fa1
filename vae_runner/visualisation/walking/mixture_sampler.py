"""Decoded draws of a mixture of Gaussians that is fitted to the codes of images: `gaussian_mixture`."""

import logging

import numpy as np

from vae_runner.auto_encoder import VAE, evaluating
from vae_runner.datasets.base import ImageData
from vae_runner.drawing.encoded import Drawing
from vae_runner.drawing.layout import check_size
from vae_runner.errors import UserError
from vae_runner.randomness import seed_for
from vae_runner.signature import enforced
from vae_runner.state import DEVICE, MODEL
from vae_runner.visualisation.gaussian_mixture import drawn_codes_of, fit_mixture, why_no_mixture
from vae_runner.visualisation.image_grid import Grid
from vae_runner.visualisation.picture import Phase, Picture, Scene
from vae_runner.visualisation.walking.walker import Count, Scale, as_lists, decoded, in_rows, titled

__all__ = ["MixtureSampler"]

log = logging.getLogger(__name__)
OF_EACH = 20  # images for a component, at least


@enforced
class MixtureSampler(Picture):
    """Decoded samples of a mixture of Gaussians, fitted to the codes of images anew at each picture time (Ghosh et al.
    2020, arXiv 1903.12436): they show what the decoder can make, where the codes do not fill the prior.

    Of latents that do not cover the whole line, and without scikit-learn, there is no such picture, and a line says so.

    Args:
        num_images: images that are drawn.
        components: Gaussians of the mixture; of few images fewer, one for each 20.
        images: images whose codes it is fitted to, so many or all.
        phase: the split whose images these are.

    Example:
        >>> MixtureSampler(components=20).grid_size
        (4, 8)
    """

    def __init__(
        self,
        num_images: Count = 32,
        row_size: Count = 8,
        components: Count = 10,
        images: Count = 2000,
        phase: Phase = "train",
        scale: Scale = None,
    ) -> None:
        self.num_images, self.row_size, self.components, self.images = num_images, row_size, components, images
        self.phase: Phase = phase
        self.scale = scale

    @property
    def grid_size(self) -> tuple[int, int]:
        """Rows and columns."""
        return in_rows(self.num_images, self.row_size)

    def prepare(self, model: VAE, data: ImageData) -> None:
        check_size(f"num_images={self.num_images}", *self.grid_size, data.image_shape[-2:], self.scale)
        if why := why_no_mixture(model.priors()):
            log.warning("no picture of a mixture: %s", why)

    def drawings(self, scene: Scene) -> list[Drawing]:
        """Raises `UserError` where there are no images to encode; of one alone there is no picture."""
        state = scene.state("validation")  # of which other pictures are made too
        model = state[MODEL]
        if why_no_mixture(model.priors()):
            return []
        if scene.chosen is None:
            raise UserError("images: there are none to encode")
        data, indices = scene.chosen(self.phase, self.images)
        if len(indices) < 2:
            log.warning("no picture of a mixture: the codes of %d image have no spread", len(indices))
            return []
        with evaluating(model):
            codes = drawn_codes_of(model, data, indices, seed_for(0, "mixture codes"), state[DEVICE])
            mixture = fit_mixture(codes, min(self.components, max(1, len(codes) // OF_EACH)))
            drawn = mixture.draw(self.num_images, np.random.default_rng(seed_for(0, "mixture")))
            spaces = drawn.to(state[DEVICE]).split(model.latent_dims, 1)
            images = decoded(model, spaces)
        count = len(mixture.weights)
        gaussians = "a Gaussian" if count == 1 else f"a mixture of {count} Gaussians"
        title = titled(f"samples of {gaussians}, fitted to the codes of {len(codes):,} images", state)
        return [Grid(images, self.row_size, title=title, scale=self.scale, details={"codes": as_lists(spaces)})]
