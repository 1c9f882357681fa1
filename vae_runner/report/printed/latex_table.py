"""The table of a sweep for LaTeX with booktabs: mean and standard deviation over the seeds, the best in bold.

A line for each combination of settings, of the runs that are done; where none differ in the seed alone, for each run.
It is a `tabular`, for `\\input` inside a table of one's own. The best of a column is the best mean, by the way in which
that figure counts; KL and active latents have none, nor has a figure of the likelihood where runs cannot be compared.

A page is narrow: what was measured on the test images stands there for that, and not what was on the validation images
too, and no bits per dimension, which are -ELBO in another unit; and of these so many as an article's text is wide, what
is compared most first. `columns` names others.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from vae_runner.errors import UserError
from vae_runner.report.scored.score_kinds import LOWER_IS_BETTER
from vae_runner.report.sweep.jobs import Sweep
from vae_runner.report.sweep.ranking import OF_LIKELIHOODS
from vae_runner.report.sweep.seeds import Figure, Group, groups, seed_figures, setting_keys
from vae_runner.runs.score_names import parted
from vae_runner.runs.settings import short_value
from vae_runner.text import plain

__all__ = ["escaped", "latex_table"]

SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"}
SPECIAL |= {">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", **{c: f"\\{c}" for c in "&%$#_{}"}}
VALIDATION = "validation"
TEXT_WIDTH, GAP = 345.0, 12.0  # of LaTeX's article, and between two columns, in its points
DIGIT, POINT, PLUS_MINUS, BOLD = 5.0, 2.8, 12.3, 1.15  # how wide they are in 10 point; a letter of text is no wider
COMPARED = ("recon", "kl", "mig", "factor_vae", "neg_elbo", "dci", "dci_forest", "sap")  # by papers; others behind them
NO_BEST = frozenset({"kl", "active_latents", "active_units"})  # more of it is neither better nor worse


def latex_table(sweep: Sweep, columns: Sequence[str] | None = None) -> str:
    """Returns the text of the file; only ASCII.

    columns   figures and scores, in their order, by their names in sweep-seeds.csv (`kl_test`), a score also without
              its part (`mig`)

    Raises `UserError` for a column that the sweep has not.
    """
    rows = groups(sweep) or [Group(job.apart, [job]) for job in sweep.jobs if job.state == "done"]
    has_seeds = any(len(row.jobs) > 1 for row in rows)
    keys = setting_keys(sweep) if has_seeds else list(sweep.keys)
    keys = [key for key in keys if any(key in row.apart for row in rows)]
    known = [figure for figure in seed_figures(sweep) if any(row.figure(figure[4])[0] is not None for row in rows)]
    settings = [_column(sweep.short[key], [short_value(row.apart.get(key, "")) for row in rows]) for key in keys]
    settings += [_column("Runs", [str(len(row.jobs)) for row in rows])] if has_seeds else []
    figures = _suited(known, sweep) if columns is None else _named(columns, known, sweep)
    shared = _shared_part(figures, sweep)
    if columns is None:
        left = TEXT_WIDTH - sum(_width(one) for one in settings)
        by_worth = sorted(figures, key=lambda figure: _place(_name(figure, sweep)))
        taken = _fitting({figure: _figures(figure, rows, sweep, shared) for figure in by_worth}, left)
        figures = [figure for figure in figures if figure in taken]
        shared = _shared_part(figures, sweep)
    cells = [*settings, *(_figures(figure, rows, sweep, shared) for figure in figures)]
    head, *lines = (" & ".join(line) + r" \\" for line in zip(*cells, strict=True))
    about = [*_about(sweep, shared, has_seeds), *_left_out(known, figures)]
    aligned = "l" * len(keys) + "r" * (len(figures) + has_seeds)
    begin, end = [rf"\begin{{tabular}}{{{aligned}}}", r"\toprule"], [r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*about, *begin, head, r"\midrule", *lines, *end]) + "\n"


def _column(head: str, cells: Sequence[str]) -> list[str]:
    return [escaped(text) for text in (head, *cells)]


def _figures(figure: Figure, rows: Sequence[Group], sweep: Sweep, shared: str | None) -> list[str]:
    """A column of a figure: its head, and a cell for each row."""
    best = _best(figure, rows, sweep)
    return [_head(figure, shared), *(_cell(row, figure, is_best=row is best) for row in rows)]


def _fitting(columns: Mapping[Figure, Sequence[str]], width: float) -> list[Figure]:
    """The first ones, as many as fit side by side, and one at least."""
    ends = itertools.accumulate(_width(column) for column in columns.values())
    return [
        figure for number, (figure, end) in enumerate(zip(columns, ends, strict=True)) if end <= width or not number
    ]


def _place(name: str) -> int:
    return COMPARED.index(name) if name in COMPARED else len(COMPARED)


def _name(figure: Figure, sweep: Sweep) -> str:
    """A figure's name without the part of the data that it is of."""
    return {"_".join(score): score[0] for score in sweep.scores}.get(figure[0], figure[0])


