"""Decoders of one's own, whose layers and functions those of the package do not have."""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Every", "Own"]


class Own(nn.Module):
    """Codes (B, 6) to images (B, 3, H, W), by layers that the package's own decoders do not have."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(6, 64),
            nn.LayerNorm(64),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Unflatten(1, (16, 2, 2)),
            nn.Upsample(scale_factor=2, mode="bilinear"),
            nn.Conv2d(16, 16, 3, padding=1, groups=4),
            nn.BatchNorm2d(16),
            nn.Upsample(scale_factor=2),
            nn.Softplus(),
            nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1, groups=2),
            nn.Mish(),
            nn.ZeroPad2d((1, 0, 2, 0)),
            nn.Conv2d(8, 12, 5, padding=4, dilation=2),
            nn.Hardswish(),
            nn.Dropout(0.5),
            nn.PixelShuffle(2),
            nn.GELU(approximate="tanh"),
        )
        self.layers[6].running_mean.normal_()
        self.layers[6].running_var.uniform_(0.5, 2)

    def forward(self, z: Tensor) -> Tensor:
        y = self.layers(z)
        y = y + 0.3 * z[:, None, :1, None].expand(-1, 3, 1, 1) + z[:, :1, None, None].repeat(1, 1, *y.shape[2:]) ** 2
        return torch.cat([y[:, 1:], y[:, :1].clamp(max=0.5)], 1)


class Every(nn.Module):
    """Codes (B, 6) to images (B, 1, 16, H): a row for each function that the page knows, of numbers, of pairs, or of a
    choice, squeezed into what an image holds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 32)

    def forward(self, z: Tensor) -> Tensor:
        x, y = self.layer(z).chunk(2, dim=1)
        above = x.abs() + 0.5  # where logarithms and roots are
        rows = [torch.relu(x), functional.silu(x), functional.mish(x), x.sigmoid(), x.tanh(), x.exp(), above.log()]
        rows += [above.log1p(), x.expm1(), above.sqrt(), x.sin(), x.cos(), -x, 1 / above, above.rsqrt(), above**1.5]
        rows += [functional.hardsigmoid(4 * x), functional.hardswish(4 * x), functional.leaky_relu(x, 0.3)]
        rows += [functional.elu(x, 0.7), functional.selu(x), functional.gelu(x), functional.gelu(x, approximate="tanh")]
        rows += [functional.softplus(8 * x, 2, 5), functional.hardtanh(x), x.clamp(-0.2), x.clamp(-0.3, 0.2)]
        rows += [x * y, x / above, torch.maximum(x, y), torch.minimum(x, y), x - y, 1 - x, x + y[:, :1]]
        rows += [torch.where(test, x, 0.25) for test in (x > y, x >= 0, x < y[:, :1], x <= 0.1)]
        return torch.stack(rows, 1).tanh()[:, None].mul(0.5).add(0.5)
