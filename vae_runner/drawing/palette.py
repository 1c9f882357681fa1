"""Every colour there is: of paper and ink, of curves, of values, and of the pages.

Curves and classes: Okabe & Ito 2008, "Color universal design", which people with any colour vision can tell apart.
Values: viridis, which rises evenly in lightness. Angles: twilight, which ends as it starts (both from matplotlib, CC0).
Those of the pages are properties of the style sheet, which names no colour itself, in a light and a dark set.
"""

from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["COLOURS", "DEAD", "FRAME", "INK", "LABEL", "NOT_FINITE", "PAGE_DARK", "PAGE_LIGHT", "PAPER", "QUIET"]
__all__ += ["RULE", "RUNS_DARK", "RUNS_LIGHT", "TWILIGHT", "VIRIDIS", "between", "ink_on", "page_style", "rgb"]
__all__ += ["shades"]

PAPER, INK = "#ffffff", "#282828"  # grays, so that a picture of gray images is one
QUIET = "#787878"  # what is written beside images
LABEL, RULE = "#6e6e6e", "#e4e4e4"  # of a chart
DEAD = "#c8c8c8"  # what carries nothing, or is not known
FRAME = "#b4b4b4"  # of images that would melt into the paper
NOT_FINITE = "#ff00ff"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
VIRIDIS = ("#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725")
TWILIGHT = ("#c9c2d0", "#6b97bf", "#5b52a4", "#2f1436", "#7e2253", "#b8644f", "#c9c2d0")

RUNS_LIGHT = ("#2f6fb5", "#c4541a", "#2e8540", "#8a4fbf", "#b58900", "#c2397a", "#11848f", "#6b7280")
RUNS_DARK = ("#6ca8ec", "#f0905a", "#67c47c", "#b98ae6", "#e0bb4a", "#ee7fb0", "#55c4cf", "#a3abb5")
PAGE_LIGHT = {
    **{"paper": PAPER, "card": "#f6f8fa", "ink": "#1f2328", "quiet": "#59636e", "rule": "#d8dee4"},
    **{"train": RUNS_LIGHT[0], "validation": RUNS_LIGHT[1], "capacity": "#1f2328"},
    **{"good": "#1a7f37", "busy": RUNS_LIGHT[0], "bad": "#c62828", "odd": "#9a6700"},
    **{f"c{number}": colour for number, colour in enumerate(RUNS_LIGHT)},
    "heat": RUNS_DARK[0],  # the ground of the largest numbers, which are written in ink
    "picture": PAPER,  # behind pictures, in the dark too: their ink needs paper
}
PAGE_DARK = {
    **{"paper": "#0f1216", "card": "#181c22", "ink": "#e4e8ec", "quiet": "#98a2ad", "rule": "#2c333b"},
    **{"train": RUNS_DARK[0], "validation": RUNS_DARK[1], "capacity": "#e4e8ec"},
    **{"good": "#4cc368", "busy": RUNS_DARK[0], "bad": "#ff7b72", "odd": "#d9a62e"},
    **{f"c{number}": colour for number, colour in enumerate(RUNS_DARK)},
    "heat": "#285f9c",
}


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of '#rrggbb'."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def between(colours: Sequence[str], part: float) -> str:
    """The colour at that part, in [0, 1], of the way through the colours."""
    place = min(max(part, 0.0), 1.0) * (len(colours) - 1)
    index = min(int(place), len(colours) - 2)
    first, second = (rgb(colour) for colour in colours[index : index + 2])
    mixed = (round(a + (b - a) * (place - index)) for a, b in zip(first, second, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def shades(values: np.ndarray) -> list[str]:
    """The colour of each of the values of a factor: classes (N,) of integers, numbers (N,) of which the lowest and the
    highest are the ends of viridis, or angles (N, 2) as (cos, sin).
    """
    if values.ndim == 2:
        turns = (np.arctan2(values[:, 1], values[:, 0]) / (2 * np.pi)) % 1
        return [between(TWILIGHT, turn) for turn in turns.tolist()]
    if not np.issubdtype(values.dtype, np.floating):
        return [COLOURS[value % len(COLOURS)] for value in values.tolist()]
    low, high = float(values.min()), float(values.max())
    return [between(VIRIDIS, (value - low) / ((high - low) or 1.0)) for value in values.tolist()]


def ink_on(colour: str) -> str:
    """`INK` or `PAPER`, whichever is easier to read there; by the luma of ITU-R BT.601."""
    red, green, blue = rgb(colour)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else PAPER


def page_style() -> str:
    """CSS that gives the style sheet its colours, as properties: '--ink', ...; others where the reader has it dark."""
    return f":root {{ color-scheme: light dark; {_properties(PAGE_LIGHT)} }}\n" + (
        f"@media (prefers-color-scheme: dark) {{ :root {{ {_properties(PAGE_DARK)} }} }}\n"
    )


def _properties(colours: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())
