"""Text from strangers as it can be shown: names of files, members of a zip, answers of servers, what a folder says.

A terminal, a log and a page show what they are given, and some characters are commands to them: C0, DEL and C1 move the
cursor, colour, and begin lines (ECMA-48); the marks of direction, and those that are not seen, make one text look like
another (Unicode Technical Report 36). Each is written as its escape, \\x1b or \\u202e: it is seen, and does nothing. So
is half a surrogate pair, which stands for a byte that is no UTF-8.
"""

import re

__all__ = ["cell", "one_line", "plain"]

NAME = 300  # characters of a name that are shown
LINE = 4000  # characters of a line
_COMMANDS = (
    "\\x00-\\x1f\\x7f-\\x9f"  # C0, DEL, C1
    "\\u00ad\\u061c\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb"  # unseen
    "\\ud800-\\udfff\\U000e0000-\\U000e007f"  # no characters; tags
)
_ALL, _BUT_LINES = re.compile(f"[{_COMMANDS}]"), re.compile(f"(?![\\n\\t])[{_COMMANDS}]")
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf|nan)")


def plain(text: object, most: int = NAME, lines: bool = False) -> str:
    """The text with its commands escaped; of one that has more than `most` characters the beginning and the end.

    With `lines`, the ends of lines and tabs stay.
    """
    text = str(text)
    if len(text) > most:
        kept = max(most // 2, 1)
        text = f"{text[:kept]}...{text[-kept:]} ({len(text):,} characters)"
    return (_BUT_LINES if lines else _ALL).sub(_escaped, text)


def one_line(text: object) -> str:
    """`plain`, for a line that people read: longer than a name may be."""
    return plain(text, LINE)


def cell(value: object) -> object:
    """A value for a CSV file. Numbers stay; a text that a spreadsheet would take for a formula gets a quote before it
    (OWASP, CSV Injection), which spreadsheets hide.
    """
    if not isinstance(value, str):
        return value
    text = plain(value)
    return f"'{text}" if value.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # `surrogateescape`: a byte
        code -= 0xDC00
    return _SHORT.get(found[0]) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )
