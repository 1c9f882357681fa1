"""The sections of a run's report: a function for each, which returns nothing where there is nothing to show."""

import base64
import math
from collections.abc import Iterator, Mapping
from typing import Any

from vae_runner.report.chart import Series, chart
from vae_runner.report.figures import figures, points
from vae_runner.report.findings import DEAD_NATS, findings, latent_kl
from vae_runner.report.folder import Picture, Run, dig, number
from vae_runner.report.human import count, moment, nats, plural
from vae_runner.report.markup import Html, tag

__all__ = ["sections"]

NATS = "nats per image"
PAGE_WIDTH = 1132  # CSS pixels, as in style.css
WIDE = frozenset({"traversal", "reconstruction"})  # pictures that have labels to be read
FEW = 20  # latents that are all listed
LABELS = {"train": "training", "validation": "validation", "capacity": "C"}
ABOUT = {
    "traversal": "each row moves one latent, all others stay",
    "reconstruction": "input images, and below each its reconstruction",
    "samples": "decoded samples of the prior",
    "data": "images of the data set",
}


def sections(run: Run) -> list[Html]:
    """Returns the sections that have something to show, in the order of the page."""
    makers = (title, notes, headline, resume, pictures, curves, latents, config, environment)
    made = [make(run) for make in makers]
    if not any(made[1:]):
        made.append(tag("p", "Nothing to show yet: this folder has no metrics and no pictures.", class_="quiet"))
    return [section for section in made if section]


def title(run: Run) -> Html:
    """The run's name, how far it has come, and what it trains on what."""
    steps = f"step {count(run.step)}" + (f" of {count(run.total_steps)}" if run.total_steps else "")
    known = bool(run.status or run.train or run.validation)
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
        tag("p", " · ".join(filter(None, _subject(run.environment))), class_="quiet"),
    )


def notes(run: Run) -> Html:
    """What to know before looking at the figures."""
    items = [tag("li", finding.text, class_=finding.level) for finding in findings(run)]
    return tag("ul", *items, class_="notes") if items else Html()


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
    """The command that goes on with the run."""
    command = run.status.get("resume")
    return tag("p", tag("span", "Go on with"), tag("code", str(command)), class_="resume") if command else Html()


def pictures(run: Run) -> Html:
    """The newest picture of each kind."""
    return _section("Pictures", tag("div", *map(_figure, run.pictures), class_="pictures")) if run.pictures else Html()


def curves(run: Run) -> Html:
    """Reconstruction, KL (of each latent space, with its capacity) and loss over the steps."""
    spaces = sorted({key.removesuffix("kl") for record in run.train[-1:] for key in record if key.endswith("/kl")})
    drawn = [
        _curve(run, "recon", "Reconstruction, -log p(x|z)", may_be_log=True),
        _curve(run, "kl", "KL", reference="capacity"),
        *(_curve(run, f"{space}kl", f"KL of {space.rstrip('/')}", reference=f"{space}capacity") for space in spaces),
        _curve(run, "loss", "Loss", may_be_log=True),
    ]
    return _section("Curves", tag("div", *drawn, class_="charts")) if any(drawn) else Html()


def latents(run: Run) -> Html:
    """The KL of each latent, the largest first, as in the traversal; of many latents the active ones."""
    kl = latent_kl(run)
    if kl is None:
        return Html()
    largest = max([DEAD_NATS, *(value for value in kl.nats.values() if math.isfinite(value))])
    ranked = sorted(kl.nats, key=lambda name: kl.nats[name] if math.isfinite(kl.nats[name]) else math.inf, reverse=True)
    shown = [name for name in ranked if len(ranked) <= FEW or name not in kl.dead]
    rest = len(ranked) - len(shown)
    return _section(
        "KL per latent",
        tag("p", f"KL(q(z|x) || p(z)), {NATS}, in {kl.split} at step {count(kl.step)}", class_="quiet"),
        tag("ul", *(_latent(name, kl.nats[name], largest) for name in shown), class_="latents"),
        tag("p", f"{plural(rest, 'more latent')} below {DEAD_NATS} nats", class_="quiet") if rest else "",
    )


