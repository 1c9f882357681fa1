"""What each latent carries, on a run's page: bars of its KL, a list for each latent space."""

import math
from collections.abc import Iterator, Mapping, Set

from vae_runner.report.markup import Html, tag
from vae_runner.report.page import section
from vae_runner.report.run.findings import DEAD_NATS, LatentKL, latent_kl
from vae_runner.report.run.run_curves import NATS
from vae_runner.runs.read import Run
from vae_runner.runs.words import count, nats, plural
from vae_runner.text import plain

__all__ = ["kl_bars", "latents"]

FEW = 20  # latents of a space that are all listed; and spaces
MOST = 300  # latents of a space that are listed


def latents(run: Run) -> Html:
    """The KL of each latent, the largest first, as in the traversal; the bars of all spaces have one scale."""
    kl = latent_kl(run)
    if kl is None:
        return Html()
    largest = max([DEAD_NATS, *(value for value in kl.nats.values() if math.isfinite(value))])
    about = f"KL(q(z|x) || p(z)), {NATS}, in {kl.split} at step {count(kl.step)}"
    lists = tag("div", *kl_bars(kl, largest, dict(_followed(run, kl.step))), class_="spaces")
    return section("KL per latent", tag("p", about, class_="quiet"), lists)


def _followed(run: Run, step: float) -> Iterator[tuple[str, str]]:
    """The name of each latent, and the factor that it follows, as the picture of the same step has it."""
    details = next((one.details for one in run.pictures if one.name == "kl" and one.details.get("step") == step), {})
    rows = [row for row in details.get("rows") or () if isinstance(row, Mapping)]
    several = len({row.get("space") for row in rows}) > 1
    for row in rows:
        if isinstance(row.get("follows"), str):
            latent = f"z{row.get('dim')}"
            yield f"space{row.get('space')}/{latent}" if several else latent, plain(row["follows"])


def kl_bars(kl: LatentKL, largest: float, followed: Mapping[str, str] | None = None) -> list[Html]:
    """Returns a list of bars for each latent space, the longest of `largest` nats; with what each latent has
    `followed`, where that is known.
    """
    spaces: dict[str, dict[str, float]] = {}
    for name, value in kl.nats.items():
        space, _, latent = name.rpartition("/")
        spaces.setdefault(plain(space), {})[latent] = value
    closed: dict[str, set[str]] = {}
    for name in kl.closed:
        space, _, latent = name.rpartition("/")
        closed.setdefault(plain(space), set()).add(latent)
    told: dict[str, dict[str, str]] = {}
    for name, factor in (followed or {}).items():
        space, _, latent = name.rpartition("/")
        told.setdefault(space, {})[latent] = factor
    return [
        _space(space, spaces[space], largest, closed.get(space, set()), told.get(space, {}))
        for space in sorted(spaces)[:FEW]
    ]


def _space(name: str, kl: Mapping[str, float], largest: float, closed: Set[str], followed: Mapping[str, str]) -> Html:
    """One space's latents; of many the active ones."""
    ranked = sorted(kl, key=lambda latent: kl[latent] if math.isfinite(kl[latent]) else math.inf, reverse=True)
    shown = [latent for latent in ranked if len(ranked) <= FEW or not kl[latent] < DEAD_NATS][:MOST]
    rest = len(ranked) - len(shown)
    of_these = f"{plural(rest, 'more latent')}{f' below {DEAD_NATS} nats' if len(shown) < MOST else ''}"
    total = sum(value for value in kl.values() if math.isfinite(value))
    return tag(
        "div",
        tag("h3", f"{name}, {nats(total, 2)} in all") if name else "",
        tag(
            "ul",
            *(_latent(latent, kl[latent], largest, latent in closed, followed.get(latent, "")) for latent in shown),
            class_="latents",
        ),
        tag("p", of_these, class_="quiet") if rest else "",
    )


def _latent(name: str, kl: float, largest: float, is_closed: bool, factor: str) -> Html:
    is_dead = kl < DEAD_NATS
    share = max(kl / largest, 0) if math.isfinite(kl) else 0
    bar = tag("span", tag("span", style=f"width: {100 * share:.1f}%"), class_="bar")
    shown = "closed" if is_closed else f"< {DEAD_NATS}" if is_dead else nats(kl, 2)
    told = tag("span", factor, class_="quiet") if factor else ""
    return tag("li", tag("span", name), bar, told, tag("span", shown), class_="dead" if is_dead else None)
