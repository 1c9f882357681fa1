"""A network of features, by which samples are compared with images, from a file that the user has.

    weights of torchvision's inception_v3     a state dict (`torch.save`); its 2,048 features before the last layer, of
                                              images resized to 299 x 299, in [-1, 1]
    a TorchScript module                      features (B, F) of images (B, 3, H, W) in [0, 1]; of one that has an
                                              argument `return_features`, of bytes, as the network of StyleGAN's FID

Gray images have three equal channels. Distances of different networks do not compare: the published FIDs are of the
network of TensorFlow's (the second kind), not of torchvision's.
"""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vae_runner.errors import UserError
from vae_runner.text import plain

__all__ = ["FeatureNet"]

SIZE = 299  # pixels
BEHIND = ("fc.", "AuxLogits.")  # the layers of inception_v3 behind its features


class FeatureNet:
    """Features of images (B, C, H, W) in [0, 1], C = 1 or 3, as it is called: (B, F) float64 on the CPU.

    Raises `UserError` where the file holds no such network, or gives something else.

    Example:
        >>> net = FeatureNet(lambda images: images.mean((2, 3)), "the mean of each channel")
        >>> net(torch.full((2, 1, 8, 8), 0.5)).shape
        torch.Size([2, 3])
    """

    def __init__(self, net: Any, name: str) -> None:
        self.net, self.name = net, name

    @classmethod
    def load(cls, file: str | Path, device: torch.device | str = "cpu") -> "FeatureNet":
        """The network of a file, on that device."""
        name = plain(file)
        if not Path(file).is_file():
            raise UserError(f"evaluation.inception={name}: no such file")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # torch goes on to other forms; users have these files
                module = torch.jit.load(str(file), map_location=device)
        except (RuntimeError, ValueError):
            return cls(_Inception(_weights(Path(file))).to(device).eval(), "torchvision's inception_v3")
        return cls(_Scripted(module.eval()), name)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        if images.shape[1] not in (1, 3):
            raise UserError(f"a network of features takes gray or colour images, not of {images.shape[1]} channels")
        try:
            found = self.net(images.float().expand(-1, 3, -1, -1).clamp(0, 1))
        except RuntimeError as error:
            why = str(error).strip().splitlines()[-1]
            raise UserError(f"{self.name} takes no images {tuple(images.shape[1:])}: {plain(why)}") from error
        if not isinstance(found, Tensor) or found.ndim < 2 or len(found) != len(images):
            raise UserError(f"{self.name} gives no features (B, F) for images (B, 3, H, W)")
        found = found.flatten(1).double().cpu()
        if not found.isfinite().all():
            raise UserError(f"{self.name} gives features that are not finite")
        return found


class _Inception(nn.Module):
    """torchvision's, without its last layer."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        from torchvision.models import inception_v3

        self.net = inception_v3(weights=None, aux_logits=False, init_weights=False)
        self.net.fc = nn.Identity()
        try:
            self.net.load_state_dict({name: one for name, one in weights.items() if not name.startswith(BEHIND)})
        except RuntimeError as error:
            raise UserError("evaluation.inception: the weights are not those of torchvision's inception_v3") from error

    def forward(self, images: Tensor) -> Tensor:
        large = functional.interpolate(images, (SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
        found: Tensor = self.net(2 * large - 1)
        return found


class _Scripted(nn.Module):
    """A module of the user's, of floats or, where it can return features, of bytes."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module
        names = [argument.name for argument in module.forward.schema.arguments]
        self.takes_bytes = "return_features" in names

    def forward(self, images: Tensor) -> Any:
        if self.takes_bytes:
            return self.module((images * 255).round().to(torch.uint8), return_features=True)
        return self.module(images)


def _weights(file: Path) -> dict[str, Tensor]:
    """The state dict in a file. Raises `UserError` where it is none."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a file that is none can raise nearly anything
        content = error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"evaluation.inception={plain(file)} is neither a TorchScript module nor weights by name")
    return content
