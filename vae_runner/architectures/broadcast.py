"""A decoder in which each pixel knows where it is (Watters et al. 2019, spatial broadcast decoder, arXiv 1901.07017).

There, z is repeated at every pixel beside the two coordinates of that pixel, u in [-1, 1]^2, and convolutions see both.
Here, in a cheap form, the first of them is written out, on a grid of 16 to 31 pixels along the image's smaller side:

    h(u) = relu(A z + B u + b)       A z once for each image, B u + b once for all
    3x3 convolutions with rectifiers on the grid, then transposed 4x4 convolutions, stride 2, up to the image's size

since A [z, u] = A z + B u. A translation is then a shift of h along one direction of z, where a decoder that unfolds a
vector into a small image has to learn each place by itself. A grid of 64 x 64 would cost 16 times as much.

A size n is halved to floor(n / 2), as in `conv`; images of less than 32 pixels are doubled once, from a smaller grid.
Weights start as He's; the last layer, with no rectifier behind it, as Glorot's, so that the first logits are small.
"""

from typing import Annotated, cast

import torch
from torch import Tensor, nn

from vae_runner.architectures.parts import ImageShape, Nonlinearity, activation, halved_sizes, halvings
from vae_runner.initialisation import he_initialised
from vae_runner.signature import Limit, enforced, non_negative, positive

__all__ = ["BroadcastDecoder"]

Count = Annotated[int, positive, Limit("must be at most 100,000", lambda value: value <= 100_000)]
Layers = Annotated[int, non_negative, Limit("must be at most 100", lambda value: value <= 100)]
Doublings = Annotated[int, positive, Limit("must be at most 20", lambda value: value <= 20)]

KERNEL = {"kernel_size": 4, "stride": 2, "padding": 1}


@enforced
class BroadcastDecoder(nn.Module):
    """Latents (B, `latent_dim`) to the likelihood's parameters (B, *image_shape).

    width          channels of all layers but the last
    convolutions   3x3 ones on the grid, before the image is made larger
    doublings      how often the grid is made twice as large; None: so often that it has 16 to 31 pixels along the
                   smaller side of the image, once at least

    Example:
        >>> decoder = BroadcastDecoder(10, (3, 45, 64))
        >>> decoder.coordinates.shape, decoder(torch.zeros(2, 10)).shape  # of the grid, and of the images
        (torch.Size([1, 2, 22, 32]), torch.Size([2, 3, 45, 64]))
    """

    coordinates: Tensor

    def __init__(
        self,
        latent_dim: int,
        image_shape: ImageShape,
        width: Count = 32,
        convolutions: Layers = 2,
        doublings: Doublings | None = None,
        nonlinearity: Nonlinearity = "relu",
    ) -> None:
        super().__init__()
        doublings = max(halvings(image_shape) - 2, 1) if doublings is None else doublings
        sizes = halved_sizes(image_shape, doublings)[::-1]
        self.register_buffer("coordinates", grid_coordinates(sizes[0]), persistent=False)
        self.of_code = he_initialised(nn.Linear(latent_dim, width))
        self.of_place = he_initialised(nn.Conv2d(2, width, 1, bias=False))  # `of_code` has the bias of both
        layers = [activation(nonlinearity)]
        for _ in range(convolutions):
            layers += [nn.Conv2d(width, width, 3, padding=1), activation(nonlinearity)]
        for size in sizes[1:]:
            odd = tuple(length % 2 for length in size)
            outputs = image_shape[0] if size is sizes[-1] else width
            layers += [nn.ConvTranspose2d(width, outputs, **KERNEL, output_padding=odd), activation(nonlinearity)]
        self.layers = he_initialised(nn.Sequential(*layers[:-1]))  # the output itself is linear
        nn.init.xavier_uniform_(cast(Tensor, self.layers[-1].weight))

    def forward(self, z: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):  # a place is to be known to more than 8 bits
            seen = self.of_code(z)[:, :, None, None] + self.of_place(self.coordinates)
        return self.layers(seen)


def grid_coordinates(size: tuple[int, int]) -> Tensor:
    """The height and the breadth of each pixel of a grid, -1 to 1, 0 where there is one only: (1, 2, H, W)."""
    height, breadth = (torch.linspace(-1, 1, length) if length > 1 else torch.zeros(1) for length in size)
    return torch.stack(torch.meshgrid(height, breadth, indexing="ij"))[None]
