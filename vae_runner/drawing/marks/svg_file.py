"""Marks as an SVG: on the screen a unit is a CSS pixel, on paper it is as many millimetres wide as that says."""

import base64
import html
from collections.abc import Sequence

from vae_runner.drawing.marks.marks import Area, Box, Dot, Line, Mark, Pixels
from vae_runner.drawing.paint import as_image, as_png
from vae_runner.drawing.palette import PAPER
from vae_runner.drawing.paper import Paper

__all__ = ["svg_file"]

LINE = 'fill="none" stroke="{}" stroke-width="{:g}" stroke-linejoin="round" stroke-linecap="round"'


def svg_file(marks: Sequence[Mark], width: float, height: float, paper: Paper | None) -> bytes:
    """The bytes of a file of `width` x `height` units."""
    size = f'width="{width:g}" height="{height:g}"'
    if paper is not None:
        millimetres = paper.unit / 72 * 25.4
        size = f'width="{width * millimetres:.3f}mm" height="{height * millimetres:.3f}mm"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
        f'viewBox="0 0 {width:g} {height:g}" font-family="Helvetica, Arial, sans-serif">\n'
        f'<rect width="100%" height="100%" fill="{PAPER}"/>\n'
    )
    return (head + "\n".join(map(_element, marks)) + "\n</svg>\n").encode("ascii", "xmlcharrefreplace")


def _element(mark: Mark) -> str:
    if isinstance(mark, (Line, Area)):
        path = " ".join(f"{x:.2f},{y:.2f}" for x, y in mark.points)
        if isinstance(mark, Line):
            return f'<polyline points="{path}" {LINE.format(mark.colour, mark.width)}/>'
        return f'<polygon points="{path}" fill="{mark.colour}" fill-opacity="{mark.opacity:g}"/>'
    if isinstance(mark, Box):
        size = f'width="{mark.right - mark.left:.2f}" height="{mark.bottom - mark.top:.2f}"'
        return f'<rect x="{mark.left:.2f}" y="{mark.top:.2f}" {size} fill="{mark.colour}"/>'
    if isinstance(mark, Dot):
        place = f'cx="{mark.x:.2f}" cy="{mark.y:.2f}" r="{mark.radius + 0.3:g}"'
        return f'<circle {place} fill="{mark.colour}" stroke="{PAPER}" stroke-width="0.6"/>'
    if isinstance(mark, Pixels):
        return _image(mark)
    style = f'fill="{mark.colour}" font-size="{mark.size:g}" text-anchor="{mark.anchor}"'
    turned = f' transform="rotate(-90 {mark.x:.2f} {mark.y:.2f})"' if mark.is_upright else ""
    return f'<text x="{mark.x:.2f}" y="{mark.y:.2f}" {style}{turned}>{html.escape(mark.text, quote=False)}</text>'


def _image(mark: Pixels) -> str:
    data = base64.b64encode(as_png(as_image(mark.pixels))).decode()
    place = f'x="{mark.left:.3f}" y="{mark.top:.3f}" width="{mark.width:.3f}" height="{mark.height:.3f}"'
    shown = 'preserveAspectRatio="none" style="image-rendering:pixelated"'
    return f'<image {place} {shown} href="data:image/png;base64,{data}"/>'
