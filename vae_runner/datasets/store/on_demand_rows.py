"""Images decoded from their files whenever a batch asks for them, the next batches ahead of time.

Pillow lets go of the interpreter while it decodes and resizes, so threads suffice. What a training announces with
`expect` is decoded in the background; the pixels are those that the prepared store would have.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vae_runner.datasets.reading.parallel import cores
from vae_runner.datasets.store.pixel_rows import HostRows
from vae_runner.errors import RunError, UserError

__all__ = ["OnDemandRows"]


class OnDemandRows(HostRows):
    """Rows made by `decode(position)`, (C, H, W) uint8, for each position in range(`count`).

    `workers` threads decode (None: as many as there are cores); `identity` stands for the content, which is not known.

    Example:
        >>> import torch
        >>> decode = lambda position: np.full((1, 2, 2), position, np.uint8)
        >>> rows = OnDemandRows(3, (1, 2, 2), decode, identity="levels", workers=1)
        >>> rows.gather(torch.tensor([2, 0]))[:, 0, 0, 0]
        tensor([2, 0], dtype=torch.uint8)
    """

    def __init__(
        self,
        count: int,
        shape: tuple[int, int, int],
        decode: Callable[[int], NDArray[np.uint8]],
        identity: str,
        workers: int | None = None,
    ) -> None:
        super().__init__(count, shape)
        self._decode, self._identity = decode, identity
        self._coming: dict[int, Future[NDArray[np.uint8]]] = {}
        Image.init()  # by two threads at once, Pillow may take a file for no image before all its formats are known
        self._pool = ThreadPoolExecutor(workers or cores(), thread_name_prefix="decode")

    def read(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        self._announce(positions)
        coming = {position: self._coming.pop(position) for position in dict.fromkeys(positions.tolist())}
        rows = np.empty((len(positions), *self.shape), dtype=np.uint8)  # laid out as a store's, for the same figures
        try:
            for row, position in enumerate(positions.tolist()):
                rows[row] = coming[position].result()
        except UserError as error:
            raise RunError(f"{error}; vae-data check finds all such files") from error
        return rows

    def expect(self, positions: Tensor) -> None:
        self._announce(positions.cpu().numpy())

    def fingerprint(self) -> str:
        return self._identity

    def _announce(self, positions: NDArray[np.int64]) -> None:
        for position in positions.tolist():
            if position not in self._coming:
                self._coming[position] = self._pool.submit(self._decode, position)
