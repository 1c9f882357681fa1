"""Where the images of a saved run are now: a root is kept as it was typed, and in its absolute form.

The absolute form finds them from every working folder; the typed one, where the images have moved along with whoever
works there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_runner.foreign import dig, read_json
from vae_runner.runs.names import ENVIRONMENT

__all__ = ["absolute_root", "found_root"]

KEY = "root"  # of environment.json


def absolute_root(dataset: Mapping[str, Any]) -> str | None:
    """The root of a `dataset` node, as seen from everywhere; None where there is none."""
    root = dataset.get("root")
    return str(Path(root).expanduser().absolute()) if isinstance(root, str) and root else None


def found_root(dataset: Mapping[str, Any], folder: Path) -> Any:
    """The root of the run in `folder`: the absolute one while there is something, else as it was typed."""
    typed, noted = dataset.get("root"), dig(read_json(folder / ENVIRONMENT), KEY)
    return noted if isinstance(typed, str) and isinstance(noted, str) and _exists(noted) else typed


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # a name that is none
        return False
