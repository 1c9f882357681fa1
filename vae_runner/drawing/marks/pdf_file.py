"""Marks as a PDF: lines, texts and images as such, so that it is sharp at any size and its words can be searched.

It is written here, and not by a library: of the format (ISO 32000-1, PDF 1.4) a picture needs six kinds of objects and
a dozen operators, and the font that all pictures are laid out by is Pillow's own, which is embedded whole (12 KB), as
publishers ask. There is no date in it, and nothing random: the same picture is the same bytes.
"""

import zlib
from collections.abc import Sequence
from itertools import pairwise

from vae_runner.drawing.lettering import font, font_file
from vae_runner.drawing.marks.marks import Area, Box, Dot, Line, Mark, Pixels, Words
from vae_runner.drawing.palette import PAPER, rgb

__all__ = ["pdf_file"]

EM = 1000  # units of a font's measures
FIRST, LAST = 32, 126  # the characters that are written
ROUND = 0.5523  # where a curve's handles lie, for a quarter of a circle
BEFORE = {"start": 0.0, "middle": 0.5, "end": 1.0}


def pdf_file(marks: Sequence[Mark], width: float, height: float, unit: float) -> bytes:
    """The bytes of a file with one page of `width` x `height` units, each `unit` points."""
    images = [mark for mark in marks if isinstance(mark, Pixels)]
    opacities = sorted({mark.opacity for mark in marks if isinstance(mark, Area)})
    page = _Page(height * unit, unit, opacities)
    page.fill(PAPER)
    page.add(f"0 0 {width * unit:.3f} {height * unit:.3f} re f")
    for mark in marks:
        page.draw(mark)
    file = _File()
    first = 7  # behind the catalogue, the pages, the page, its content, and the font's two
    named = " ".join(f"/I{number} {first + 1 + number} 0 R" for number in range(len(images)))
    states = " ".join(f"/A{number} << /ca {opacity:g} >>" for number, opacity in enumerate(opacities))
    resources = f"<< /Font << /F 5 0 R >> /XObject << {named} >> /ExtGState << {states} >> >>"
    box = f"[0 0 {width * unit:.3f} {height * unit:.3f}]"
    file.add("<< /Type /Catalog /Pages 2 0 R >>")
    file.add("<< /Type /Pages /Kids [3 0 R] /Count 1 >>")
    file.add(f"<< /Type /Page /Parent 2 0 R /MediaBox {box} /Contents 4 0 R /Resources {resources} >>")
    file.add_stream("", "\n".join(page.operators).encode("ascii"))
    _add_font(file)
    for image in images:
        _add_image(file, image)
    return file.encoded()


class _File:
    """Objects, numbered from 1, and at the end where each begins."""

    def __init__(self) -> None:
        self._bytes = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
        self._starts: list[int] = []

    def add(self, content: str, stream: bytes | None = None) -> None:
        self._starts.append(len(self._bytes))
        self._bytes += f"{len(self._starts)} 0 obj\n{content}\n".encode("ascii")
        if stream is not None:
            self._bytes += b"stream\n" + stream + b"\nendstream\n"
        self._bytes += b"endobj\n"

    def add_stream(self, about: str, data: bytes) -> None:
        """Compressed."""
        packed = zlib.compress(data, 9)
        self.add(f"<< {about} /Length {len(packed)} /Filter /FlateDecode >>", packed)

    def encoded(self) -> bytes:
        table = "".join(f"{start:010d} 00000 n \n" for start in self._starts)
        count, begin = len(self._starts) + 1, len(self._bytes)
        end = f"xref\n0 {count}\n0000000000 65535 f \n{table}trailer\n<< /Size {count} /Root 1 0 R >>\n"
        return bytes(self._bytes) + f"{end}startxref\n{begin}\n%%EOF\n".encode("ascii")


def _add_font(file: _File) -> None:
    """Objects 5, 6 and 7: the font, its measures, and the file of its outlines."""
    face, (name, style) = font(EM), font(EM).getname()
    above, below = face.getmetrics()
    widths = " ".join(f"{_width(chr(code)):.0f}" for code in range(FIRST, LAST + 1))
    called, outlines = f"{name}-{style}".replace(" ", ""), font_file()
    file.add(
        f"<< /Type /Font /Subtype /TrueType /BaseFont /{called} /FirstChar {FIRST} /LastChar {LAST} "
        f"/Widths [{widths}] /Encoding /WinAnsiEncoding /FontDescriptor 6 0 R >>"
    )
    file.add(
        f"<< /Type /FontDescriptor /FontName /{called} /Flags 32 /FontBBox [-{EM} -{below} {2 * EM} {above}] "
        f"/ItalicAngle 0 /Ascent {above} /Descent -{below} /CapHeight 700 /StemV 80 /FontFile2 7 0 R >>"
    )
    file.add_stream(f"/Length1 {len(outlines)}", outlines)


