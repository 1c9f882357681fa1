"""Numbers in rows and columns, each on a ground that is the deeper the larger it is: a table that is read as a picture.

The ground goes from the page's paper to its `heat`, on which its ink can be read, in the light and in the dark.
"""

import math
from collections.abc import Sequence
from typing import TypeGuard

from vae_runner.report.markup import Html, tag
from vae_runner.runs.words import nats

__all__ = ["heat_map"]

Row = Sequence[float | None]


def heat_map(
    title: str,
    about: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Row],
    most: float | None = None,
    each: bool = False,
) -> Html:
    """Returns the figure of `values` (rows, columns), None where there is none.

    most    the value of the deepest ground; None: the largest that there is, `each` row by itself
    """
    head = tag("tr", tag("td"), *(tag("th", column, scope="col") for column in columns))
    largest = _largest([value for row in values for value in row])
    is_counted = largest >= 10 and all(value == int(value) for row in values for value in row if _is_finite(value))
    deepest = [most or (_largest(row) if each else largest) for row in values]
    body = [
        tag("tr", tag("th", name, scope="row"), *(_cell(value, at_most, is_counted) for value in row))
        for name, row, at_most in zip(rows, values, deepest, strict=True)
    ]
    table = tag("table", tag("thead", head), tag("tbody", *body))
    caption = tag("figcaption", tag("h3", title), *([tag("span", about, class_="quiet")] if about else []))
    return tag("figure", caption, tag("div", table, class_="scroll"), class_="heat")


def _largest(values: Row) -> float:
    return max((abs(value) for value in values if _is_finite(value)), default=0.0)


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _cell(value: float | None, most: float, is_counted: bool) -> Html:
    if value is None:
        return tag("td", "-")
    share = min(abs(value) / most, 1.0) if math.isfinite(value) and most > 0 else 0.0
    return tag("td", nats(value, 0) if is_counted else _shown(value), style=f"--share: {100 * share:.0f}%")


def _shown(value: float) -> str:
    """Two digits behind the point, as the ground says the rest; '<0.01' of what is less, and not nought."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) >= 10:
        return f"{value:,.0f}"
    if 0 < abs(value) < 0.005:
        return "<0.01" if value > 0 else "-0.00"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.2f}"
