"""The language of explore.html, read with NumPy: straight from what its words mean, by loops over the kernel's places
and not by the products that the page's script makes.
"""

import base64
import math
from typing import Any

import numpy as np

Array = np.ndarray


def decode(program: dict[str, Any], code: Array) -> Array:
    """Returns the numbers (C, H, W) that the program makes of a code (D,)."""
    data = base64.b64decode(program["weights"])
    constants = [
        np.frombuffer(data, f"<{one['kind']}", one["size"], one["start"]).astype(np.float64)
        for one in program["constants"]
    ]
    registers: list[Array] = [np.zeros(size) for size in program["sizes"]]
    registers[0] = np.asarray(code, np.float64)
    for step in program["steps"]:
        inputs = [
            None if place is None else constants[-1 - place] if place < 0 else registers[place] for place in step["in"]
        ]
        made = WORDS[step["op"]](step, *inputs)
        assert made.size == program["sizes"][step["out"]] == math.prod(step["shape"])
        registers[step["out"]] = made.ravel()
    return registers[program["result"]].reshape(program["shape"])


def matmul(step: dict[str, Any], a: Array, b: Array) -> Array:
    batch, m, k, n = (step[name] for name in ("batch", "m", "k", "n"))
    left = a.reshape(-1, m, k) if step["over"][0] else a.reshape(1, m, k)
    right = b.reshape(-1, k, n) if step["over"][1] else b.reshape(1, k, n)
    return np.broadcast_to(left @ right, (batch, m, n))


def conv(step: dict[str, Any], x: Array, weight: Array, bias: Array | None) -> Array:
    shape, (kh, kw), groups = step["shape"], step["kernel"], step["groups"]
    x, weight = x.reshape(step["x"]), weight.reshape(shape[1], -1, kh, kw)
    made, (rows, columns) = np.zeros(shape), shape[2:]
    (top, left), (down, right), (tall, wide) = step["padding"], step["stride"], step["dilation"]
    padded = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)))
    inner, outer = x.shape[1] // groups, shape[1] // groups
    for o in range(shape[1]):
        seen = padded[:, o // outer * inner : (o // outer + 1) * inner]
        for i in range(kh):
            for j in range(kw):
                part = seen[:, :, i * tall :: down, j * wide :: right][:, :, :rows, :columns]
                made[:, o] += np.einsum("nchw,c->nhw", part, weight[o, :, i, j])
    return made if bias is None else made + bias[:, None, None]


def deconv(step: dict[str, Any], x: Array, weight: Array, bias: Array | None) -> Array:
    shape, (kh, kw), groups = step["shape"], step["kernel"], step["groups"]
    x, outer = x.reshape(step["x"]), shape[1] // groups
    inner = x.shape[1] // groups
    weight = weight.reshape(groups, outer, kh, kw, inner)
    (top, left), (down, right), (tall, wide) = step["padding"], step["stride"], step["dilation"]
    whole = np.zeros((shape[0], shape[1], shape[2] + 2 * top, shape[3] + 2 * left))
    for o in range(shape[1]):
        group = o // outer
        seen = x[:, group * inner : (group + 1) * inner]
        for row in range(x.shape[2]):
            for column in range(x.shape[3]):
                for i in range(kh):
                    for j in range(kw):
                        at = row * down + i * tall, column * right + j * wide
                        if at[0] < whole.shape[2] and at[1] < whole.shape[3]:
                            whole[:, o, *at] += seen[:, :, row, column] @ weight[group, o % outer, i, j]
    made = whole[:, :, top : top + shape[2], left : left + shape[3]]
    return made if bias is None else made + bias[:, None, None]


def norm(step: dict[str, Any], x: Array, weight: Array, bias: Array) -> Array:
    runs = x.reshape(-1, step["size"])
    centred = runs - runs.mean(1, keepdims=True)
    scaled = (centred / np.sqrt(runs.var(1, keepdims=True) + step["eps"])).ravel()
    which = np.arange(x.size) // step["inner"] % weight.size
    return scaled * weight[which] + bias[which]


def view(x: Array, shape: list[int], strides: list[int], offset: int = 0) -> Array:
    places = np.full(shape, offset)
    for axis, (length, stride) in enumerate(zip(shape, strides, strict=True)):
        places += (np.arange(length) * stride).reshape([-1 if other == axis else 1 for other in range(len(shape))])
    return x[places]


def cat(step: dict[str, Any], *parts: Array) -> Array:
    return np.concatenate([part.reshape(-1, length) for part, length in zip(parts, step["lengths"], strict=True)], 1)


def pad(step: dict[str, Any], x: Array) -> Array:
    made = np.full(math.prod(step["shape"]), float(step["value"]))
    made[view(np.arange(made.size), step["x"], step["over"], step["offset"]).ravel()] = x
    return made


def pair(step: dict[str, Any], a: Array, b: Array) -> Array:
    x, y = (view(one, step["shape"], over) for one, over in zip((a, b), step["over"], strict=True))
    name = {"sub": "subtract", "mul": "multiply", "div": "divide"}.get(step["name"], step["name"])
    name = {"gt": "greater", "ge": "greater_equal", "lt": "less", "le": "less_equal"}.get(name, name)
    return getattr(np, name)(x, y).astype(float)


def where(step: dict[str, Any], *parts: Array) -> Array:
    test, a, b = (view(one, step["shape"], over) for one, over in zip(parts, step["over"], strict=True))
    return np.where(test != 0, a, b)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softplus(x: Array, beta: float = 1, threshold: float = 20) -> Array:
    return np.where(beta * x > threshold, x, np.log1p(np.exp(np.minimum(beta * x, threshold))) / beta)


MAPS = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "elu": lambda x, alpha, scale, inner: scale * np.where(x > 0, x, alpha * np.expm1(inner * np.minimum(x, 0))),
    "gelu": lambda x: x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "gelu_tanh": lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x * sigmoid(x),
    "mish": lambda x: x * np.tanh(softplus(x)),
    "softplus": softplus,
    "clamp": lambda x, low, high: np.clip(x, -np.inf if low is None else low, np.inf if high is None else high),
    "hardsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hardswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "power": lambda x, by: x**by,
    "reciprocal": lambda x: 1 / x,
    "neg": lambda x: -x,
    "sigmoid": sigmoid,
    **{name: getattr(np, name) for name in ("tanh", "exp", "log", "log1p", "expm1", "sqrt", "abs", "sin", "cos")},
}

WORDS: dict[str, Any] = {
    **{"matmul": matmul, "conv": conv, "deconv": deconv, "norm": norm, "cat": cat, "pad": pad, "pair": pair},
    "where": where,
    "map": lambda step, x: MAPS[step["name"]](x, *step["given"]),
    "strided": lambda step, x: view(x, step["shape"], step["strides"], step["offset"]),
}