def _width(column: Sequence[str]) -> float:
    """How wide a column is in LaTeX's points."""
    return GAP + max(map(_cell_width, column))


def _cell_width(cell: str) -> float:
    parts = re.sub(r"\\mathbf|[${}\\]", "", cell.replace(r"\pm", "±")).split(" ± ")
    points = sum(part.count(".") + part.count(",") for part in parts)
    width = DIGIT * (sum(map(len, parts)) - points) + POINT * points + PLUS_MINUS * (len(parts) - 1)
    return width * (BOLD if "mathbf" in cell else 1)


def _shared_part(figures: Sequence[Figure], sweep: Sweep) -> str | None:
    """Of which images all of them are, where they are of the same."""
    parts = {_part(figure, sweep) for figure in figures}
    return parts.pop() if len(parts) == 1 else None


def _part(figure: Figure, sweep: Sweep) -> str:
    """Of which images a figure is."""
    return {"_".join(score): score[1] for score in sweep.scores}.get(figure[0], VALIDATION)


def _suited(known: Sequence[Figure], sweep: Sweep) -> list[Figure]:
    is_tested = ("neg_elbo", "test") in sweep.scores
    shown = [figure for figure in known if not figure[0].startswith("bits_per_dim")]
    return [figure for figure in shown if not (is_tested and _part(figure, sweep) == VALIDATION)] or shown


def _named(columns: Sequence[str], known: Sequence[Figure], sweep: Sweep) -> list[Figure]:
    found, unknown = [], []
    for column in dict.fromkeys(columns):
        own = [one for one in known if one[0] == column]
        own = own or [one for one in known if _name(one, sweep) == column]
        found += own
        unknown += [] if own else [column]
    if unknown or not found:
        choices = [figure[0] for figure in known]
        lines = [f"columns: no figure called {plain(name)!r}." for name in unknown] or ["columns=[] names no figure."]
        raise UserError("\n".join([*lines[:-1], f"{lines[-1]} Choices: {', '.join(choices)}"]))
    return found


def _about(sweep: Sweep, part: str | None, has_seeds: bool) -> Iterator[str]:
    yield r"% \usepackage{booktabs}; \input{this file} inside a table"
    spread = ", mean and standard deviation over the seeds" if has_seeds else ""
    if part is None:
        yield f"% nats per image of the last validation, scores of the part of the data that is named{spread}"
    else:
        yield f"% of the {part} images, nats per image{spread}"
    left_out = len(sweep.jobs) - sweep.count("done")
    if left_out:
        yield f"% left out: {left_out} of {len(sweep.jobs)} runs, which are not done"


def _left_out(known: Sequence[Figure], figures: Sequence[Figure]) -> Iterator[str]:
    names = [figure[0] for figure in known if figure not in figures]
    if names:
        yield f"% not shown: {', '.join(names)}; columns=[...] chooses"


def _head(figure: Figure, part: str | None) -> str:
    """'mig (test)', or 'mig' where all are of one part; a unit that is nats stands above the table."""
    _, head, unit, *_ = figure
    shown = escaped(head).replace("-ELBO", "$-$ELBO")
    return shown if unit in ("", "nats", "latents", part) else f"{shown} ({escaped(unit)})"


def _cell(row: Group, figure: Figure, is_best: bool) -> str:
    *_, get, show = figure
    middle, spread = row.figure(get)
    if middle is None:
        return "--"
    text = show(middle).replace(",", "{,}") + ("" if spread is None else rf" \pm {show(spread).replace(',', '{,}')}")
    return rf"$\mathbf{{{text}}}$" if is_best else f"${text}$"


def _best(figure: Figure, rows: Sequence[Group], sweep: Sweep) -> Group | None:
    """The row with the best mean, where one is better than another."""
    name, get = parted(_name(figure, sweep))[0], figure[4]
    if name in NO_BEST or (name in OF_LIKELIHOODS and not sweep.is_comparable):
        return None
    known = [(value, row) for row in rows if (value := row.figure(get)[0]) is not None]
    if len({value for value, _ in known}) < 2:
        return None
    choose = min if name in LOWER_IS_BETTER else max
    return choose(known, key=lambda pair: pair[0])[1]


def escaped(text: str) -> str:
    """Returns the text as LaTeX shows it; what is not ASCII as '?'."""
    return "".join(SPECIAL.get(letter, letter if " " <= letter <= "~" else "?") for letter in text)
