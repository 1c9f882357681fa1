"""Parts of a user's own that make something of a whole batch, which several processes cannot share out."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributions import Distribution

from vae_runner.architectures import MLPEncoder
from vae_runner.divergence import DivergenceBase
from vae_runner.likelihood import Gaussian
from vae_runner.state import Y_PRED, StateKey

__all__ = ["Bright", "Dropped", "MeanScaled", "Normed"]

Shape = tuple[int, int, int]


class Normed(MLPEncoder):
    """An encoder behind a batch norm."""

    def __init__(self, image_shape: Shape, hidden: Sequence[int] = (16,), nonlinearity: str = "relu") -> None:
        super().__init__(image_shape, hidden, nonlinearity)
        self.norm: nn.Module = nn.BatchNorm2d(image_shape[0])

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.norm(x))


class Dropped(Normed):
    """An encoder behind a dropout."""

    def __init__(self, image_shape: Shape, hidden: Sequence[int] = (16,), nonlinearity: str = "relu") -> None:
        super().__init__(image_shape, hidden, nonlinearity)
        self.norm = nn.Dropout(0.5)


class Bright(DivergenceBase):
    """How bright the decoded images are, squared: of the batch's mean."""

    def __init__(self, input_key: StateKey) -> None:
        super().__init__({"q": input_key, "decoded": Y_PRED})

    def compute(self, q: Distribution, decoded: Tensor) -> Tensor:
        return decoded.mean().square()


class MeanScaled(Gaussian):
    """A Gaussian whose loss is divided by its mean over the batch."""

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        each = super().nll(raw, target)
        return each / each.detach().mean()
