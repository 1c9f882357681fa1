"""Priors whose parameters are trained, with the model, by the KL: mixtures that come to lie where the codes do.

    mixture   p(z) = sum_k w_k N(z; mu_k, s_k^2), w, mu and s learned
    vamp      p(z) = 1/K sum_k q(z|u_k), the images u_k learned      Tomczak & Welling 2018, arXiv 1705.07120

The best prior is the mean of q(z|x) over the data; vamp is that of K images that stand for these. KL(q||p) has no
closed form for either; it is estimated from samples.
"""

from typing import Annotated

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_runner.distributions import Mixture, SimpleNormal
from vae_runner.signature import Limit, enforced, non_negative, positive

__all__ = ["LearnedPrior", "MixturePrior", "VampPrior"]

Count = Annotated[int, positive, Limit("must be at most 100,000", lambda value: value <= 100_000)]


class LearnedPrior(nn.Module):
    """Base class: `made_for` makes the parameters when it is known for how many latents.

    Example:
        >>> class Scaled(LearnedPrior):
        ...     def made_for(self, dims, image_shape=None):
        ...         self.logvar = self.logvar if image_shape else nn.Parameter(torch.zeros(dims))
        ...     def distribution(self, of_pseudo_inputs=None):
        ...         return SimpleNormal(0.0, self.logvar)
        >>> prior = Scaled()
        >>> prior.made_for(dims=3)
        >>> prior.distribution().stddev.tolist()
        [1.0, 1.0, 1.0]
    """

    def made_for(self, dims: int, image_shape: tuple[int, int, int] | None = None) -> None:
        """Make the parameters, for so many latents; an `image_shape` comes later, in a second call."""
        raise NotImplementedError(f"{type(self).__name__} has no made_for")

    def images(self) -> Tensor | None:
        """Returns its pseudo-inputs (K, C, H, W), of whose posteriors it is made, where it is."""
        return None

    def distribution(self, of_pseudo_inputs: Distribution | None = None) -> Distribution:
        """Returns p(z), batch shape (D,); of the posteriors (K, D) of its pseudo-inputs, where it has some."""
        raise NotImplementedError(f"{type(self).__name__} has no distribution")


@enforced
class MixturePrior(LearnedPrior):
    """`components` normals, diagonal, that start equal in weight and N(mu_k, 1), mu_k drawn with deviation `spread`.

    Example:
        >>> prior = MixturePrior(components=3)
        >>> prior.made_for(dims=2)
        >>> prior.distribution().sample((5,)).shape, [tuple(p.shape) for p in prior.parameters()]
        (torch.Size([5, 2]), [(3,), (3, 2), (3, 2)])
    """

    def __init__(self, components: Count = 10, spread: Annotated[float, non_negative] = 1.0) -> None:
        super().__init__()
        self.components, self.spread = components, spread

    def made_for(self, dims: int, image_shape: tuple[int, int, int] | None = None) -> None:
        if image_shape is None:
            self.logits = nn.Parameter(torch.zeros(self.components))
            self.means = nn.Parameter(self.spread * torch.randn(self.components, dims))
            self.logvars = nn.Parameter(torch.zeros(self.components, dims))

    def distribution(self, of_pseudo_inputs: Distribution | None = None) -> Mixture:
        return Mixture(self.logits, SimpleNormal(self.means, self.logvars))


@enforced
class VampPrior(LearnedPrior):
    """The mean of the posteriors of `components` learned images, which stay in [0, 1]: each step encodes them too.

    They start as noise, mean 1/2.

    Example:
        >>> prior = VampPrior(components=3)
        >>> prior.made_for(dims=2, image_shape=(1, 8, 8))
        >>> prior.images().shape  # their posteriors make the prior, see `VAE.priors`
        torch.Size([3, 1, 8, 8])
    """

    logits: Tensor

    def __init__(self, components: Count = 50) -> None:
        super().__init__()
        self.components = components
        self.register_buffer("logits", torch.zeros(components), persistent=False)
        self.register_parameter("pseudo_inputs", None)

    def made_for(self, dims: int, image_shape: tuple[int, int, int] | None = None) -> None:
        if image_shape is not None:
            self.pseudo_inputs = nn.Parameter(torch.rand(self.components, *image_shape))

    def images(self) -> Tensor | None:
        return self.pseudo_inputs

    def distribution(self, of_pseudo_inputs: Distribution | None = None) -> Mixture:
        if of_pseudo_inputs is None:
            raise ValueError("a vamp prior is made of the model's posteriors: ask the model for its priors()")
        return Mixture(self.logits, of_pseudo_inputs)

    @torch.no_grad()
    def constrain(self) -> None:
        """Bring the images back to [0, 1]."""
        if self.pseudo_inputs is not None:
            self.pseudo_inputs.clamp_(0, 1)
