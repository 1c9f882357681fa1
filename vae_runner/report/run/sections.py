"""The sections of a run's report: a function for each, which returns nothing where there is nothing to show."""

from collections.abc import Iterator, Mapping
from typing import Any

from vae_runner.foreign import dig, number, plain_yaml, whole
from vae_runner.report.explorers import explorer_link
from vae_runner.report.markup import Html, tag
from vae_runner.report.page import folded, marks, notes
from vae_runner.report.run.figures import figures
from vae_runner.report.run.findings import findings
from vae_runner.report.run.gallery import animations, pictures
from vae_runner.report.run.latents import latents
from vae_runner.report.run.run_curves import curves
from vae_runner.report.scored.score_sections import scores
from vae_runner.runs.growing.record_table import points
from vae_runner.runs.read import Run
from vae_runner.runs.settings import marks_of
from vae_runner.runs.words import count, images, moment, resume_command
from vae_runner.text import plain

__all__ = ["sections"]

LONG = 4000  # characters of a value
WEIGHTS = (
    "beta",
    "gamma",
    "set_point",
    "lambda_od",
    "lambda_d",
    "lambda_mmd",
    "kappa",
    "floor",
)  # of a term, told with its name
SPENT = 1e-3  # of the largest learning rate: the last step of a cosine over 100 has 2e-4 of it


def sections(run: Run) -> list[Html]:
    """Returns the sections that have something to show, in the order of the page."""
    makers = (title, _findings, headline, resume, pictures, animations, curves, latents, scores, config, environment)
    made = [make(run) for make in makers]
    if not any(made[1:]):
        made.append(tag("p", "Nothing to show yet: this folder has no metrics and no pictures.", class_="quiet"))
    return [section for section in made if section]


def title(run: Run) -> Html:
    """The run's name, how far it has come, and what it trains on what."""
    steps = f"step {count(run.step)}" + (f" of {count(run.total_steps)}" if run.total_steps else "")
    known = bool(run.status or run.train or run.validation)
    settings = plain_yaml(run.config)
    return tag(
        "header",
        tag("h1", run.name),
        tag(
            "p",
            tag("span", run.state, class_=f"state {run.state}") if run.status else "",
            tag("span", steps) if known else "",
            _progress_bar(run),
            class_="progress",
        ),
        tag("p", " · ".join(filter(None, _subject(run.environment, settings))), class_="quiet"),
        explorer_link(run.folder, "a page on which this decoder runs"),
        *marks(*marks_of(settings)),
    )


def _findings(run: Run) -> Html:
    return notes([(finding.level, finding.text) for finding in findings(run)])


def headline(run: Run) -> Html:
    """The figures that a run is judged by."""
    known = figures(run)
    if not known:
        return Html()
    items = [
        tag("div", tag("dt", figure.name), tag("dd", figure.value), tag("dd", figure.about, class_="quiet"))
        for figure in known
    ]
    where = [f"-ELBO, reconstruction and KL: validation at step {count(last['step'])}" for last in run.validation[-1:]]
    return tag("section", tag("dl", *items, class_="headline"), *(tag("p", text, class_="quiet") for text in where))


def resume(run: Run) -> Html:
    """The command that goes on with the run, where there is a checkpoint or may yet be one. It is made of the folder's
    name: what a file says is no command.
    """
    if not (run.folder and run.status and (run.has_checkpoint or run.state in ("running", "done"))):
        return Html()
    is_done = run.state == "done"
    what = "Train it longer with" if is_done else "Go on with"
    command = resume_command(run.folder, _twice_as_long(run) if is_done else "")
    if is_done and _is_spent(run):  # to go on would change nothing
        what, command = "Its learning rate has fallen to 0: to train longer, start anew with", _twice_as_long(run)
    return tag("p", tag("span", what), tag("code", command), class_="resume")


def _is_spent(run: Run) -> bool:
    """Whether the learning rate of the last step is next to nothing of the largest, as at the end of a cosine."""
    rates = [rate for _, rate in points(run.train, "lr")]
    return bool(rates) and rates[-1] < SPENT * max(rates)


