"""What a constructor accepts, read off its annotations: one source for the check of a config and of a Python call.

A range is written beside the type, `steps: Annotated[int, positive]`. Without one, a float has to be finite, in the
single precision of the networks too, and a whole number has to fit into 64 bits. `mismatch` judges a value, `enforced`
makes a constructor raise `ValueError` for a value out of a written range, and `checking.check` reads the same
annotations to report all mistakes of a config before anything is built.
"""

import contextlib
import functools
import inspect
import math
import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

__all__ = [
    "Limit",
    "any_size",
    "between",
    "coerced",
    "describe",
    "enforced",
    "finite",
    "locate",
    "mismatch",
    "non_negative",
    "parameters",
    "positive",
    "probability",
    "ranges",
]

Class = TypeVar("Class", bound=type)

LARGEST = 3.4028234663852886e38  # finite number in single precision


@dataclass(frozen=True)
class Limit:
    """A range that a value must keep; `text` completes 'SETTING ..., got VALUE'. `first` is judged before it."""

    text: str
    holds: Callable[[Any], bool]
    first: "Limit | None" = None

    def broken_by(self, value: Any) -> str | None:
        """The text of what the value does not keep."""
        before = self.first and self.first.broken_by(value)
        return before or (None if self.holds(value) else self.text)


finite = Limit(
    "must be at most 3.4e38, the largest number in single precision",
    lambda value: abs(value) <= LARGEST,
    Limit("must be finite", lambda value: isinstance(value, int) or math.isfinite(value)),
)
positive = Limit("must be positive", lambda value: value > 0, finite)
non_negative = Limit("must not be negative", lambda value: value >= 0, finite)
probability = Limit("must lie in [0, 1]", lambda value: 0 <= value <= 1)
_whole = Limit("must be below 2^63", lambda value: abs(value) < 2**63)
any_size = Limit("must be a whole number", lambda value: isinstance(value, int))  # a seed, of which a hash is taken
_UNSAID = {float: finite, int: _whole}  # the limits of numbers whose annotation says none


def between(low: float, high: float) -> Limit:
    """The numbers from `low` to `high`, a range in which there is sense in a setting."""
    words = f"must lie between {low:g} and {high:g}".replace("e-0", "e-")
    return Limit(words, lambda value: low <= value <= high, finite)


def parameters(target: Callable[..., Any]) -> dict[str, tuple[inspect.Parameter, Any]]:
    """Each parameter of `target` (without self) by name, with its annotation resolved (`Any` where there is none)."""
    function = target.__init__ if isinstance(target, type) else target
    hints: dict[str, Any] = {}
    with contextlib.suppress(NameError, TypeError, AttributeError):  # of a third party's annotation: it goes unchecked
        hints = typing.get_type_hints(function, include_extras=True)
    return {name: (parameter, hints.get(name, Any)) for name, parameter in inspect.signature(target).parameters.items()}


def mismatch(value: Any, annotation: Any) -> str | None:
    """What is wrong with `value` for a parameter of that annotation: 'expected float ...', 'must be positive', None.

    A mapping with a `_target_` stands for the object that it builds, and is accepted where that is an instance.
    """
    limit_texts: list[str] = []
    for alternative in _alternatives(annotation):
        kind, limits = _split(alternative)
        if not _is_instance(value, kind):
            limit_texts += _inner_limits(value, kind)
            continue
        is_unsaid = (kind is int and any_size not in limits) or (kind is float and not limits)
        limits = [*([_UNSAID[kind]] if is_unsaid else []), *limits]
        broken = [] if isinstance(value, Mapping) else [text for limit in limits if (text := limit.broken_by(value))]
        if not broken:
            return None
        limit_texts += broken
    return limit_texts[0] if limit_texts else f"expected {describe(annotation)}"


def coerced(value: Any, annotation: Any) -> Any:
    """A whole float, such as 1e4, as an int where the annotation takes ints and no floats; an int of more than 64 bits
    as a float where it takes floats; else the value itself.
    """
    kinds = [_split(alternative)[0] for alternative in _alternatives(annotation)]
    if isinstance(value, int) and float in kinds and int not in kinds and 2**63 <= abs(value) <= LARGEST:
        return float(value)
    wanted = int in kinds and float not in kinds
    return int(value) if wanted and isinstance(value, float) and value.is_integer() else value


def describe(annotation: Any) -> str:
    """The annotation in a user's words: 'float or Schedule', 'list of int', 'one of fp32, bf16'."""
    words = dict.fromkeys(_describe_one(_split(alternative)[0]) for alternative in _alternatives(annotation))
    shown = [word for word in words if word != "Tensor"] or list(words)  # no user can write a tensor
    told = [word for word in shown if word.startswith("one of ")]
    return " or ".join("a list of them" if word in [f"list of {one}" for one in told] else word for word in shown)


def ranges(annotation: Any) -> list[str]:
    """The written limits of an annotation, as they complete 'it has to be': 'positive', 'in [0, 1]'."""
    limits = [limit for alternative in _alternatives(annotation) for limit in _split(alternative)[1]]
    return list(dict.fromkeys(_as_property(limit.text) for limit in limits if limit not in (finite, any_size)))


def _as_property(text: str) -> str:
    for start, short in (("must not be ", "not "), ("must be ", ""), ("must lie ", ""), ("must ", "to ")):
        if text.startswith(start):
            return short + text.removeprefix(start)
    return text


