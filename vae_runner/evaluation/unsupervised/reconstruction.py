"""How close reconstructions are to their images, of the range [0, 1], as means over images:

    MSE   mean over pixels of (x - y)^2
    PSNR  -10 log10 MSE, decibels; at most 100, which an error of 1e-5 has
    SSIM  mean over places of (2 m_x m_y + C_1)(2 s_xy + C_2) / [(m_x^2 + m_y^2 + C_1)(s_x^2 + s_y^2 + C_2)]

(Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity"), with means, variances
and covariances over windows of 7 x 7 that lie within the image, those with
49 / 48, C_1 = 0.01^2 and C_2 = 0.03^2, of each channel: scikit-image's `structural_similarity` with its defaults.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from vae_runner.errors import UserError
from vae_runner.evaluation.score import Score

__all__ = ["Fidelity", "mse", "psnr", "ssim"]

WINDOW = 7
MOST = 100.0  # decibels


def mse(images: Tensor, others: Tensor) -> Tensor:
    """Returns the mean squared difference of each image (B, C, H, W), (B,), in float64."""
    return (images.double() - others.double()).square().flatten(1).mean(1)


def psnr(images: Tensor, others: Tensor) -> Tensor:
    """Returns the peak signal-to-noise ratio of each image (B, C, H, W), (B,), decibels, at most 100."""
    return -10 * mse(images, others).clamp(min=10 ** (-MOST / 10)).log10()


def ssim(images: Tensor, others: Tensor) -> Tensor:
    """Returns the structural similarity of each image (B, C, H, W), (B,), in [-1, 1].

    Raises `UserError` for images that are smaller than a window.
    """
    if min(images.shape[-2:]) < WINDOW:
        height, width = images.shape[-2:]
        raise UserError(f"SSIM looks at windows of {WINDOW}x{WINDOW} pixels, images of {height}x{width} have none")
    x, y = images.double(), others.double()
    mean_x, mean_y = _windows(x), _windows(y)
    scale = WINDOW**2 / (WINDOW**2 - 1)
    variances = scale * (_windows(x * x) - mean_x**2 + _windows(y * y) - mean_y**2)
    covariance = scale * (_windows(x * y) - mean_x * mean_y)
    light = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
    return (light * (2 * covariance + 0.03**2) / (variances + 0.03**2)).flatten(1).mean(1)


def _windows(values: Tensor) -> Tensor:
    """The mean over each window within the image."""
    return functional.avg_pool2d(values, WINDOW, stride=1)


class Fidelity:
    """Sums the three over batches of images; `read` gives their means over images.

    Example:
        >>> found = Fidelity()
        >>> found.add(torch.zeros(2, 1, 8, 8), torch.full((2, 1, 8, 8), 0.1))
        >>> score = found.read()
        >>> round(score.value, 4), round(score.others["psnr"], 2)
        (0.01, 20.0)
    """

    def __init__(self) -> None:
        self._found: dict[str, list[Tensor]] = {"mse": [], "psnr": [], "ssim": []}

    def add(self, images: Tensor, others: Tensor) -> None:
        """Add images and their reconstructions, (B, C, H, W) in [0, 1]."""
        self._found["mse"].append(mse(images, others).cpu())
        self._found["psnr"].append(psnr(images, others).cpu())
        if min(images.shape[-2:]) >= WINDOW:
            self._found["ssim"].append(ssim(images, others).cpu())

    def read(self) -> Score:
        """Returns the MSE, and `psnr` and `ssim` in `others`, each with its standard error over images."""
        found = {name: torch.cat(parts) for name, parts in self._found.items() if parts}
        others = {name: float(values.mean()) for name, values in found.items() if name != "mse"}
        others |= {f"{name}_error": _error(values) for name, values in found.items()}
        notes = [] if "ssim" in found else [f"no SSIM: the images are smaller than its window, {WINDOW}x{WINDOW}"]
        return Score(float(found["mse"].mean()), others=others, notes=notes)


def _error(values: Tensor) -> float:
    return float(values.std()) / math.sqrt(len(values)) if len(values) > 1 else 0.0
