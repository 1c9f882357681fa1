"""Where things are: the configs, inside the installed package or next to it in a checkout, the folder of cached files,
and a user's own modules.
"""

import os
import sys
from pathlib import Path

__all__ = ["cache_dir", "config_dir", "make_importable"]


def config_dir() -> Path:
    """The folder of train.yaml and the config groups."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


def cache_dir(given: str | Path | None = None) -> Path:
    """Returns the folder for cached files: `given`, else vae_runner in $XDG_CACHE_HOME (~/.cache if not set)."""
    if given is not None:
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "vae_runner"


def make_importable(*folders: Path) -> None:
    """Let modules in these folders be imported, in this and, by `sys.path`, in the processes that it starts.

    They come last: a user's file that has the name of an installed module takes nothing's place.
    """
    for folder in folders:
        if (path := str(folder.absolute())) not in sys.path:
            sys.path.append(path)
