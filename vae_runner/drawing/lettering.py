"""The one font, Pillow's own, how much room its words take, in pixels, and how the numbers at an axis are written."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from PIL import ImageFont

from vae_runner.drawing.palette import QUIET

__all__ = ["ENLARGED", "Text", "font", "font_file", "line_height", "plain", "shortened", "small_size"]
__all__ += ["tick_labels", "units_wide", "widest", "wrapped"]

ENLARGED = 2  # pixels of a chart's PNG for each of its units


@dataclass(frozen=True)
class Text:
    """A line of text in its place; the anchor is Pillow's: 'ls' is the left end of the base line."""

    x: float
    y: float
    text: str
    size: int
    colour: str = QUIET
    anchor: str = "la"


@cache
def font(size: float) -> Any:
    """Returns the font at that size, pixels."""
    return ImageFont.load_default(size)


def font_file() -> bytes:
    """Returns the bytes of the font's own file, TrueType."""
    file = font(10).path
    file.seek(0)
    return file.read()


def line_height(size: int) -> int:
    """Returns the distance of two lines of text of that size, pixels."""
    return round(size * 1.5)


def small_size(size: int) -> int:
    """Of the text below tiles."""
    return max(round(size * 0.8), 11)


def widest(texts: Sequence[str], size: int) -> int:
    """Pixels of the longest text."""
    return math.ceil(max((font(size).getlength(text) for text in texts), default=0))


def units_wide(text: str, size: float) -> float:
    """Units of a chart that a text takes in its PNG, and about so many in its SVG."""
    return font(round(size * ENLARGED)).getlength(text) / ENLARGED


def wrapped(text: str, size: int, width: int) -> list[str]:
    """The text in lines of at most that many pixels, where its words allow it."""
    lines: list[str] = []
    for word in text.split():
        if lines and font(size).getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def shortened(text: str, size: int, width: int) -> str:
    """The text, with an ellipsis where it is wider than that."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def plain(text: str) -> str:
    """The text in ASCII, for words from anywhere: the font knows little more."""
    return "".join(character if " " <= character <= "~" else "?" for character in text)


def tick_labels(values: Sequence[float]) -> list[str]:
    """The numbers at an axis, to six digits, or whole; all of them with a power of ten where the largest is very small
    or large.
    """
    largest = max(map(abs, values), default=0)
    if 1e-3 <= largest < 1e7:
        return [f"{value:,.{6 if largest < 1e6 else 7}g}" for value in values]
    return [f"{value:.3g}" for value in values]
