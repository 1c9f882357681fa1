"""From a node of a config to the object that it describes."""

import errno
from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate

from vae_runner.errors import UserError, in_words, place_of
from vae_runner.experiment.checking.check import shortened

__all__ = ["build"]


def build(node: Mapping[str, Any], place: str = "", /, **given: Any) -> Any:
    """The object that a `_target_` node describes, with the arguments that the config does not hold.

    Raises `UserError` with the reason where the target refuses its arguments, behind the node's place or the target.
    """
    try:
        return instantiate(dict(node), **given, _convert_="all")
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from None
        if place_of(cause):  # a part of the user's own
            raise UserError(f"{node['_target_']}: {in_words(cause)}") from error
        if isinstance(cause, (ValueError, TypeError)):
            raise UserError(f"{place or node['_target_']}: {cause}") from error
        if isinstance(cause, OSError) and cause.errno == errno.ENAMETOOLONG:
            raise UserError(f"{node['_target_']}: {cause.strerror}: {shortened(cause.filename)}") from error
        raise
