"""The table of a sweep for LaTeX with booktabs: mean and standard deviation over the seeds, the best in bold.

A line for each combination of settings, of the runs that are done; where none differ in the seed alone, for each run.
It is a `tabular`, for `\\input` inside a table of one's own. The best of a column is the best mean, by the way in which
that figure counts; KL and active latents have none, nor has a figure of the likelihood where runs cannot be compared.
"""

from collections.abc import Iterator, Sequence

from vae_runner.report.scored.score_kinds import LOWER_IS_BETTER
from vae_runner.report.sweep.jobs import Sweep
from vae_runner.report.sweep.ranking import OF_LIKELIHOODS
from vae_runner.report.sweep.seeds import Figure, Group, groups, seed_figures, setting_keys
from vae_runner.runs.score_names import parted
from vae_runner.runs.settings import short_value

__all__ = ["escaped", "latex_table"]

SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"}
SPECIAL |= {">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", **{c: f"\\{c}" for c in "&%$#_{}"}}
NO_BEST = frozenset({"kl", "active_latents", "active_units"})  # more of it is neither better nor worse


def latex_table(sweep: Sweep) -> str:
    """Returns the text of the file; only ASCII."""
    rows = groups(sweep) or [Group(job.apart, [job]) for job in sweep.jobs if job.state == "done"]
    has_seeds = any(len(row.jobs) > 1 for row in rows)
    keys = setting_keys(sweep) if has_seeds else list(sweep.keys)
    keys = [key for key in keys if any(key in row.apart for row in rows)]
    figures = [figure for figure in seed_figures(sweep) if any(row.figure(figure[4])[0] is not None for row in rows)]
    heads = [*(escaped(sweep.short[key]) for key in keys), *(["Runs"] if has_seeds else [])]
    best = [_best(figure, rows, sweep) for figure in figures]
    lines = [
        " & ".join([*heads, *(_head(figure) for figure in figures)]) + r" \\",
        r"\midrule",
        *(_row(row, keys, figures, best, has_seeds) + r" \\" for row in rows),
    ]
    columns = "l" * len(keys) + "r" * (len(figures) + has_seeds)
    return "\n".join([*_about(sweep, has_seeds), rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *lines]) + (
        "\n\\bottomrule\n\\end{tabular}\n"
    )


def _about(sweep: Sweep, has_seeds: bool) -> Iterator[str]:
    yield r"% \usepackage{booktabs}; \input{this file} inside a table"
    spread = ", mean and standard deviation over the seeds" if has_seeds else ""
    yield f"% nats per image of the last validation, scores of the part of the data that is named{spread}"
    left_out = len(sweep.jobs) - sweep.count("done")
    if left_out:
        yield f"% left out: {left_out} of {len(sweep.jobs)} runs, which are not done"


def _head(figure: Figure) -> str:
    """'mig, test': a unit that is nats stands above the table."""
    _, head, unit, *_ = figure
    shown = escaped(head).replace("-ELBO", "$-$ELBO")
    return shown if unit in ("", "nats", "latents") else f"{shown} ({escaped(unit)})"


def _row(
    row: Group, keys: Sequence[str], figures: Sequence[Figure], best: Sequence[Group | None], has_seeds: bool
) -> str:
    settings = [escaped(short_value(row.apart.get(key, ""))) for key in keys]
    runs = [str(len(row.jobs))] if has_seeds else []
    cells = [_cell(row, figure, is_best=row is one) for figure, one in zip(figures, best, strict=True)]
    return " & ".join([*settings, *runs, *cells])


def _cell(row: Group, figure: Figure, is_best: bool) -> str:
    *_, get, show = figure
    middle, spread = row.figure(get)
    if middle is None:
        return "--"
    text = show(middle).replace(",", "{,}") + ("" if spread is None else rf" \pm {show(spread).replace(',', '{,}')}")
    return rf"$\mathbf{{{text}}}$" if is_best else f"${text}$"


def _best(figure: Figure, rows: Sequence[Group], sweep: Sweep) -> Group | None:
    """The row with the best mean, where one is better than another."""
    scores = {"_".join(score): score[0] for score in sweep.scores}
    name, get = parted(scores.get(figure[0], figure[0]))[0], figure[4]
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
