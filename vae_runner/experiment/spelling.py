"""What somebody may have meant who has misspelt a name."""

import difflib
import re
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known dotted name that is most like `name`, judged by its last part first, then by the whole."""
    known = sorted(known)
    last_parts = {full: re.split(r"[./]", full)[-1] for full in known}
    close = difflib.get_close_matches(re.split(r"[./]", name)[-1], set(last_parts.values()), 1, 0.7)
    if close:
        alike = [full for full in known if last_parts[full] == close[0]]
        return max(alike, key=lambda full: difflib.SequenceMatcher(None, name, full).ratio())
    close = difflib.get_close_matches(name, known, 1, 0.6)
    return close[0] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' Did you mean X?', or nothing where nothing is near."""
    close = nearest(name, known)
    return f" Did you mean {close}?" if close else ""
