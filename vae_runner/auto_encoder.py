"""Auto-encoders: the documented base class, and the variational auto-encoder that the runner trains.

A VAE (Kingma & Welling 2014, arXiv 1312.6114) is an encoder, one or several latent spaces, a decoder and a likelihood:

    q(z_i|x) = space_i(head(encoder(x))),    z_i ~ q(z_i|x),    p(x|z) = likelihood(decoder(z_1, z_2, ...))
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_runner.distributions import SimpleNormal
from vae_runner.initialisation import he_initialised
from vae_runner.latent_space import LatentSpace
from vae_runner.likelihood import Likelihood
from vae_runner.ranks import own, whole
from vae_runner.state import Y_PRED, Y_RAW, Y_TRUE, State, posterior_key, prior_key, sample_key

__all__ = ["VAE", "AutoEncoderBase", "Sample", "as_sample", "as_tuple", "evaluating"]

Sample = Tensor | tuple[Tensor, ...]  # (B, D) for one latent space; a tuple of them for several


class AutoEncoderBase(nn.Module):
    """Base class: override `encode` and `decode`. `latent_dims` is a list, the dimensions of each latent space.

    Pictures start from `codes` and draw from `priors`; a model that has `posteriors(x)` besides, as `VAE` has, is shown
    with its KLs.

    Example:
        >>> class Same(AutoEncoderBase):  # of which the code is the image
        ...     def encode(self, x, state=None):
        ...         return x.flatten(1)
        ...     def decode(self, sample, state=None):
        ...         return sample.view(-1, 1, 2, 2)
        >>> Same(latent_dims=4)(torch.ones(3, 1, 2, 2)).shape
        torch.Size([3, 1, 2, 2])
    """

    def __init__(self, latent_dims: int | Sequence[int]) -> None:
        super().__init__()
        self.latent_dims = [int(latent_dims)] if isinstance(latent_dims, (int, Integral)) else list(latent_dims)

    def encode(self, x: Tensor, state: State | None = None) -> Sample:
        """Returns a latent sample of each image (B, C, H, W): (B, D), or a tuple of them for several spaces."""
        raise NotImplementedError(f"{type(self).__name__} has no encode")

    def decode(self, sample: Sample, state: State | None = None) -> Tensor:
        """Returns the images (B, C, H, W) decoded from a sample such as `encode` returns."""
        raise NotImplementedError(f"{type(self).__name__} has no decode")

    def codes(self, x: Tensor) -> tuple[Tensor, ...]:
        """Returns the one code that stands for each image, (B, D) of each latent space: what `encode` gives."""
        return as_tuple(self.encode(x))

    def priors(self) -> tuple[Distribution, ...]:
        """Returns p(z) of each latent space, batch shape (D,): N(0, 1)."""
        like = next((parameter for parameter in self.parameters() if parameter.is_floating_point()), torch.zeros(()))
        zeros = [torch.zeros(dims, dtype=like.dtype, device=like.device) for dims in self.latent_dims]
        return tuple(SimpleNormal(mu, mu.clone()) for mu in zeros)

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        """Returns the auto-encoded images; `x` becomes the target in the state."""
        if state is not None:
            state[Y_TRUE] = x
        decoded = self.decode(self.encode(x, state), state)
        if state is not None:
            state[Y_PRED] = decoded
        return decoded

    def constrain(self) -> None:
        """Let every submodule that has `constrain` bring its weights back to where they have to be."""
        for module in self.modules():
            if module is not self and hasattr(type(module), "constrain"):
                cast(Any, module).constrain()


class VAE(AutoEncoderBase):
    """Encoder, latent spaces, decoder and likelihood.

    The encoder maps images to (B, `encoder.num_features`); one linear head maps these to the parameters of all spaces;
    the decoder maps (B, sum of dims) to the likelihood's raw parameters.

    Example:
        >>> from vae_runner import architectures, latent_space, likelihood
        >>> shape, spaces = (1, 8, 8), [latent_space.NormalSpace(dims=3), latent_space.GammaSpace(dims=2)]
        >>> ends = architectures.MLPEncoder(shape, (16,)), architectures.MLPDecoder(5, shape, (16,))
        >>> vae = VAE(ends[0], spaces, ends[1], likelihood.Bernoulli())
        >>> [tuple(code.shape) for code in vae.codes(torch.rand(7, *shape))]
        [(7, 3), (7, 2)]
    """

    spaces: Sequence[LatentSpace]

    def __init__(
        self, encoder: nn.Module, spaces: Sequence[LatentSpace], decoder: nn.Module, likelihood: Likelihood
    ) -> None:
        super().__init__([space.dims for space in spaces])
        self.encoder = encoder
        features = cast(int, encoder.num_features)
        self.head = he_initialised(nn.Linear(features, sum(space.num_parameters for space in spaces)))
        self.spaces = cast(Sequence[LatentSpace], nn.ModuleList(spaces))
        self.decoder = decoder
        self.likelihood = likelihood

    def posteriors(self, x: Tensor) -> tuple[Distribution, ...]:
        """Returns q(z|x) of each latent space, batch shape (B, D)."""
        return self._posteriors(self.head(self.encoder(x)))

    def whole_posteriors(self, x: Tensor) -> tuple[Distribution, ...]:
        """As `posteriors`; in a step of several processes, given this one's rows of a batch, of the whole batch."""
        return self._posteriors(whole(self.head(self.encoder(x))))

    def _posteriors(self, raw: Tensor) -> tuple[Distribution, ...]:
        parts = raw.split([space.num_parameters for space in self.spaces], dim=1)
        return tuple(space.posterior(part) for space, part in zip(self.spaces, parts, strict=True))

    def codes(self, x: Tensor) -> tuple[Tensor, ...]:
        """Returns the posterior's mean for each image, (B, D) of each latent space."""
        return tuple(posterior.mean for posterior in self.posteriors(x))

    def priors(self) -> tuple[Distribution, ...]:
        """Returns p(z) of each latent space, batch shape (D,)."""
        return tuple(self._prior(space_id, space) for space_id, space in enumerate(self.spaces))

    def _prior(self, space_id: int, space: LatentSpace) -> Distribution:
        images = space.pseudo_inputs
        return space.prior() if images is None else space.prior(self.posteriors(images)[space_id])

    @torch.no_grad()
    def pairs(self) -> list[tuple[Distribution, Distribution]]:
        """Returns q, of an image for which the network puts out 0, and p, of each latent space: to try what is made of
        them.
        """
        device = self.head.weight.device
        raws = (torch.zeros(1, space.num_parameters, device=device) for space in self.spaces)
        posteriors = [space.posterior(raw) for space, raw in zip(self.spaces, raws, strict=True)]
        return list(zip(posteriors, self.priors(), strict=True))

    def encode(self, x: Tensor, state: State | None = None) -> Sample:
        """As documented in the base class; posteriors, priors and the sample go to the state under their keys. In a
        step of several processes they are of the whole batch, `x` this one's rows.
        """
        posteriors = self.whole_posteriors(x)
        samples = tuple(posterior.rsample() for posterior in posteriors)
        if state is not None:
            for space_id, parts in enumerate(zip(posteriors, self.priors(), samples, strict=True)):
                state[posterior_key(space_id)], state[prior_key(space_id)], state[sample_key(space_id)] = parts
        return as_sample(samples)

    def decode(self, sample: Sample, state: State | None = None) -> Tensor:
        """As documented in the base class; the decoder's raw output goes to the state under `Y_RAW`. In a step of
        several processes it is of this one's rows.
        """
        raw = self.raw(own(torch.cat(as_tuple(sample), dim=1)))
        if state is not None:
            state[Y_RAW] = raw
        return self.likelihood.mean(raw)

    def raw(self, z: Tensor) -> Tensor:
        """Returns the decoder's raw output for codes of all spaces, (B, sum of dims), which each space has decoded."""
        parts = z.split(self.latent_dims, dim=1)
        return self.decoder(torch.cat([space.decoded(part) for space, part in zip(self.spaces, parts, strict=True)], 1))


def as_tuple(sample: Sample) -> tuple[Tensor, ...]:
    """Returns a sample of one space or of several as a tuple, one tensor for each space."""
    return (sample,) if isinstance(sample, Tensor) else tuple(sample)


def as_sample(parts: Iterable[Tensor]) -> Sample:
    """Returns one tensor for each space as the sample that `encode` returns: of one space the tensor itself."""
    parts = tuple(parts)
    return parts[0] if len(parts) == 1 else parts


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, the model is in evaluation mode and nothing needs a gradient; afterwards each of its modules is, and
    autograd is, as before.
    """
    modes = [(module, module.training) for module in model.modules()]
    with torch.no_grad():
        model.eval()
        try:
            yield
        finally:
            for module, was_training in modes:  # not `train`, which would move those that are frozen
                module.training = was_training
