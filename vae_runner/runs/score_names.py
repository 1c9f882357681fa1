"""What a score is called in evaluation.json: 'mig'; of another data set than the run's 'mig@shapes3d'."""

__all__ = ["on_data", "parted"]

_ON = "@"


def on_data(name: str, data: str | None) -> str:
    """The name of a score on that data set; None: on the run's own."""
    return name if data is None else f"{name}{_ON}{data}"


def parted(name: str) -> tuple[str, str]:
    """The score, and the other data set, which is empty for the run's own."""
    score, _, data = name.partition(_ON)
    return score, data
