"""What `vae-evaluate` prints: a line for each score of a run, figures in columns."""

from collections.abc import Mapping
from typing import Any

from vae_runner.report.scored.score_kinds import COUNTS, UNITS, beside, figure
from vae_runner.runs.words import duration

__all__ = ["score_line"]

WIDTH = 20


def score_line(name: str, record: Mapping[str, Any]) -> str:
    """'  sap    0.0312    [validation, 2,000 images, 6.1 s]', in columns, with other figures before the brackets."""
    unit = UNITS.get(name, "")
    if name in COUNTS and record["value"] == 1:
        unit = unit.removesuffix("s")
    value = f"{figure(name, record['value'])} {unit}".rstrip()
    where = f"[{record['part']}, {record['images']:,} images, {duration(record['seconds'])}]"
    return "  ".join(["", f"{name:<{WIDTH - 1}} {value:<14}", beside(record.get("others", {})), where]).replace(
        "    [", "  ["
    )
