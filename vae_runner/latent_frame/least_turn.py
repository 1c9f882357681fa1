"""The rotation that leads to the independent components of codes, in the order and with the signs that move least.

With s the deviations of k codes mu and W the unmixing of mu / s, Q' = (W W^T)^(-1/2) W is the rotation nearest to it.
Components have neither order nor sign: of all P D Q', P a permutation, D signs, Q is the one nearest to the identity,

    |P D Q' - I|^2 = 2 k - 2 tr(P D Q'),    so P maximises sum_i |Q'_p(i)i|, and the diagonal of Q is positive.

That is an assignment of rows to places, solved by augmenting paths (Kuhn 1955, "The Hungarian method for the assignment
problem"). Where an odd permutation is the nearest, Q is a rotation and a reflection; lengths and distances stay what
they are in any case.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vae_runner.latent_frame.fast_ica import Sources, nearest_orthogonal, unmixing

__all__ = ["assigned", "least_moving", "least_turn"]


def least_turn(codes: Tensor, iterations: int, sources: Sources = "any") -> Tensor:
    """Returns Q, (k, k) float64 orthogonal, of codes (N, k), a set of full rank."""
    return least_moving(nearest_orthogonal(unmixing(codes.double() / codes.double().std(0), iterations, sources)))


def least_moving(rotation: Tensor) -> Tensor:
    """Returns the rows of an orthogonal matrix (k, k), ordered and signed so that it is nearest to the identity."""
    ordered = rotation[torch.from_numpy(assigned(rotation.abs().numpy()))]
    return ordered * torch.where(ordered.diagonal() < 0, -1.0, 1.0)[:, None]


def assigned(worth: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns, of a matrix (k, k), the row for each column, (k,), each taken once, of which the sum is largest."""
    count = len(worth)
    of_row, of_column = np.zeros(count + 1), np.zeros(count + 1)  # what each has been raised by; place 0 is none
    taken, before = np.zeros(count + 1, int), np.zeros(count + 1, int)
    for row in range(1, count + 1):
        taken[0], column = row, 0
        least, seen = np.full(count + 1, np.inf), np.zeros(count + 1, bool)
        while taken[column] != 0:  # the path comes to a free column
            seen[column] = True
            slack = -worth[taken[column] - 1] - of_row[taken[column]] - of_column[1:]
            shorter = ~seen[1:] & (slack < least[1:])
            least[1:][shorter], before[1:][shorter] = slack[shorter], column
            column = int(np.argmin(np.where(seen, np.inf, least)))
            raised = least[column]
            of_row[taken[seen]] += raised
            of_column[seen] -= raised
            least[~seen] -= raised
        while column:
            taken[column], column = taken[before[column]], before[column]
    return taken[1:] - 1
