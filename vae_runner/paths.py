"""Where the configs are: inside the installed package, or next to it in a checkout."""

from pathlib import Path

__all__ = ["config_dir"]


def config_dir() -> Path:
    """The folder of train.yaml and the config groups."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"
