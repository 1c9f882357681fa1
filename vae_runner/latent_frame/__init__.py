"""A normal latent space whose frame is turned, at given steps, to the independent components of what it carries.

Under a prior N(m, s^2 I) a rotation of the latents about m changes neither the prior nor, with the decoder turned back,
any image: the loss says next to nothing of the frame, and the one that a run begins with depends on its seed, and stays
(Mathieu et al. 2019, arXiv 1812.02833; Rolinek et al. 2019, arXiv 1812.06775). What tells frames apart is that factors
are independent and not Gaussian: `fast_ica` finds their directions, `least_turn` the rotation that leads there and
moves the latents as little as it can, `aligned` keeps it in the space.
"""

from vae_runner.latent_frame.aligned import AlignedNormalSpace, Turn

__all__ = ["AlignedNormalSpace", "Turn"]
