"""Pictures for print: their size, their texts, and that PDF, SVG and PNG show the same."""

import io
import itertools
import math
import re
import zlib
from collections.abc import Callable, Iterator
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image

from vae_runner.drawing.chart.axes import Series
from vae_runner.drawing.lettering import units_wide
from vae_runner.drawing.marks.canvas import Canvas
from vae_runner.drawing.marks.marks import Pixels, Words
from vae_runner.drawing.on_screen import Bar, bars, heat_map, panels, scatter, strips
from vae_runner.drawing.palette import FRAME, rgb
from vae_runner.drawing.paper import Paper, read_paper
from vae_runner.drawing.printing.on_paper import printed
from vae_runner.drawing.printing.printed_grid import printed_grid
from vae_runner.errors import UserError
from vae_runner.visualisation import Grid, draw
from vae_runner.visualisation.charts import Chart

MM = 72 / 25.4
SVG = "{http://www.w3.org/2000/svg}"
RANDOM = np.random.default_rng(0)
FACTORS = ["posX 0.94", "orientation 0.61", "", "scale 0.88"]
Make = Callable[[Paper], Canvas]


def traversal(columns: int = 13, labelled: bool = True, captions: bool = False, title: str = "title") -> Grid:
    rows = 4
    across = torch.linspace(0, 1, 64)
    ways = torch.rand(rows * columns, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    return Grid(
        ways * across + (1 - ways) * across[:, None],
        columns,
        title=title,
        caption="each row moves one latent, all others stay",
        row_labels=[(f"z{row}", f"{3.2 * row:.2f} nats", FACTORS[row]) for row in range(rows)] if labelled else (),
        column_labels=["input", "recon", *(f"{value:+.2f}" for value in np.linspace(-2, 2, columns - 2))],
        tile_captions=[f"{100 * index:.1f}" for index in range(rows * columns)] if captions else (),
        headings={0: "from image 0", 2: "from image 1"},
        lead=2,
        dimmed=[3],
    )


def curves(count: int = 4) -> Canvas:
    points = [(step, 100.0 / (1 + step)) for step in range(0, 10_001, 500)]
    series = [Series("training", points), Series("validation", points[::4], drawn_as="dots")]
    shown = [(f"quantity {number}, nats", series[: 1 + number % 2], number == 1, False) for number in range(count)]
    return panels(shown, "training, step 10,000", 10_000, 2, 340, 170, [(5000, "turned")])


def latents(count: int) -> Canvas:
    shown = [Bar(3.0 / (1 + n), f"z{n}", n % 2, FACTORS[n % 4], n > count // 2) for n in range(count)]
    return bars(sorted(shown, key=lambda bar: bar.group), ["space0", "space1"], "KL", "nats per image")


def codes(values: np.ndarray | None = None) -> Canvas:
    names = ["z3  (2.10 nats, posX 0.94)", "z11  (1.90 nats, posY 0.91)"]
    return scatter(RANDOM.normal(size=(200, 2)), "codes", names, values, "orientation", ["square", "ellipse", "heart"])


def importances(columns: int) -> Canvas:
    names = [f"orientation {number}" for number in range(columns)]
    return heat_map(RANDOM.random((6, columns)), [f"z{n}" for n in range(6)], names, "DCI", "share", 0, 1)


def seeds(groups: int) -> Canvas:
    values = {f"beta={2**number}": RANDOM.normal(30, 2, 5).tolist() for number in range(groups)}
    return strips(values, "MIG", "nats")


CHARTS = {
    "curves": curves(),
    "bars": latents(10),
    "many bars": latents(90),
    "scatter": codes(),
    "scatter of classes": codes(RANDOM.integers(0, 3, 200)),
    "scatter of values": codes(RANDOM.random(200)),
    "heat map": importances(5),
    "wide heat map": importances(20),
    "seeds": seeds(3),
    "seeds of many": seeds(12),
}
GRIDS = {"traversal": traversal(), "captions": traversal(6, captions=True), "plain": traversal(8, labelled=False)}
PICTURES: dict[str, Make] = {
    **{name: lambda paper, canvas=canvas: printed(canvas, paper) for name, canvas in CHARTS.items()},
    **{name: lambda paper, grid=grid: printed_grid(grid, paper) for name, grid in GRIDS.items()},
}
each = pytest.mark.parametrize("make", PICTURES.values(), ids=PICTURES)


def streams(data: bytes) -> list[tuple[bytes, bytes]]:
    """The head and the unpacked content of each stream of a PDF, found by the table of its objects."""
    start = int(re.findall(rb"startxref\n(\d+)\n%%EOF", data)[0])
    assert data[start : start + 4] == b"xref"
    places = [int(place) for place in re.findall(rb"(\d{10}) 00000 n ", data[start:])]
    found = []
    for number, place in enumerate(places, 1):
        head = f"{number} 0 obj\n".encode()
        assert data[place : place + len(head)] == head
        about, _, rest = data[place + len(head) : data.index(b"endobj", place)].partition(b"\nstream\n")
        if rest:
            length = int(re.search(rb"/Length (\d+)", about)[1])
            assert rest[length:] == b"\nendstream\n"
            found.append((about, zlib.decompress(rest[:length])))
    return found


@each
@pytest.mark.parametrize("width", [84, 170])
@pytest.mark.parametrize("text", [8, 6.5])
def test_all_texts_of_a_pdf_are_of_one_size_at_the_width_that_was_asked_for(
    make: Make, width: float, text: float
) -> None:
    data = make(Paper("pdf", width * MM, text)).pdf()
    box = [float(side) for side in re.search(rb"/MediaBox \[([^]]*)\]", data)[1].split()]
    assert box[:3] == pytest.approx([0, 0, width * MM], abs=1e-3)
    sizes = {float(size) for size in re.findall(rb"/F ([0-9.]+) Tf", streams(data)[0][1])}
    assert sizes == ({text} if sizes else set())
    assert len(streams(data)[1][1]) > 10_000  # the font's own file


@each
def test_svg_and_png_are_as_wide_as_the_paper_and_have_the_texts_of_the_pdf(make: Make) -> None:
    root = ElementTree.fromstring(make(Paper("svg", 84 * MM)).svg())
    assert root.get("width") == "84.000mm"
    units = float(root.get("viewBox").split()[2])
    words = [one.text for one in root.iter(f"{SVG}text")]
    sizes = [float(one.get("font-size")) / units * 84 * MM for one in root.iter(f"{SVG}text")]
    assert sizes == pytest.approx([8] * len(sizes), abs=1e-3)
    content = streams(make(Paper("pdf")).pdf())[0][1].decode()
    assert [re.sub(r"\\(.)", r"\1", text) for text in re.findall(r"\((.*?)(?<!\\)\) Tj", content)] == words
    with Image.open(io.BytesIO(make(Paper("png", 84 * MM, dpi=600)).png())) as picture:
        assert picture.width == round(84 / 25.4 * 600)
        assert picture.info["dpi"] == pytest.approx((600, 600), abs=0.1)


def boxes(canvas: Canvas) -> Iterator[tuple[str, float, float, float, float]]:
    """Left, top, right and bottom of each text: the letters' own height, without what hangs below the line."""
    for words in canvas.marks:
        if isinstance(words, Words):
            long = units_wide(words.text, words.size)
            before = long * {"start": 0, "middle": 0.5, "end": 1}[words.anchor]
            if words.is_upright:
                start = words.y + before
                yield words.text, words.x - 7, start - long, words.x, start
            else:
                yield words.text, words.x - before, words.y - 7, words.x - before + long, words.y


@each
@pytest.mark.parametrize("paper", [Paper(), Paper(width=120 * MM, has_title=True), Paper(width=84 * MM, text=6)])
def test_no_text_leaves_the_paper_or_runs_into_another(make: Make, paper: Paper) -> None:
    canvas = make(paper)
    found = list(boxes(canvas))
    assert found
    for text, left, top, right, bottom in found:
        assert left >= -0.5, text
        assert top >= -0.5, text
        assert right <= canvas.width + 0.5, text
        assert bottom <= canvas.height + 0.5, text
    for (one, *a), (other, *b) in itertools.combinations(found, 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, f"{one} and {other}"


@each
def test_title_and_footnote_are_there_only_where_they_are_wanted(make: Make) -> None:
    with_title, without = make(Paper(width=170 * MM, has_title=True)), make(Paper(width=170 * MM))
    told = [{words.text for words in one.marks if isinstance(words, Words)} for one in (with_title, without)]
    assert told[0] - told[1]
    assert not told[1] - told[0]
    assert with_title.height > without.height


def test_the_images_of_a_pdf_are_the_pixels_of_the_grid() -> None:
    grid = traversal(5)
    found = [content for about, content in streams(printed_grid(grid, Paper("pdf")).pdf()) if b"/Image" in about]
    pixels = (grid.images * 255).round().byte().numpy()
    assert found[:15] == [image.tobytes() for image in pixels[:15]]  # the last row is dimmed
    few = printed_grid(grid, Paper("pdf", dpi=72)).pdf()
    sizes = {int(side) for side in re.findall(rb"/Subtype /Image /Width (\d+)", few)}
    assert max(sizes) < 64


@each
def test_a_pdf_looks_like_the_png(make: Make) -> None:
    pdfium = pytest.importorskip("pypdfium2", reason="pypdfium2 draws the PDF: pip install 'vae_runner[test]'")
    with Image.open(io.BytesIO(make(Paper("png", dpi=288)).png())) as picture:
        png = np.asarray(picture.convert("L"), float)
    document = pdfium.PdfDocument(make(Paper("pdf")).pdf())
    pdf = np.asarray(document[0].render(scale=4).to_pil().convert("L"), float)
    high, wide = min(png.shape[0], pdf.shape[0]), min(png.shape[1], pdf.shape[1])
    assert abs(png.shape[0] - pdf.shape[0]) <= 4
    smooth = [np.asarray(Image.fromarray(one[:high, :wide].astype(np.uint8)).reduce(12), float) for one in (png, pdf)]
    assert np.abs(smooth[0] - smooth[1]).mean() < 5
    assert np.corrcoef(smooth[0].ravel(), smooth[1].ravel())[0, 1] > 0.93


@pytest.mark.parametrize("value", [1.0, 0.97])
def test_light_images_have_an_edge_on_the_paper_and_dark_ones_have_none(value: float) -> None:
    light, dark = Grid(torch.full((4, 3, 8, 8), value), 2), Grid(torch.zeros(4, 3, 8, 8), 2)
    edge = np.array(rgb(FRAME))
    for grid, has_one in ((light, True), (dark, False)):
        layout, pixels = grid.encode().details["layout"], np.asarray(draw(grid))
        beside = pixels[layout["top"] - 1, layout["left"] : layout["left"] + layout["tile_width"]]
        assert (beside == edge).all() == has_one
        colours = {getattr(mark, "colour", "") for mark in printed_grid(grid, Paper()).marks}
        assert (FRAME in colours) == has_one


def test_the_upright_axis_of_the_scatter_has_its_title_beside_it() -> None:
    for canvas in (codes(), printed(codes(), Paper())):
        upright = [mark for mark in canvas.marks if isinstance(mark, Words) and mark.is_upright]
        assert [mark.text for mark in upright] == ["z11  (1.90 nats, posY 0.91)"]
        numbers = [mark for mark in canvas.marks if isinstance(mark, Words) and mark.anchor == "end"]
        assert upright[0].x < min(mark.x - units_wide(mark.text, mark.size) for mark in numbers)


def test_an_image_keeps_pixels_of_one_width_where_it_is_enlarged_by_no_whole_factor() -> None:
    canvas = Canvas(100, 100, Paper("png", 100 * 8 / 11, dpi=72 * 11 / 8 * 1.5))
    stripes = np.tile(np.array([[[0], [255]]], np.uint8), (2, 5, 1))
    canvas.marks.append(Pixels(0, 0, 100, 20, stripes))
    with Image.open(io.BytesIO(canvas.png())) as picture:
        row = np.asarray(picture.convert("L"))[10]
    assert [row[15 * number : 15 * number + 15].mean() for number in range(10)] == pytest.approx([0, 255] * 5, abs=1)


def test_a_chart_drawn_mark_by_mark_is_not_printed_at_another_size() -> None:
    with pytest.raises(UserError, match="only charts"):
        Chart(Canvas(100, 100)).printed(Paper())


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"dpi": "0"}, "dpi must be a number from 30 to 2,400, got '0'"),
        ({"dpi": "fine"}, "dpi must be a number from 30 to 2,400, got 'fine'"),
        ({"dpi": "nan"}, "dpi must be a number"),
        ({"width": "84"}, "width: expected a length such as 84mm (mm, cm, in, pt, px), got '84'"),
        ({"width": "wide"}, "width: expected a length such as 84mm"),
        ({"width": "84 parsecs"}, "width: expected a length such as 84mm"),
        ({"width": "-84mm"}, "width: expected a length"),
        ({"width": "5m"}, "width: expected a length"),
        ({"width": "200cm"}, "width=200cm must be 20 to 1,000 mm"),
        ({"width": "1mm"}, "width=1mm must be 20 to 1,000 mm"),
        ({"format": "gif"}, "format: expected one of png, pdf, svg, got 'gif'"),
        ({"format": ""}, "format: expected one of png, pdf, svg, got ''"),
        ({"format": "png,pdf"}, "format: expected one of"),
        ({"text": "8"}, "text: expected a length such as 8pt"),
        ({"text": "80pt"}, "text=80pt must be 4 to 24 pt"),
        ({"title": "yes"}, "title: expected true or false, got 'yes'"),
    ],
)
def test_a_paper_that_cannot_be_is_refused_in_one_line(settings: dict[str, str], line: str) -> None:
    with pytest.raises(UserError) as error:
        read_paper(settings)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_lengths_are_those_of_paper() -> None:
    assert read_paper({}) is None
    widths = [read_paper({"width": told}).width for told in ("25.4mm", "2.54cm", "1in", "72pt", "96px", "96 PX")]
    assert widths == pytest.approx([72] * 6)
    assert read_paper({"width": "400px"}).pixels(400 / 96 * 72 / (8 / 11), 1)[0] == 400


@pytest.mark.parametrize(("paper", "line"), [
    (Paper(width=30 * MM), "width=30mm: too narrow for 13 images beside each other and their labels, take 76 mm"),
    (Paper(width=1000 * MM, dpi=2400), "dpi=2400: at a width of 1000 mm it makes a picture of 94,488 x "),
])  # fmt: skip
def test_what_has_no_room_on_the_paper_is_refused_with_what_has(paper: Paper, line: str) -> None:
    with pytest.raises(UserError) as error:
        printed_grid(traversal(), paper).png()
    assert str(error.value).startswith(line)
    if least := re.search(r"take (\d+) mm", str(error.value)):
        enough = Paper(width=int(least[1]) * MM)
        assert math.isclose(printed_grid(traversal(), enough).width, enough.units)
