"""What `vae-evaluate` prints: a line for each score of a run, figures in columns."""

import math
from collections.abc import Mapping
from typing import Any

from vae_runner.runs.words import duration

__all__ = ["figure", "score_line"]

WIDTH = 20
COUNTS = ("active", "active_units", "samples", "effective")
UNITS = {"total_correlation": "nats", "shared_information": "nats", "rmig": "nats", "log_px": "nats"}
UNITS |= {"rate_distortion": "nats", "active_units": "latents"}


def score_line(name: str, record: Mapping[str, Any]) -> str:
    """'  sap    0.0312    [validation, 2,000 images, 6.1 s]', in columns, with other figures before the brackets."""
    value = f"{_shown(name, record['value'])} {UNITS.get(name, '')}".rstrip()
    where = f"[{record['part']}, {record['images']:,} images, {duration(record['seconds'])}]"
    return "  ".join(["", f"{name:<{WIDTH}}{value:<14}", ", ".join([*_others(record)]), where]).replace("    [", "  [")


def figure(value: float) -> str:
    """'0.3120', '-1,234.5', '3.1e-06', 'inf'."""
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 100:
        return f"{value:,.1f}"
    return f"{value:.4f}" if abs(value) >= 1e-4 or value == 0 else f"{value:.1e}"


def _others(record: Mapping[str, Any]) -> list[str]:
    """The other figures, but those of each latent and the errors, which the file has."""
    found = record.get("others", {}).items()
    told = [(name, value) for name, value in found if "/" not in name and not name.endswith("_error")]
    return [f"{name} {_shown(name, value)}" for name, value in told]


def _shown(name: str, value: float) -> str:
    return f"{value:,.0f}" if name in COUNTS else figure(value)
