"""A table of runs: it is whole without a script; with the page's own one its columns are sorted by a click on their
heads, hidden and shown, and its rows filtered by what is typed.

Where a table is wider than the page, the script hides columns until it fits, those of the largest `fold` first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from vae_runner.report.markup import Html, tag

__all__ = ["Column", "Row", "number_cell", "script", "table_of"]


@dataclass(frozen=True)
class Column:
    """A head, its unit, and in words what it is; columns of `fold` 0 are never hidden unasked."""

    head: str
    unit: str = ""
    about: str = ""
    is_number: bool = False
    fold: int = 0


@dataclass(frozen=True)
class Row:
    """A cell for each column, the first one a `th`; `run` is the label by which curves are known as this row's."""

    cells: Sequence[Html]
    run: str | None = None
    is_best: bool = False


def table_of(columns: Sequence[Column], rows: Sequence[Row]) -> Html:
    """Returns the table, in a place in which it can be scrolled."""
    body = [tag("tr", *row.cells, class_="best" if row.is_best else None, data_run=row.run) for row in rows]
    head = tag("thead", tag("tr", *map(_head, columns)))
    return tag("div", tag("table", head, tag("tbody", *body), class_="sortable runs"), class_="scroll")


def number_cell(value: float | None, text: str, *before: str) -> Html:
    """Returns the cell of a figure, which is sorted by its value; empty where there is none."""
    data = "" if value is None else f"{value:.9g}"
    return tag("td", *before, "" if value is None else text, class_="n", data_value=data)


def script() -> str:
    """Returns the text of the script."""
    return resources.files("vae_runner.report.tables").joinpath("sortable.js").read_text(encoding="utf-8")


def _head(column: Column) -> Html:
    return tag(
        "th",
        column.head,
        tag("small", column.unit) if column.unit else "",
        scope="col",
        class_="n" if column.is_number else None,
        title=column.about or None,
        data_fold=column.fold or None,
    )
