"""The pages on which decoders run, made anew of what lies in them, and those of several runs put side by side.

What such a page knows is read as JSON; what is none of a run's is left out, and nothing in it is run.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vae_runner.drawing.explorer.explorer_page import explorer, known_of
from vae_runner.files import write_atomically
from vae_runner.foreign import MEDIUM, dig, read_bytes
from vae_runner.report.markup import tag
from vae_runner.runs.names import EXPLORER
from vae_runner.runs.read import is_run

__all__ = ["explorer_link", "renew_explorer", "write_explorers"]

MOST = 6  # runs side by side
LARGEST = 32_000_000  # bytes of all of them together
NEEDED = {"name": str, "about": list, "step": int, "program": dict, "spaces": list, "latents": list, "start": dict}
NEEDED |= {"map": dict, "draws": list}
OF_STEP = {"step": int, "program": dict, "spaces": list, "latents": list, "draws": list, "codes": dict}


def renew_explorer(folder: Path) -> bool:
    """Make a run's explore.html anew of what is in it; returns whether there is one."""
    runs = _known(folder)
    if len(runs) == 1:
        write_atomically(folder / EXPLORER, explorer(runs))
    return len(runs) == 1


def write_explorers(out: Path, runs: Iterable[tuple[Path, str]], title: str) -> bool:
    """Write explore.html with the first of the runs that have one, folders and what they are called, side by side;
    returns whether there are two or more. A folder that is a run's own keeps its own.
    """
    if is_run(out):
        return False
    found: list[dict[str, Any]] = []
    size = 0
    for folder, name in runs:
        if len(found) == MOST or size >= LARGEST:
            break
        known = _known(folder)
        if len(known) == 1:
            alone = {key: value for key, value in known[0].items() if key != "past"}  # as it reports itself
            found.append(alone | {"name": name})
            size += len(str(known[0]["program"].get("weights", "")))
    if len(found) < 2:
        (out / EXPLORER).unlink(missing_ok=True)
        return False
    write_atomically(out / EXPLORER, explorer(found, title))
    return True


def explorer_link(folder: Path | None, about: str) -> str:
    """The way to the folder's explore.html, where it has one."""
    if folder is None or not (folder / EXPLORER).is_file():
        return ""
    return tag("p", tag("a", "Move the latents", href=EXPLORER), f": {about}", class_="explorer")


def _known(folder: Path) -> list[dict[str, Any]]:
    try:
        runs = known_of(read_bytes(folder / EXPLORER, MEDIUM))
    except OSError:
        return []
    return [_with_past(run) for run in runs if _has(run, NEEDED)]


def _with_past(run: dict[str, Any]) -> dict[str, Any]:
    """The run with those of its other steps that have all that a step has, and without any where they are no steps."""
    rest = {key: value for key, value in run.items() if key != "past"}
    steps, line = dig(run, "past", "steps"), dig(run, "past", "line")
    if not isinstance(steps, list):
        return rest
    whole = [step for step in steps if isinstance(step, dict) and _has(step, OF_STEP)]
    return {**rest, "past": {"steps": whole, "line": line if isinstance(line, str) else ""}}


def _has(known: Mapping[str, Any], needed: Mapping[str, type]) -> bool:
    return all(isinstance(known.get(name), kind) for name, kind in needed.items())
