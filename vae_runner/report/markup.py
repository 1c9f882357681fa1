"""HTML and SVG that are escaped by construction: text becomes markup only through `tag`."""

from html import escape

__all__ = ["Html", "join", "tag"]

_VOID = frozenset({"img", "meta"})  # elements that have no end


class Html(str):
    """Markup; any other string is text, and is escaped where it enters an element."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: object) -> Html:
    """Returns the element. `class_` is written class, `max_width` max-width; an attribute that is None is left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{given}>" if name in _VOID else f"<{name}{given}>{join(*children)}</{name}>")


def join(*parts: str) -> Html:
    """Returns the parts one after the other, text escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part, quote=False) for part in parts))
