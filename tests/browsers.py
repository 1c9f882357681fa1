"""A real browser for the tests of pages: Chromium, driven by Playwright, the extra `browser`.

Where either cannot be had the tests that need it are skipped, and the line says why.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["chromium", "opened", "started"]

PLACES = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Where a Chromium is; None where Playwright's own is to be taken."""
    return next((found for place in PLACES if (found := shutil.which(place))), None)


@contextlib.contextmanager
def started() -> Iterator[Any]:
    """A browser, which takes seconds to start: one for all tests of a module."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install 'vae_runner[browser]'")
    with playwright.sync_playwright() as driver:
        try:
            browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no Chromium to be started: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser: Any, place: Path | str, width: int = 1400, scheme: str = "light") -> Iterator[Any]:
    """The page of a file or an address in a window of that width, with the list of what it asked for besides itself as
    `requests`, and of what went wrong in it as `errors`.
    """
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.requests, page.errors = [], []
    address = place.resolve().as_uri() if isinstance(place, Path) else place
    page.on("request", lambda one: page.requests.append(one.url) if not one.url.startswith(("data:", address)) else 0)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda line: page.errors.append(line.text) if line.type == "error" else None)
    page.goto(address)
    try:
        yield page
    finally:
        page.close()