def _add_image(file: _File, image: Pixels) -> None:
    height, width, channels = image.pixels.shape
    space = "DeviceGray" if channels == 1 else "DeviceRGB"
    file.add_stream(
        f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /{space} /BitsPerComponent 8",
        image.pixels.tobytes(),
    )


def _width(text: str) -> float:
    """Thousandths of the text's size, letter by letter."""
    return sum(font(EM).getlength(letter) for letter in text)


class _Page:
    """The page's operators; there y goes up, from the bottom, in points."""

    def __init__(self, height: float, unit: float, opacities: Sequence[float]) -> None:
        self.height, self.unit, self.opacities = height, unit, opacities
        self.operators: list[str] = []
        self._images = 0

    def add(self, operators: str) -> None:
        self.operators.append(operators)

    def fill(self, colour: str) -> None:
        self.add(f"{_share(colour)} rg")

    def at(self, x: float, y: float) -> str:
        return f"{x * self.unit:.3f} {self.height - y * self.unit:.3f}"

    def draw(self, mark: Mark) -> None:
        """Add the mark."""
        if isinstance(mark, Words):
            self._text(mark)
        elif isinstance(mark, Line):
            self.add(f"{_share(mark.colour)} RG {mark.width * self.unit:.3f} w 1 J 1 j")
            self.add(f"{self._path(mark.points)} S")
        elif isinstance(mark, Area):
            self.fill(mark.colour)
            self.add(f"q /A{self.opacities.index(mark.opacity)} gs {self._path(mark.points)} h f Q")
        elif isinstance(mark, Box):
            self.fill(mark.colour)
            size = f"{(mark.right - mark.left) * self.unit:.3f} {(mark.bottom - mark.top) * self.unit:.3f}"
            self.add(f"{self.at(mark.left, mark.bottom)} {size} re f")
        elif isinstance(mark, Pixels):
            size = f"{mark.width * self.unit:.3f} 0 0 {mark.height * self.unit:.3f}"
            self.add(f"q {size} {self.at(mark.left, mark.top + mark.height)} cm /I{self._images} Do Q")
            self._images += 1
        else:
            self._dot(mark)

    def _path(self, points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{self.at(*point)} {'l' if number else 'm'}" for number, point in enumerate(points))

    def _dot(self, dot: Dot) -> None:
        for radius, colour in ((dot.radius + 0.6, PAPER), (dot.radius, dot.colour)):
            self.fill(colour)
            x, y, far = dot.x, dot.y, radius * ROUND
            corners = [(x + radius, y), (x, y - radius), (x - radius, y), (x, y + radius), (x + radius, y)]
            path = [f"{self.at(*corners[0])} m"]
            for start, end in pairwise(corners):
                one, other = (
                    (here[0] + (there[0] - x) / radius * far, here[1] + (there[1] - y) / radius * far)
                    for here, there in ((start, end), (end, start))
                )
                path.append(f"{self.at(*one)} {self.at(*other)} {self.at(*end)} c")
            self.add(" ".join([*path, "f"]))

    def _text(self, words: Words) -> None:
        size = words.size * self.unit
        before = _width(words.text) / EM * size * BEFORE[words.anchor] / self.unit
        x, y = (words.x, words.y + before) if words.is_upright else (words.x - before, words.y)
        turned = "0 1 -1 0" if words.is_upright else "1 0 0 1"
        written = "".join(f"\\{letter}" if letter in "()\\" else letter for letter in words.text)
        written = "".join(letter if FIRST <= ord(letter) <= LAST else "?" for letter in written)
        self.fill(words.colour)
        self.add(f"BT /F {size:.3f} Tf {turned} {self.at(x, y)} Tm ({written}) Tj ET")


def _share(colour: str) -> str:
    return " ".join(f"{part / 255:.3f}" for part in rgb(colour))
