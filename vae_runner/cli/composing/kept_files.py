"""Config files of the program and of Hydra, read once in a process: a third of composing a config is reading them.

A mistyped setting is looked for in all options of a group, and a sweep is composed job by job. The user's own files may
change meanwhile, and are read each time; so is the config that leads to all others, which Hydra reads by itself.
"""

import pickle
from collections.abc import Callable

from hydra.plugins.config_source import ConfigResult, ConfigSource

from vae_runner.paths import config_dir

__all__ = ["read_once"]

Load = Callable[[str], ConfigResult | None]

_KEPT: dict[tuple[str, str], bytes] = {}


def read_once(source: ConfigSource | None, config_path: str, load: Load) -> ConfigResult | None:
    """What `load(config_path)` reads from the source, which may be changed: a copy where the file stays as it is."""
    if source is None or not _stays(source):
        return load(config_path)
    place = (source.full_path(), config_path)
    if place not in _KEPT:
        result = load(config_path)
        if result is None:
            return None
        _KEPT[place] = pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
    return pickle.loads(_KEPT[place])


def _stays(source: ConfigSource) -> bool:
    return source.scheme() == "pkg" or (source.scheme() == "file" and source.path == str(config_dir()))
