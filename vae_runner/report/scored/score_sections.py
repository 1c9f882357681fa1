"""The section of a run's page that says what it has scored: the scores, their parts by factor and by latent, and what
latents know of factors. Latents stand in the order of their KL, as everywhere on the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

from vae_runner.report.markup import Html, join, tag
from vae_runner.report.page import section
from vae_runner.report.run.findings import latent_kl
from vae_runner.report.scored.heat_map import heat_map
from vae_runner.report.scored.score_kinds import MAPS, PER_FACTOR, PER_LATENT, UNITS, Kind, beside, figure
from vae_runner.report.scored.score_records import ScoreRecord, score_records
from vae_runner.runs.read import Run
from vae_runner.runs.score_names import parted
from vae_runner.runs.words import plural

__all__ = ["Matrix", "matrices", "scores"]

Value = TypeVar("Value")

MOST = 40  # latents of a map, and factors


@dataclass(frozen=True)
class Latents:
    """The latents that are shown, by their places, with their names; the largest KL first."""

    places: Sequence[int]
    names: Sequence[str]
    total: int

    def of(self, values: Sequence[Value]) -> list[Value]:
        return [values[place] for place in self.places]


class Matrix(NamedTuple):
    """What a score has for each latent and factor, or for two latents; `most` is the largest value that can be."""

    score: str
    title: str
    about: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | None]]
    most: float | None


def scores(run: Run) -> Html:
    """Returns a section for each data set on which there is a score: the run's own, and others, named; or nothing."""
    groups: dict[str, list[ScoreRecord]] = {}
    for record in score_records(run.evaluation):
        name, data = parted(record.name)
        groups.setdefault(data, []).append(replace(record, name=name))
    return join(*(_section(f"Scores on {data}" if data else "Scores", run, groups[data]) for data in sorted(groups)))


def _section(heading: str, run: Run, records: Sequence[ScoreRecord]) -> Html:
    latents = _latents(run, records)
    tables = [_by_factor(records), _by_latent(records, latents)]
    maps = [_map(kind, records, latents) for kind in MAPS]
    rest = latents.total - len(latents.places)
    few = tag("p", f"{plural(rest, 'more latent')} of less KL", class_="quiet") if rest else ""
    figures = [one for one in (*tables, *maps) if one]
    return section(heading, _table(records), tag("div", *figures, class_="maps") if figures else "", few)


def _table(records: Sequence[ScoreRecord]) -> Html:
    """A row for each score; what all have in common of how they were made stands below, once."""
    common = [part for part in records[0].how if all(part in one.how for one in records)] if len(records) > 1 else []
    heads = [("Score", None), ("Value", "n"), ("", None), ("Beside it", None), ("Of", None)]
    rows = [
        tag(
            "tr",
            tag("th", record.name, scope="row"),
            tag("td", figure(record.name, record.value), class_="n"),
            tag("td", UNITS.get(record.name, "")),
            tag("td", *_beside(record)),
            tag("td", "; ".join(part for part in record.how if part not in common), class_="quiet"),
        )
        for record in records
    ]
    head = tag("tr", *(tag("th", text, scope="col", class_=kind) for text, kind in heads))
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="runs scores")
    about = [tag("p", f"Of all: {'; '.join(common)}", class_="quiet")] if common else []
    return tag("div", tag("div", table, class_="scroll"), *about)


def _beside(record: ScoreRecord) -> list[Html]:
    """The other figures, and what there is to say of them."""
    lines = [beside(record.others), *record.notes]
    return [tag("div", line, class_="quiet" if place else None) for place, line in enumerate(lines) if line]


def _latents(run: Run, records: Sequence[ScoreRecord]) -> Latents:
    """Of the run that was scored: its KLs are those of the images that were scored, where these are known."""
    sizes = [len(one.per_latent) or len(one.matrix) for one in records]
    total = max(sizes, default=0)
    noted = latent_kl(run)
    kl = dict(noted.nats) if noted and len(noted.nats) == total else {f"z{place}": 0.0 for place in range(total)}
    names, values = list(kl), list(kl.values())
    scored = [one.per_latent for one in records if one.name == "rate_distortion" and len(one.per_latent) == total]
    if scored:
        values = [0.0 if value is None else value for value in scored[0]]
    order = sorted(range(total), key=lambda place: -values[place] if values[place] == values[place] else 0.0)
    return Latents(order[:MOST], [names[place] for place in order[:MOST]], total)


def _by_factor(records: Sequence[ScoreRecord]) -> Html:
    """A row for each score that has a figure for each factor, a column for each factor."""
    having = [one for one in records if one.per_factor]
    columns = list(dict.fromkeys(name for one in having for name in one.per_factor))[:MOST]
    if not having:
        return Html()
    names = [PER_FACTOR.get(one.name, one.name) for one in having]
    values = [[one.per_factor.get(column) for column in columns] for one in having]
    return heat_map("By factor", "each row has a scale of its own", names, columns, values, each=True)


def _by_latent(records: Sequence[ScoreRecord], latents: Latents) -> Html:
    """A row for each score that has a figure for each latent, a column for each latent."""
    having = [one for one in records if len(one.per_latent) == latents.total and one.per_latent]
    if not having:
        return Html()
    names = [PER_LATENT.get(one.name, one.name) for one in having]
    values = [latents.of(one.per_latent) for one in having]
    return heat_map("By latent", "each row has a scale of its own", names, latents.names, values, each=True)


def matrices(run: Run) -> list[Matrix]:
    """Returns what the scores on the run's own data have in their matrices, each once."""
    records = [one for one in score_records(run.evaluation) if not parted(one.name)[1]]
    latents = _latents(run, records)
    return [matrix for kind in MAPS if (matrix := _matrix(kind, records, latents))]


def _map(kind: Kind, records: Sequence[ScoreRecord], latents: Latents) -> Html:
    """What the first of the scores has in its matrix."""
    found = _matrix(kind, records, latents)
    return heat_map(*found[1:]) if found else Html()


def _matrix(kind: Kind, records: Sequence[ScoreRecord], latents: Latents) -> Matrix | None:
    having = [one for name in kind.scores for one in records if one.name == name and len(one.matrix) == latents.total]
    if not having or not latents.total:
        return None
    rows, columns = latents.of(having[0].matrix), list(latents.names)
    if kind.of_latents and len(having[0].matrix[0]) != latents.total:
        return None
    if not kind.of_latents:
        columns = having[0].columns(len(having[0].matrix[0]))[:MOST]
    values = [latents.of(row) if kind.of_latents else row[:MOST] for row in rows]
    return Matrix(having[0].name, kind.title, kind.about.replace("`", ""), latents.names, columns, values, kind.most)