def _twice_as_long(run: Run) -> str:
    """In the unit that the run was given in."""
    epochs = whole(dig(plain_yaml(run.config), "engine", "epochs"))
    return f"engine.epochs={2 * epochs}" if epochs else f"engine.steps={2 * (run.total_steps or run.step)}"


def config(run: Run) -> Html:
    """All settings."""
    return folded("Config", tag("pre", run.config)) if run.config else Html()


def environment(run: Run) -> Html:
    """Versions, machine, code and data."""
    times = {key: moment(run.status[key]) for key in ("started", "updated") if run.status.get(key)}
    shown = {key: value for key, value in run.environment.items() if key != "advice"}  # it stands at the top
    rows = [tag("tr", tag("th", key, scope="row"), tag("td", value)) for key, value in _leaves({**shown, **times})]
    return folded("Environment", tag("table", tag("tbody", *rows))) if rows else Html()


def _progress_bar(run: Run) -> str:
    if run.total_steps is None or run.state == "done":
        return ""
    return tag("progress", max=run.total_steps, value=run.step, aria_label="steps done")


def _weights(config: object) -> list[str]:
    """'beta=4', 'gamma=30': what the term weighs, where it is a number."""
    node = dig(config, "divergence")
    found = {name: number(dig(node, name)) for name in WEIGHTS} if isinstance(node, Mapping) else {}
    return [f"{name}={value:g}" for name, value in found.items() if value is not None]


def _rate(environment: Mapping[str, Any], config: object) -> Iterator[object]:
    """'adam 0.003 cosine': the optimiser, its rate, and how that goes on."""
    rate = number(dig(config, "optimizer", "lr"))
    yield dig(environment, "choices", "optimizer") or ""
    yield f"{rate:g}" if rate is not None else ""
    yield dig(environment, "choices", "lr_schedule") or ""


def _subject(environment: Mapping[str, Any], config: object) -> Iterator[str]:
    """'dsprites, 90 training + 10 validation images 1 x 64 x 64', 'conv', '10 normal latents', ..., where known."""
    total, *used = (whole(dig(environment, "data", name)) for name in ("images", "train", "validation", "test"))
    shape = dig(environment, "data", "image_shape")
    size = f"{images(total, *used)} {_readable(shape) if shape else ''}".rstrip() if total is not None else ""
    yield ", ".join(filter(None, [str(dig(environment, "choices", "dataset") or ""), size]))
    yield str(dig(environment, "choices", "architecture") or "")
    yield f"{latent} latents" if (latent := dig(environment, "model", "latents")) else ""
    parameters = whole(dig(environment, "model", "parameters"))
    yield f"{count(parameters)} parameters" if parameters is not None else ""
    if divergence := dig(environment, "choices", "divergence"):
        yield " ".join([str(divergence), *_weights(config)])
    yield f"{likelihood} likelihood" if (likelihood := dig(environment, "choices", "likelihood")) else ""
    yield " ".join(filter(None, map(str, _rate(environment, config))))
    batch, seed = dig(config, "engine", "batch_size"), dig(config, "seed")
    yield f"batches of {count(batch)}" if whole(batch) else ""
    yield f"seed {seed}" if whole(seed) is not None else ""
    yield " ".join(str(environment[key]) for key in ("device", "precision") if environment.get(key))
    processes = whole(environment.get("processes")) or 1
    yield f"{count(processes)} processes" if processes > 1 else ""


def _leaves(content: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """'data.images', '737,280' and so on."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            yield from _leaves(dict(enumerate(value, 1)), f"{prefix}{key}.")
        else:
            yield plain(f"{prefix}{key}"), plain(_readable(value), LONG, lines=True)


def _readable(value: object) -> str:
    if isinstance(value, list):
        return (" x " if all(number(v) is not None for v in value) else "\n").join(map(_readable, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if value is None else str(value)
