"""Independent components by the fixed point of Hyvarinen 1999 ("Fast and robust fixed-point algorithms for independent
component analysis", IEEE Transactions on Neural Networks 10, 3), symmetric.

Of samples x of k mixed sources, y = W x has unit covariance and components as independent as can be: W = B C^(-1/2), C
the covariance of x and B orthogonal. With v = C^(-1/2) x, all rows b of B are found together,

    b' = E[v g(b v)] - E[g'(b v)] b,    B = (B' B'^T)^(-1/2) B',    g = tanh, the derivative of G = log cosh

G, since it is less moved by outliers than a fourth moment. What is sought is the largest sum_i |E G(y_i) - E G(n)|, n
standard normal. The codes of a young net are hardly independent, and there the step above goes round in circles, or to
a small maximum near its start. So half a step is made: with w = E[b v g(b v)] - E[g'(b v)], the length of b' along b,
its row becomes sign(w) b' + |w| b. And of several starts, the identity and rotations that are always the same, the best
end is taken, each after a fixed number of steps.

Factors that are spread evenly are flatter than normal numbers (sub-Gaussian): E G(y_i) > E G(n). The codes of a young
net have sparse directions besides, in which few images differ, and a search for components of any shape takes these in
spite of the factors. So of `sub_gaussian` sources the largest sum_i E G(y_i) is sought: there, a sparse direction is a
loss. G is convex, and so it never becomes less by (Regalia & Kofidis 2003, "Monotonic convergence of fixed-point
algorithms for ICA", IEEE Transactions on Neural Networks 14, 4)

    B' = E[g(B v) v^T],    B = (B' B'^T)^(-1/2) B'
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Sources", "nearest_orthogonal", "unmixing"]

Sources = Literal["any", "sub_gaussian"]
STARTS = 8
GAUSSIAN = 0.374567207488  # E log cosh of a standard normal number


def unmixing(x: Tensor, iterations: int, sources: Sources = "any") -> Tensor:
    """Returns W, (k, k) float64, of samples (N, k), a set of full rank; its rows in no order, and of either sign."""
    x = x.double() - x.double().mean(0)
    variances, axes = torch.linalg.eigh(x.T @ x / len(x))
    whitening = axes * variances.rsqrt() @ axes.T
    white = x @ whitening
    improved = _improved if sources == "any" else _flattened
    ends = [improved(white, start, iterations) for start in _starts(x.shape[1])]
    contrasts = [_contrast(white @ rotation.T, sources) for rotation in ends]
    return ends[contrasts.index(max(contrasts))] @ whitening  # of equal ones, the first


def nearest_orthogonal(matrix: Tensor) -> Tensor:
    """Returns the matrix (k, n), k <= n, with orthonormal rows that is nearest, (M M^T)^(-1/2) M."""
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    return left @ right


def _starts(dims: int) -> list[Tensor]:
    draws = torch.Generator().manual_seed(0)
    others = [torch.randn(dims, dims, dtype=torch.float64, generator=draws) for _ in range(STARTS - 1)]
    return [torch.eye(dims, dtype=torch.float64), *map(nearest_orthogonal, others)]


def _improved(white: Tensor, rotation: Tensor, steps: int) -> Tensor:
    """The rotation (k, k) of white samples (N, k) after so many half steps."""
    for _ in range(steps):
        y = white @ rotation.T
        bent = torch.tanh(y)
        slope = (1 - bent.square()).mean(0)
        along = (y * bent).mean(0) - slope
        whole = bent.T @ white / len(white) - slope[:, None] * rotation
        rotation = nearest_orthogonal(along.sign()[:, None] * whole + along.abs()[:, None] * rotation)
    return rotation


def _flattened(white: Tensor, rotation: Tensor, steps: int) -> Tensor:
    """The rotation (k, k) of white samples (N, k) after so many steps towards components that are flat."""
    for _ in range(steps):
        rotation = nearest_orthogonal(torch.tanh(white @ rotation.T).T @ white / len(white))
    return rotation


def _contrast(y: Tensor, sources: Sources) -> float:
    """sum_i |E log cosh y_i - GAUSSIAN| of (N, k), and without the bars of `sub_gaussian` sources; log cosh y = |y| +
    log((1 + e^-2|y|) / 2).
    """
    log_cosh = y.abs() + functional.softplus(-2 * y.abs()) - torch.log(torch.tensor(2.0, dtype=y.dtype))
    differences = log_cosh.mean(0) - GAUSSIAN
    return float((differences.abs() if sources == "any" else differences).sum())
