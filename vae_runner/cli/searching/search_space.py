"""What is searched: the settings of a command line that have several values, in Hydra's own words.

    optimizer.lr=interval(1e-4,1e-2)             any number between
    distribution.dims=int(interval(4,20))        any whole number between
    optimizer.lr=tag(log,interval(1e-4,1e-2))    the same by its logarithm
    distribution.dims=range(4,20,2)              one of these, which have an order
    divergence=beta,capacity                     one of these, which have none; choice(beta,capacity) too

All else is the same in each job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

__all__ = ["SearchSpace", "space_fault"]

LOG = "log"  # the one tag that says something here
DIGITS = {True: 12, False: 6}  # of a number in a range, of one drawn from an interval


@dataclass(frozen=True)
class SearchSpace:
    """`fixed` are the settings of all trials, as arguments by name; `searched` those that are chosen in each."""

    fixed: Mapping[str, str]
    searched: Mapping[str, Override]

    @classmethod
    def of(cls, settings: Sequence[Override]) -> "SearchSpace":
        """That of the settings, of which the last one of a name counts."""
        last = {override.get_key_element(): override for override in settings}
        searched = {name: one for name, one in last.items() if one.is_sweep_override()}
        fixed = {name: f"{name}={one.get_value_element_as_str()}" for name, one in last.items() if name not in searched}
        return cls(fixed, searched)

    def distributions(self) -> dict[str, "BaseDistribution"]:
        """What each setting that is searched is drawn from, as Optuna has it."""
        return {name: _distribution(override) for name, override in self.searched.items()}

    def settings(self, values: Mapping[str, Any]) -> list[str]:
        """The arguments of a job, with those values of the settings that are searched."""
        return [*self.fixed.values(), *(f"{name}={_text(self.searched[name], values[name])}" for name in self.searched)]


def _distribution(override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value: Any = override.value()
    kind: Any
    if isinstance(value, IntervalSweep):
        kind = IntDistribution if _is_whole(value.start, value.end) else FloatDistribution
        return kind(value.start, value.end, log=LOG in value.tags)
    if isinstance(value, RangeSweep):
        numbers: list[Any] = sorted(value.range())
        step = abs(value.step)
        kind = IntDistribution if _is_whole(*numbers) else FloatDistribution
        return kind(numbers[0], numbers[-1], step=step)
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def _is_whole(*numbers: Any) -> bool:
    return all(isinstance(number, int) for number in numbers)


def _text(override: Override, value: Any) -> str:
    """A value that was chosen, as it is typed."""
    if isinstance(value, str | int):
        return str(value)
    return f"{value:.{DIGITS[override.is_range_sweep()]}g}"


def space_fault(override: Override) -> str | None:
    """What is wrong with the values of a setting that is searched."""
    value: Any = override.value()
    tags = set(getattr(value, "tags", ()))
    if unknown := sorted(tags - {LOG}):
        return f"{override.input_line}: of tags, a search knows log alone, got {unknown[0]}"
    if not isinstance(value, IntervalSweep):
        return f"{override.input_line}: log is for an interval(A,B)" if tags else None
    first: Any = value.start
    last: Any = value.end
    if not all(isinstance(one, int | float) and abs(one) < float("inf") for one in (first, last)):
        return f"{override.input_line}: an interval takes two numbers"
    if not first < last:
        return f"{override.input_line}: an interval goes from a number to a larger one"
    return f"{override.input_line}: log needs numbers above 0" if LOG in tags and first <= 0 else None
