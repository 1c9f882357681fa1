"""What a run's checkpoint holds: each part of it is looked at once, when it is loaded, before anything is made of it.

`step` a count; `image_shape` three sizes; `config` plain values; `objective` the weights, finite tensors by name;
`optimizer` torch's `state` and `param_groups`, finite too; the others are of the engine and of its callbacks.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

from vae_runner.foreign import whole
from vae_runner.text import plain

__all__ = ["content_fault"]

LARGEST = 1 << 16  # pixels on a side


def content_fault(content: Any) -> str | None:
    """What is wrong with the content of a run's checkpoint, to be said behind the file's name; None where nothing."""
    return next(_faults(content), None)


def _faults(content: Any) -> Iterator[str]:
    if not isinstance(content, dict):
        yield "holds no run: it is no dict of its parts"
        return
    needed = ("config", "image_shape", "step", "objective", "optimizer", "validated", "callbacks")
    for name in needed:
        if name not in content:
            yield f"holds no run: it has no {name}"
            return
    for name, (is_right, expected) in PARTS.items():
        if name in content and not is_right(content[name]):
            yield f"has {name}={_shown(content[name])}, expected {expected}"
            return
    yield from _infinite("", content["objective"])
    yield from _infinite("optimizer.", content["optimizer"])
    for callback, state in content["callbacks"].items():
        yield from _state_faults(f"callbacks.{callback}", state)


def _state_faults(name: str, state: Any) -> Iterator[str]:
    """Of a callback: sums of metrics and their weight, or plain values."""
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        yield f"has {name}={_shown(state)}, expected a dict"
        return
    if "sums" in state or "weight" in state:
        sums, weight = state.get("sums"), state.get("weight")
        if not _is_tensors(sums) or any(not value.is_floating_point() or value.dim() > 1 for value in sums.values()):
            yield f"has {name}.sums={_shown(sums)}, expected a dict of sums"
        elif not _is_number(weight) or not 0 <= weight < math.inf or (weight == 0 and sums):
            yield f"has {name}.weight={_shown(weight)}, expected a number from 0 up"
    if "best" in state and not _is_number(state["best"]):
        yield f"has {name}.best={_shown(state['best'])}, expected a number"
    if "told" in state and not isinstance(state["told"], bool):
        yield f"has {name}.told={_shown(state['told'])}, expected true or false"


def _infinite(prefix: str, node: Any) -> Iterator[str]:
    """The first tensor or number that is not finite."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, value in items:
        if isinstance(value, Tensor) and not value.isfinite().all():
            yield f"has values in {prefix}{plain(key)} that are not finite"
        elif isinstance(value, float) and math.isnan(value):
            yield f"has {prefix}{plain(key)}=nan"
        else:
            yield from _infinite(f"{prefix}{plain(key)}.", value)


def _is_tensors(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


def _is_plain(value: Any) -> bool:
    """Whether there is no tensor in it, and all keys are texts."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    return all(map(_is_plain, value)) if isinstance(value, (list, tuple)) else not isinstance(value, Tensor)


def _is_step(value: Any) -> bool:
    return type(value) is int and whole(value) is not None


def _is_shape(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple)) and len(value) == 3 and all(type(n) is int and 0 < n <= LARGEST for n in value)
    )


def _is_optimizer(value: Any) -> bool:
    """State by the number of the parameter, and groups with their parameters' numbers."""
    state, groups = (value.get(name) for name in ("state", "param_groups")) if isinstance(value, dict) else (None, None)
    return (
        isinstance(state, dict)
        and all(type(key) is int and isinstance(moments, dict) for key, moments in state.items())
        and all(isinstance(name, str) for moments in state.values() for name in moments)
        and isinstance(groups, list)
        and len(groups) > 0
        and all(isinstance(group, dict) and _is_plain(group) and _are_counts(group.get("params")) for group in groups)
        and all(_is_number(group.get("lr")) for group in groups)
    )


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int for number in value)


def _is_validated(value: Any) -> bool:
    """Figures, and lists of them."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        return False
    figures = (value if isinstance(value, list) else [value] for value in value.values())
    return all(isinstance(one, (int, float)) and not isinstance(one, bool) for some in figures for one in some)


def _is_nonfinite(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(k, str) and _is_step(v) for k, v in value.items())


def _is_threads(value: Any) -> bool:
    return value is None or (type(value) is int and value > 0)


# How each part is recognised, and what it is called where it is not.
PARTS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "step": (_is_step, "a whole number from 0 up"),
    "image_shape": (_is_shape, "(channels, height, width)"),
    "config": (lambda value: isinstance(value, dict) and _is_plain(value), "the run's config"),
    "objective": (_is_tensors, "weights by name"),
    "optimizer": (_is_optimizer, "an optimiser's state"),
    "validated": (_is_validated, "figures by name"),
    "threads": (_is_threads, "a number of threads"),
    "compiled": (lambda value: isinstance(value, bool), "true or false"),
    "device": (lambda value: isinstance(value, str), "a kind of device"),
    "processes": (_is_threads, "a number of processes"),
    "nonfinite": (_is_nonfinite, "counts of steps"),
    "callbacks": (
        lambda value: isinstance(value, dict) and all(isinstance(key, str) for key in value),
        "states by name",
    ),
}


def _shown(value: Any) -> str:
    """A number or a short text as it is, of anything else the kind."""
    if isinstance(value, (int, float, str)) or value is None:
        return plain(repr(value), 40)
    return f"a {type(value).__name__}"
