"""HTML and SVG that are escaped by construction: text becomes markup only through `tag`, and shows its commands.

A very long text is shortened; a picture's data, which are `Html`, are not.
"""

from html import escape

from vae_runner.text import plain

__all__ = ["Html", "join", "tag"]

LONGEST = 200_000  # characters of a text
_VOID = frozenset({"img", "meta"})  # elements that have no end


class Html(str):
    """Markup; any other string is text, and is escaped where it enters an element."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: object) -> Html:
    """Returns the element. `class_` is written class, `max_width` max-width; an attribute that is None is left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{given}>" if name in _VOID else f"<{name}{given}>{join(*children)}</{name}>")


def join(*parts: str) -> Html:
    """Returns the parts one after the other, text escaped."""
    return Html("".join(part if isinstance(part, Html) else _escaped(part, quote=False) for part in parts))


def _escaped(value: object, quote: bool = True) -> str:
    return value if isinstance(value, Html) else escape(plain(value, LONGEST, lines=True), quote)
