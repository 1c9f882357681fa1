"""A picture for print: as wide as a column, its texts of one size there, without title and footnote.

Sizes are those of the paper, 1 in = 25.4 mm = 72 pt = 96 px (CSS), so that a picture that is put on a page at its own
size has texts of 8 pt. Charts are laid out in units, of which a text is `UNITS` high; what is wider than the paper is
arranged anew, never made smaller.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vae_runner.drawing.lettering import plain
from vae_runner.errors import UserError

__all__ = ["FORMATS", "SETTINGS", "UNITS", "Paper", "read_paper"]

UNITS = 11.0  # units of a chart that a text is high
FORMATS = ("png", "pdf", "svg")
POINTS = {"mm": 72 / 25.4, "cm": 720 / 25.4, "in": 72.0, "pt": 1.0, "px": 0.75}  # of each unit of length
SETTINGS = ("format", "dpi", "width", "text", "title")
NARROWEST, WIDEST = 20.0, 1000.0  # mm
SMALLEST, LARGEST = 4.0, 24.0  # points of a text
FINEST = 2400  # dots per inch
MOST = 150_000_000  # pixels of a picture
LENGTH = re.compile(r"([0-9]*\.?[0-9]+)\s*([a-zA-Z]*)")


@dataclass(frozen=True)
class Paper:
    """What the pictures are to be printed on.

    format      png, pdf or svg
    width       points
    text        points of all texts
    dpi         pixels per inch of a PNG; of the images in a PDF or an SVG at most, None: as many as they have
    has_title   whether the title and the footnote are shown
    """

    format: str = "png"
    width: float = 84 * POINTS["mm"]
    text: float = 8.0
    dpi: float | None = None
    has_title: bool = False

    @property
    def unit(self) -> float:
        """Points of a unit of a chart."""
        return self.text / UNITS

    @property
    def units(self) -> float:
        """Its width in units of a chart."""
        return self.width / self.unit

    @property
    def resolution(self) -> float:
        """Pixels per inch of a PNG."""
        return self.dpi or 300.0

    @property
    def millimetres(self) -> str:
        """'84 mm': its width."""
        return f"{self.width / POINTS['mm']:g} mm"

    def record(self) -> dict[str, float | str]:
        """Returns what the JSON file beside the picture says of it."""
        width = round(self.width / POINTS["mm"], 3)
        dots = {"dpi": self.resolution} if self.format == "png" else {}
        return {"format": self.format, "width_mm": width, "text_pt": self.text, **dots}

    def pixels(self, width: float, height: float) -> tuple[int, int]:
        """Those of a PNG of so many units. Raises `UserError` where they are absurdly many."""
        scale = self.unit * self.resolution / 72
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        if math.prod(size) > MOST:
            raise UserError(
                f"dpi={self.resolution:g}: at a width of {self.millimetres} it makes a picture of {size[0]:,} x "
                f"{size[1]:,} pixels, more than {MOST // 1_000_000} million; take less, or format=pdf"
            )
        return size


def read_paper(settings: Mapping[str, str], other_formats: Sequence[str] = ()) -> Paper | None:
    """The paper that settings of these names describe, None where there are none; a mistake in the format is told with
    those that others write.

    Raises:
        UserError: with a line for each mistake.
    """
    if not settings:
        return None
    problems: list[str] = []
    format, title = settings.get("format", "png").lower(), settings.get("title", "false").lower()
    if format not in FORMATS:
        problems.append(f"format: expected one of {', '.join((*FORMATS, *other_formats))}, got '{plain(format)}'")
    if title not in ("true", "false"):
        problems.append(f"title: expected true or false, got '{plain(title)}'")
    width = _length(settings.get("width", "84mm"), "width", NARROWEST * POINTS["mm"], WIDEST * POINTS["mm"], problems)
    text = _length(settings.get("text", "8pt"), "text", SMALLEST, LARGEST, problems)
    dpi = _dots(settings["dpi"], problems) if "dpi" in settings else None
    if problems:
        raise UserError("\n".join(problems))
    if dpi is None and format == "png" and settings.get("width", "").strip().lower().endswith("px"):
        dpi = 96.0  # a picture for a screen: so many pixels
    return Paper(format, width, text, dpi, title == "true")


def _length(told: str, name: str, least: float, most: float, problems: list[str]) -> float:
    """Points; the mistake, if there is one, is added to the problems."""
    found = LENGTH.fullmatch(told.strip())
    unit = found[2].lower() if found else ""
    units, ends = ("pt", f"{least:g} to {most:g} pt") if name == "text" else ("mm", f"{NARROWEST:g} to {WIDEST:,g} mm")
    if found is None or unit not in POINTS:
        example = f"{found[1]}{units}" if found and not unit else "8pt" if name == "text" else "84mm"
        problems.append(f"{name}: expected a length such as {example} ({', '.join(POINTS)}), got '{plain(told)}'")
        return least
    points = float(found[1]) * POINTS[unit]
    if not least - 1e-9 <= points <= most + 1e-9:
        problems.append(f"{name}={plain(told)} must be {ends}")
    return points


def _dots(told: str, problems: list[str]) -> float | None:
    try:
        dpi = float(told)
    except ValueError:
        dpi = math.nan
    if not 0 < dpi <= FINEST or dpi < 30:
        problems.append(f"dpi must be a number from 30 to {FINEST:,}, got '{plain(told)}'")
        return None
    return dpi
