"""The file of a page on which decoders run, of one run or of several side by side, and what is in such a file.

What the page knows is JSON in an element that no browser runs; names of people enter the page as text alone. The policy
in its head lets it run this one script, and a worker made of it, and reach nothing outside.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from vae_runner.drawing.palette import INK, NOT_FINITE, PAPER, TWILIGHT, VIRIDIS, page_style, rgb

__all__ = ["explorer", "known_of"]

SCRIPTS = ("codes.js", "decoders.js", "parts.js", "sliders.js", "code_map.js", "strip.js", "steps.js", "explore.js")
POLICY = "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; worker-src blob:; script-src 'sha256-{}'"
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main id="page"><noscript>This page runs a decoder, and needs JavaScript.</noscript></main>
<script type="application/json" id="known">{known}</script>
<script>{script}</script>
</body>
</html>
"""
KNOWN = re.compile(rb'<script type="application/json" id="known">(.*?)</script>', re.DOTALL)


def explorer(runs: Sequence[Mapping[str, Any]], title: str | None = None) -> bytes:
    """Returns the HTML file of those runs, each as `visualisation.exploring` tells it."""
    known = {"palette": _palette(), "title": title, "runs": list(runs)}
    script = _script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    names = title or " · ".join(str(run.get("name", "")) for run in runs)
    page = PAGE.format(
        policy=POLICY.format(digest),
        title=escape(f"Explore {names}"),
        style=page_style() + _own_file("explore.css"),
        known=json.dumps(known, separators=(",", ":")).replace("<", "\\u003c"),
        script=script,
    )
    return page.encode("utf-8", "xmlcharrefreplace")


def known_of(page: bytes) -> list[dict[str, Any]]:
    """Returns what such a file knows of its runs; nothing, of another file."""
    found = KNOWN.search(page)
    try:
        runs = json.loads(found[1])["runs"] if found else []
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []


def _palette() -> dict[str, Any]:
    """The colours of values, and of what is drawn as a picture; those of the page are in its style sheet."""
    return {"values": VIRIDIS, "circle": TWILIGHT, "paper": PAPER, "ink": INK, "odd": rgb(NOT_FINITE)}


def _script() -> str:
    """All scripts as one; what decodes is a function, of whose text a worker can be made."""
    engine = f"function engine() {{\n{_own_file('decode.js')}\nreturn {{ decoder, bytesOf, halves }};\n}}\n"
    return '"use strict";\n(() => {\n' + engine + "".join(map(_own_file, SCRIPTS)) + "})();\n"


def _own_file(name: str) -> str:
    return resources.files("vae_runner.drawing.explorer").joinpath(name).read_text(encoding="utf-8")