def enforced(cls: Class) -> Class:
    """Class decorator: the constructor raises `ValueError` where an argument breaks the limit of its annotation."""
    constructor = cls.__init__
    signature = inspect.signature(constructor)
    limits = {name: hint for name, (_, hint) in parameters(cls).items() if _has_limit(hint)}

    @functools.wraps(constructor)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, *args, **kwargs).arguments
        for name, hint in limits.items():
            problem = mismatch(given[name], hint) if name in given else None
            if problem:
                raise ValueError(f"{cls.__name__}: {name} {problem}, got {given[name]!r}")
        constructor(self, *args, **kwargs)

    cls.__init__ = checked  # type: ignore[misc]
    return cls


def _alternatives(annotation: Any) -> list[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        return [inner for part in get_args(annotation) for inner in _alternatives(part)]
    return [annotation]


def _split(annotation: Any) -> tuple[Any, list[Limit]]:
    """An annotation without its limits, and the limits."""
    if get_origin(annotation) is not Annotated:
        return annotation, []
    kind, *extras = get_args(annotation)
    return kind, [extra for extra in extras if isinstance(extra, Limit)]


def _has_limit(annotation: Any) -> bool:
    """Whether the annotation carries a limit anywhere: `Annotated[...]`, a union of them, a list of them."""
    return bool(_split(annotation)[1]) or any(_has_limit(part) for part in get_args(annotation))


def _is_instance(value: Any, kind: Any) -> bool:
    origin, args = get_origin(kind), get_args(kind)
    if kind in (Any, inspect.Parameter.empty) or isinstance(kind, TypeVar):
        return True
    if kind in (None, type(None)):
        return value is None
    if origin is Literal:
        return value in args
    if origin in (list, Sequence, tuple):
        return _is_sequence(value, origin, args)
    if origin is not None:
        kind = origin
    if kind in (bool, int, float, str):
        return _is_plain(value, kind)
    if isinstance(value, Mapping) and "_target_" in value:
        return _builds(value, kind)
    return isinstance(value, kind) if isinstance(kind, type) else kind is Callable and callable(value)


def _is_plain(value: Any, kind: type) -> bool:
    if isinstance(value, bool) or kind is bool:
        return kind is bool and isinstance(value, bool)
    return isinstance(value, (int, float) if kind is float else kind)


def _inner_limits(value: Any, kind: Any) -> list[str]:
    """The limits that the items of a list do not keep, where that is all that is wrong with it."""
    origin, args = get_origin(kind), get_args(kind)
    if origin not in (list, Sequence, tuple) or not args or isinstance(value, str) or not isinstance(value, Sequence):
        return []
    each = args if origin is tuple and args[-1] is not Ellipsis else [args[0]] * len(value)
    if len(each) != len(value):
        return []
    texts = [text for item, part in zip(value, each, strict=True) if (text := mismatch(item, part))]
    return [] if any(text.startswith("expected") for text in texts) else texts


def _is_sequence(value: Any, origin: Any, args: tuple[Any, ...]) -> bool:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return False
    if origin is tuple and args and args[-1] is not Ellipsis:
        return len(value) == len(args) and all(
            mismatch(item, part) is None for item, part in zip(value, args, strict=True)
        )
    return not args or all(mismatch(item, args[0]) is None for item in value)


def _builds(node: Mapping[str, Any], kind: Any) -> bool:
    """Whether the object that a `_target_` node builds is of that kind (true where only building it would tell)."""
    try:
        target = locate(node["_target_"])
    except ImportError:
        return True  # reported where the node itself is checked
    if kind is Callable or kind is collections_callable or node.get("_partial_"):
        return True
    made = target if isinstance(target, type) else typing.get_type_hints(target).get("return", Any)
    return not (isinstance(made, type) and isinstance(kind, type)) or issubclass(made, kind)


collections_callable = get_origin(Callable[[], None])


def locate(path: Any) -> Any:
    """The object that a dotted path names. Raises `ImportError` with the part that could not be found."""
    if not isinstance(path, str) or not all(part.isidentifier() for part in path.split(".")):
        raise ImportError(f"{path!r} is not a dotted path")
    parts = path.split(".")
    found: Any = None
    for count in range(len(parts), 0, -1):
        name = ".".join(parts[:count])
        try:
            found = __import__(name, fromlist=["_"])
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise  # the module is there, but what it imports is not
            continue
        for part in parts[count:]:
            if not hasattr(found, part):
                raise ImportError(f"{name}{_whereabouts(found)} has no {part}")
            found = getattr(found, part)
        return found
    raise ImportError(
        f"no module called {parts[0]}; {parts[0]}.py may be in the folder of --config-dir, or in the working folder"
    )


def _whereabouts(module: Any) -> str:
    """' (FILE)' of a module that is no part of this package: its name may be that of a user's file too."""
    name, file = getattr(module, "__name__", ""), getattr(module, "__file__", None)
    if file is None or name.partition(".")[0] == __name__.partition(".")[0]:
        return ""
    return f" ({os.path.relpath(file) if file.startswith(str(Path.cwd()) + os.sep) else file})"


def _describe_one(kind: Any) -> str:
    origin, args = get_origin(kind), get_args(kind)
    if kind in (None, type(None)):
        return "null"
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if origin in (list, Sequence):
        return f"list of {describe(args[0])}" if args else "list"
    if origin is tuple:
        return "list" if not args else "[" + ", ".join(describe(part) for part in args) + "]"
    if kind is dict or origin in (dict, Mapping):
        return "{NAME: VALUE}"
    return getattr(kind, "__name__", str(kind))
