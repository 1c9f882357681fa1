"""Two ways from a code to another, with t in [0, 1]: straight, and along a sphere,

    linear       z_t = (1 - t) z_1 + t z_2
    spherical    z_t = sin((1 - t) w) / sin(w) z_1 + sin(t w) / sin(w) z_2,    w the angle between z_1 and z_2,

which stays where a normal prior of many dimensions lies (Shoemake 1985, SIGGRAPH; White 2016, arXiv 1609.04468).
"""

import torch
from torch import Tensor

__all__ = ["spherical", "straight"]


def straight(start: Tensor, end: Tensor, num_steps: int) -> Tensor:
    """Returns the codes (num_steps, B, D) on the way between (B, D) and (B, D), which are its ends to the bit."""
    weight = torch.linspace(0, 1, num_steps, dtype=start.dtype, device=start.device)
    return torch.lerp(start, end, weight[:, None, None])


def spherical(start: Tensor, end: Tensor, num_steps: int) -> Tensor:
    """Returns the codes (num_steps, B, D) along great circles around 0, the length going along evenly with the angle's
    sines; its ends to the bit. Straight where the codes lie on one line with 0, which leaves no angle or no one circle.
    """
    weight = torch.linspace(0, 1, num_steps, dtype=torch.float64, device=start.device)[:, None, None]
    z1, z2 = start.double(), end.double()
    cosine = torch.nn.functional.cosine_similarity(z1, z2, dim=-1, eps=1e-30).clamp(-1, 1)[:, None]
    angle, sine = cosine.acos(), cosine.acos().sin()
    safe = sine.clamp(min=1e-30)
    along = torch.sin((1 - weight) * angle) / safe * z1 + torch.sin(weight * angle) / safe * z2
    codes = torch.where(sine > 1e-4, along.to(start), straight(start, end, num_steps))
    codes[0], codes[-1] = start, end
    return codes