def config(run: Run) -> Html:
    """All settings."""
    return _folded("Config", tag("pre", run.config)) if run.config else Html()


def environment(run: Run) -> Html:
    """Versions, machine, code and data."""
    times = {key: moment(run.status[key]) for key in ("started", "updated") if run.status.get(key)}
    rows = [
        tag("tr", tag("th", key, scope="row"), tag("td", value)) for key, value in _leaves({**run.environment, **times})
    ]
    return _folded("Environment", tag("table", tag("tbody", *rows))) if rows else Html()


def _section(name: str, *content: str) -> Html:
    return tag("section", tag("h2", name), *content)


def _folded(name: str, content: str) -> Html:
    return tag("details", tag("summary", tag("h2", name)), content)


def _progress_bar(run: Run) -> str:
    if run.total_steps is None or run.state == "done":
        return ""
    return tag("progress", max=run.total_steps, value=run.step, aria_label="steps done")


def _subject(environment: Mapping[str, Any]) -> Iterator[str]:
    """'dsprites, 737,280 images 1 x 64 x 64', 'conv', '10 normal latents', ..., as far as it is known."""
    images, shape = number(dig(environment, "data", "images")), dig(environment, "data", "image_shape")
    size = f"{count(images)} images {_readable(shape) if shape else ''}".rstrip() if images is not None else ""
    yield ", ".join(filter(None, [str(dig(environment, "choices", "dataset") or ""), size]))
    yield str(dig(environment, "choices", "architecture") or "")
    yield f"{latent} latents" if (latent := dig(environment, "model", "latents")) else ""
    parameters = number(dig(environment, "model", "parameters"))
    yield f"{count(parameters)} parameters" if parameters is not None else ""
    yield str(dig(environment, "choices", "divergence") or "")
    yield " ".join(str(environment[key]) for key in ("device", "precision") if environment.get(key))


def _figure(picture: Picture) -> Html:
    step = number(picture.details.get("step"))
    caption = picture.name + (f", step {count(step)}" if step is not None else "")
    caption += f": {ABOUT[picture.name]}" if picture.name in ABOUT else ""
    image = tag(
        "img",
        src="data:image/png;base64," + base64.b64encode(picture.data).decode(),
        width=picture.width,
        height=picture.height,
        alt=caption,
        class_="crisp" if picture.width <= PAGE_WIDTH else None,  # a wider one is shown smaller: has to be smoothed
    )
    return tag("figure", image, tag("figcaption", caption), class_="wide" if picture.name in WIDE else None)


def _curve(run: Run, key: str, name: str, may_be_log: bool = False, reference: str | None = None) -> Html:
    """Training as a line, validation as dots, and the reference (a capacity) dashed, with their last values."""
    series = [
        Series("train", points(run.train, key)),
        Series("capacity", points(run.train, reference) if reference else []),
        Series("validation", points(run.validation, key), drawn_as="dots"),
    ]
    series = [one for one in series if one.points]
    if not (drawing := chart(series, NATS, f"{name} over the steps, {NATS}", may_be_log)):
        return Html()
    keys = [
        tag("span", LABELS[one.name], tag("b", nats(one.points[-1][1], 2)), class_=f"key {one.name}") for one in series
    ]
    return tag("figure", tag("figcaption", tag("h3", name), *keys), drawing)


def _latent(name: str, kl: float, largest: float) -> Html:
    is_dead = kl < DEAD_NATS
    share = max(kl / largest, 0) if math.isfinite(kl) else 0
    bar = tag("span", tag("span", style=f"width: {100 * share:.1f}%"), class_="bar")
    shown = f"< {DEAD_NATS}" if is_dead else nats(kl, 2)
    return tag("li", tag("span", name), bar, tag("span", shown), class_="dead" if is_dead else None)


def _leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """'data.images', '737,280' and so on."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _readable(value)


def _readable(value: object) -> str:
    if isinstance(value, list):
        return (" x " if all(number(v) is not None for v in value) else "\n").join(map(_readable, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    return "-" if value is None else str(value)
