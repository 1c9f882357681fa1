"""What is written: a drawing, which becomes the bytes of files in whatever thread writes them."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

__all__ = ["Drawing", "Encoded"]


class Encoded(NamedTuple):
    """The files of a drawing by the ending of their names, and what the JSON file beside them says."""

    files: Mapping[str, bytes]
    details: Mapping[str, Any]


class Drawing(Protocol):
    """Something to be written.

    name         of its files; None: that of the picture in the config
    is_moving    whether it is of many frames, to be kept apart from what stands still

    One that can be laid out for print has `printed(paper) -> Encoded` besides.
    """

    @property
    def name(self) -> str | None:
        """The part of the file's name that tells it from others of its picture; None where it is the only one."""

    @property
    def is_moving(self) -> bool:
        """Whether it has frames, and takes a while to encode."""

    def encode(self) -> Encoded:
        """Draw it; called in the thread that writes. It makes no use of torch, which keeps threads for each thread."""

    def detached(self) -> "Drawing":
        """The drawing without tensors on a device, for another thread."""
