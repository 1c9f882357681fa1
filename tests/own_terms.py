"""Terms as a user would write them, for tests."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional

from vae_runner.divergence import ClosedFormKL, DivergenceBase
from vae_runner.state import State, StateKey


class MeanSquares(DivergenceBase):
    """Weight times the squared means of the posteriors, and nothing like a KL."""

    def __init__(self, input_key: StateKey, weight: float = 100.0) -> None:
        super().__init__({"input": input_key})
        self.weight = weight

    def compute(self, input: Distribution) -> Tensor:
        return self.weight * input.mean.square()


class Relabelled(ClosedFormKL):
    """A KL whose `compute` was overridden, and is none any more."""

    def compute(self, input: Distribution, target: Distribution) -> Tensor:
        return 7 * super().compute(input, target)


class Critic(DivergenceBase):
    """A discriminator that tells codes from codes permuted over the batch, with weights of its own."""

    def __init__(
        self, sample_key: StateKey, dims: int, lr: float = 1e-3, settings: dict[str, Any] | None = None
    ) -> None:
        super().__init__({"z": sample_key})
        self.net = nn.Sequential(nn.Linear(dims, 8), nn.LeakyReLU(0.2), nn.Linear(8, 2))
        self.settings = {"lr": lr, **(settings or {})}

    def compute_parts(self, z: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        joint, permuted = self.net(z).unbind(1)
        return joint - permuted, {"tc": (joint - permuted).mean()}

    def own_loss(self, state: State) -> Tensor:
        z = state[self.keys["z"]].detach()
        shuffled = z.gather(0, torch.rand_like(z).argsort(0))
        labels = torch.arange(2, device=z.device).repeat_interleave(len(z))
        loss = functional.cross_entropy(self.net(torch.cat([z, shuffled])), labels)
        self.record(state, d_loss=loss)
        return loss

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": self.net.parameters(), **self.settings}]


class Witness(DivergenceBase):
    """Nothing, but it remembers the facts that it was told."""

    def __init__(
        self, sample_keys: list[StateKey], dims: int, num_images: int, batch_size: int, scale: float = 1.0
    ) -> None:
        super().__init__({"samples": sample_keys})
        self.told = (list(sample_keys), dims, num_images, batch_size)

    def compute(self, samples: tuple[Tensor, ...]) -> Tensor:
        return 0 * torch.cat(samples, 1)


class Wanting(DivergenceBase):
    """It asks for what nobody knows."""

    def __init__(self, input_key: StateKey, num_pixels: int) -> None:
        super().__init__({"input": input_key})


class Torn(DivergenceBase):
    """It is of one space, and over all."""

    def __init__(self, input_key: StateKey, sample_keys: list[StateKey]) -> None:
        super().__init__({"input": input_key, "samples": sample_keys})


class Impostor(DivergenceBase):
    """It gives its own figure the name of what is measured."""

    def __init__(self, input_key: StateKey) -> None:
        super().__init__({"input": input_key})

    def compute_parts(self, input: Distribution) -> tuple[Tensor, dict[str, Tensor]]:
        return input.mean.square(), {"kl": input.mean.square().mean()}
