from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest

from vae_runner.schedule import Linear, Schedule
from vae_runner.signature import coerced, describe, enforced, locate, mismatch, non_negative, parameters, positive


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (3, int),
        (3, float),
        (3.5, float),
        ("a", str),
        (True, bool),
        (None, int | None),
        ([1, 2], Sequence[int]),
        ([0.9, 0.999], tuple[float, float]),
        ("b", Literal["a", "b"]),
        (Linear(0, 1, 2), float | Schedule),
        ({"_target_": "vae_runner.schedule.Linear"}, float | Schedule),
        ({"_target_": "anything.at.all"}, Callable[[int], int]),
        (object(), Any),
        (1, Annotated[int, positive]),
        ({"_target_": "vae_runner.schedule.Linear"}, Annotated[float, non_negative] | Schedule),
    ],
)
def test_a_fitting_value_has_no_fault(value: Any, annotation: Any) -> None:
    assert mismatch(value, annotation) is None


@pytest.mark.parametrize(
    ("value", "annotation", "words"),
    [
        ("abc", float | Schedule, "expected float or Schedule"),
        (True, int, "expected int"),
        (1, bool, "expected bool"),
        (1.5, int, "expected int"),
        (None, int, "expected int"),
        ("abc", Sequence[int], "expected list of int"),
        (["a"], Sequence[int], "expected list of int"),
        ([0.9], tuple[float, float], "expected [float, float]"),
        ("c", Literal["a", "b"], "expected one of a, b"),
        ({"_target_": "vae_runner.likelihood.Bernoulli"}, float | Schedule, "expected float or Schedule"),
        (0, Annotated[int, positive], "must be positive"),
        (float("inf"), Annotated[float, positive], "must be finite"),
        (float("nan"), Annotated[float, positive], "must be finite"),
        (float("inf"), Annotated[float, non_negative] | None, "must be finite"),
        (float("-inf"), Annotated[float, non_negative] | Schedule, "must be finite"),
        (-1, Annotated[float, non_negative] | Schedule, "must not be negative"),
        (-1, Annotated[int, positive] | None, "must be positive"),
    ],
)
def test_a_fault_is_told_in_words(value: Any, annotation: Any, words: str) -> None:
    assert mismatch(value, annotation) == words


def test_whole_floats_become_ints_only_where_floats_are_not_wanted() -> None:
    assert coerced(1e4, Annotated[int, positive] | None) == 10_000
    assert isinstance(coerced(1e4, int), int)
    assert isinstance(coerced(2.0, int | float), float)
    assert coerced(1.5, int) == 1.5


def test_enforced_constructors_refuse_values_out_of_range() -> None:
    @enforced
    @dataclass(frozen=True)
    class Part:
        size: Annotated[int, positive] = 3
        rate: Annotated[float, non_negative] | None = None

    assert Part(2, rate=0.0).size == 2
    with pytest.raises(ValueError, match="Part: size must be positive, got 0"):
        Part(0)
    with pytest.raises(ValueError, match="Part: rate must not be negative, got -1"):
        Part(rate=-1)


def test_parameters_are_those_of_the_constructor_with_their_annotations() -> None:
    assert list(parameters(Linear)) == ["start", "end", "steps", "delay"]
    assert parameters(Linear)["steps"][1] == Annotated[int, positive]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("no_such_module.Thing", "no module called no_such_module"),
        ("vae_runner.schedule.Nothing", "vae_runner.schedule has no Nothing"),
        ("not a path", "is not a dotted path"),
        (3, "is not a dotted path"),
    ],
)
def test_locate_says_what_could_not_be_found(path: Any, words: str) -> None:
    with pytest.raises(ImportError, match=words):
        locate(path)


def test_locate_finds_nested_names() -> None:
    assert locate("vae_runner.schedule.Linear") is Linear


def test_describe_joins_alternatives() -> None:
    assert describe(Annotated[float, positive] | Schedule | None) == "float or Schedule or null"
    choice = Literal["a", "b"]
    assert describe(choice | Sequence[choice] | None) == "one of a, b or a list of them or null"
