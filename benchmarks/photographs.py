"""JPEGs of 1/f noise, as natural images have it, with discs, blurred as by a lens."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

__all__ = ["photographs"]


def photographs(folder: Path, count: int, size: tuple[int, int], quality: int) -> list[Path]:
    """So many files of `size` (width, height) in a folder; those that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number:06d}.jpg" for number in range(count)]
    for number, file in enumerate(files):
        if not file.exists():
            photograph(number, *size).save(file, quality=quality)
    return files


def photograph(seed: int, width: int, height: int) -> Image.Image:
    generator = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    phases = np.exp(2j * np.pi * generator.random((3, *frequency.shape)))
    spectrum = (0.8 * phases[:1] + 0.2 * phases) / np.maximum(frequency, 1 / width) ** 1.2  # little colour
    noise = np.fft.irfft2(spectrum, (height, width))
    levels = np.clip(128 + 40 * (noise - noise.mean()) / noise.std(), 0, 255).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0)))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, radius = generator.random(3) * [width, height, 0.15 * width]
        colour = tuple(generator.integers(0, 256, 3).tolist())
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return image.filter(ImageFilter.GaussianBlur(0.5))
