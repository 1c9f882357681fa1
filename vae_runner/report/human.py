"""Figures as people read them."""

from datetime import UTC, datetime

__all__ = ["and_more", "count", "duration", "images", "moment", "nats", "plural"]

_UNITS = ((86_400, "days"), (3_600, "h"), (60, "min"))


def count(value: float) -> str:
    """'737,280'."""
    return f"{value:,.0f}"


def nats(value: float, decimals: int = 1) -> str:
    """'1,234.5', without the unit; 'nan' and 'inf' where it is not finite."""
    return f"{value:,.{decimals}f}"


def duration(seconds: float) -> str:
    """'4.2 s', '52 s', '1.2 min', '3.4 h', '2.1 days'."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def moment(iso: object) -> str:
    """'2026-11-22 06:17 UTC' of an ISO 8601 time; what is none comes back as it is."""
    try:
        return datetime.fromisoformat(str(iso)).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError):
        return str(iso)


def plural(number: int, noun: str) -> str:
    """'1 record', '3 records'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def and_more(names: list[str], shown: int = 12) -> str:
    """'z1, z5, z7'; of long lists the first ones, and how many more there are."""
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest:,} more" if rest > 0 else "")


def images(total: float, train: float | None, validation: float | None) -> str:
    """'735,280 + 2,000 images' to train and to validate on; '19,500 + 500 of 737,280 images' where others are left out;
    '737,280 images' where no more is known.
    """
    if train is None or validation is None:
        return f"{count(total)} images"
    left_out = f" of {count(total)}" if train + validation < total else ""
    return f"{count(train)} + {count(validation)}{left_out} images"
