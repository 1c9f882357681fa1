"""Words for functions of one number, of two, and for a choice between two."""

from typing import Any

from torch import Tensor

from vae_runner.visualisation.exploring.vocabulary import Says, Unknown, broadcast, place_and_shape, word

__all__ = ["MAPS", "PAIRS"]

MAPS = (
    *("relu", "silu", "mish", "sigmoid", "tanh", "exp", "log", "log1p", "expm1", "sqrt", "abs", "sin", "cos", "neg"),
    *("reciprocal", "hardsigmoid", "hardswish"),
)
PAIRS = ("mul", "div", "maximum", "minimum", "gt", "ge", "lt", "le")


@word(*MAPS)
def _map(says: Says, x: Tensor) -> int:
    return _mapped(says, x, says.func.overloadpacket.__name__.removesuffix("_"))


def _mapped(says: Says, x: Tensor, name: str, *given: float | None) -> int:
    return says.step("map", [says.place(x)], x.shape, name=name, given=list(given))


@word("leaky_relu")
def _leaky_relu(says: Says, x: Tensor, slope: float = 0.01) -> int:
    return _mapped(says, x, "leaky_relu", slope)


@word("elu")
def _elu(says: Says, x: Tensor, alpha: float = 1, scale: float = 1, inner: float = 1) -> int:
    return _mapped(says, x, "elu", alpha, scale, inner)


@word("gelu")
def _gelu(says: Says, x: Tensor, *, approximate: str = "none") -> int:
    return _mapped(says, x, "gelu" if approximate == "none" else "gelu_tanh")


@word("softplus")
def _softplus(says: Says, x: Tensor, beta: float = 1, threshold: float = 20) -> int:
    return _mapped(says, x, "softplus", beta, threshold)


@word("clamp", "hardtanh", "clamp_min")
def _clamp(says: Says, x: Tensor, min: float | None = None, max: float | None = None) -> int:
    is_hardtanh = says.func.overloadpacket.__name__.startswith("hardtanh")
    low, high = (-1.0 if min is None else min, 1.0 if max is None else max) if is_hardtanh else (min, max)
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        raise Unknown("has limits that are arrays")
    return _mapped(says, x, "clamp", low, high)


@word("pow")
def _power(says: Says, x: Tensor, exponent: Any) -> int:
    if isinstance(x, Tensor) and isinstance(exponent, (int, float)):
        return _mapped(says, x, "power", exponent)
    raise Unknown("has an exponent that is an array")


@word("rsqrt")
def _rsqrt(says: Says, x: Tensor) -> int:
    return _mapped(says, x, "power", -0.5)


@word(*PAIRS)
def _pair(says: Says, a: Any, b: Any) -> int:
    return says.pair(says.func.overloadpacket.__name__.removesuffix("_"), a, b)


@word("add", "sub", "rsub")
def _sum(says: Says, a: Any, b: Any, alpha: float = 1) -> int:
    if alpha != 1:
        raise Unknown("has a factor")
    name = says.func.overloadpacket.__name__.removesuffix("_")
    return says.pair("sub", b, a) if name == "rsub" else says.pair(name, a, b)


@word("where")
def _where(says: Says, test: Tensor, a: Any, b: Any) -> int:
    found = [place_and_shape(says, one, None) for one in (test, a, b)]
    shape = says.made.shape
    over = [broadcast(one, shape) for _, one in found]
    return says.step("where", [place for place, _ in found], shape, over=over)
