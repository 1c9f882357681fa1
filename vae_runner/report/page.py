"""The page around the sections: one document that loads nothing."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources

from vae_runner.drawing.palette import page_style
from vae_runner.report.markup import Html, tag
from vae_runner.runs.words import moment

__all__ = ["folded", "marks", "notes", "page", "section"]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # what browsers then hold us to


def section(name: str, *content: str) -> Html:
    """A part of the page under its heading."""
    return tag("section", tag("h2", name), *content)


def folded(name: str, *content: str) -> Html:
    """A part of the page that is opened at will, and printed in full."""
    return tag("details", tag("summary", tag("h2", name)), *content)


def notes(found: Sequence[tuple[str, str]]) -> Html:
    """What to know before looking at the figures: (note, warning or error; a sentence) each."""
    items = [tag("li", text, class_=level) for level, text in found]
    return tag("ul", *items, class_="notes") if items else Html()


def marks(tags: Sequence[str], note: str) -> list[Html]:
    """What people have written beside a run to find it again: its tags, its note."""
    tagged = tag("p", *(tag("span", one, class_="tag") for one in tags), class_="tags") if tags else ""
    noted = tag("p", note, class_="said") if note else ""
    return [Html(one) for one in (tagged, noted) if one]


def page(title: str, sections: Sequence[Html], script: str = "", is_wide: bool = False) -> bytes:
    """Returns the HTML file with the sections, the style sheet inside, and a script that it can do without; one with
    wide tables takes more of the window.
    """
    style = page_style() + _own_file("style.css")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY + _allowance(script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(style)),
    )
    written = f"Written {moment(datetime.now(UTC).isoformat())} by vae_runner from the files beside it."
    body = tag(
        "body",
        tag("main", *sections),
        tag("footer", written),
        *([tag("script", Html(script))] if script else []),
        class_="broad" if is_wide else None,
    )
    document = "<!doctype html>\n" + tag("html", head, body, lang="en") + "\n"
    return document.encode("utf-8", "xmlcharrefreplace")  # a lone surrogate in someone's JSON is no reason to fail


def _own_file(name: str) -> str:
    return resources.files("vae_runner.report").joinpath(name).read_text(encoding="utf-8")


def _allowance(script: str) -> str:
    """The policy's leave for this script and no other."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"; script-src 'sha256-{digest}'" if script else ""
