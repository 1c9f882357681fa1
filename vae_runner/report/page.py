"""The page around the sections: one document that loads nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import resources

from vae_runner.report.human import moment
from vae_runner.report.markup import Html, tag

__all__ = ["page"]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"  # what browsers then hold us to


def page(title: str, sections: Sequence[Html]) -> bytes:
    """Returns the HTML file with the sections, the style sheet inside."""
    style = resources.files("vae_runner.report").joinpath("style.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(style)),
    )
    written = f"Written {moment(datetime.now(UTC).isoformat())} by vae_runner from the files beside it."
    body = tag("body", tag("main", *sections), tag("footer", written))
    document = "<!doctype html>\n" + tag("html", head, body, lang="en") + "\n"
    return document.encode("utf-8", "xmlcharrefreplace")  # a lone surrogate in someone's JSON is no reason to fail
