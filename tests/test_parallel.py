import hashlib
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from vae_runner.datasets.reading import parallel
from vae_runner.datasets.reading.imaging import UnreadableImage
from vae_runner.errors import UserError

SHAPE = (3, 4, 4)


def value(position: int) -> np.ndarray:
    """Pixels that tell the position; those ending in 7 cannot be read."""
    if position % 10 == 7:
        raise UnreadableImage(f"cannot read {position}")
    return np.full(SHAPE, position % 256, dtype=np.uint8)


def test_the_rows_follow_the_paths_whichever_thread_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "cores", lambda: 8)
    seen = set()

    def decode(position: int) -> np.ndarray:
        seen.add(threading.get_ident())
        time.sleep(0.0005 * (position % 3))
        return value(10 * position)

    rows, bad = parallel.decode_all(450, decode, SHAPE)
    assert (rows.shape, rows.dtype, bad) == ((450, *SHAPE), torch.uint8, {})
    assert rows[:, 0, 0, 0].tolist() == [10 * number % 256 for number in range(450)]
    assert len(seen) > 1


def test_unreadable_files_leave_no_gap() -> None:  # S3
    rows, bad = parallel.decode_all(100, value, SHAPE)
    assert list(bad) == list(range(7, 100, 10))
    assert str(bad[17]) == "cannot read 17"
    expected = [number for number in range(100) if number % 10 != 7]
    np.testing.assert_array_equal(rows, np.array(expected, np.uint8)[:, None, None, None] + np.zeros(SHAPE, np.uint8))


def test_any_other_error_ends_it_at_once() -> None:
    tried = []

    def work(position: int) -> None:
        tried.append(position)
        time.sleep(0.001)
        raise UserError("the loader is wrong")

    with pytest.raises(UserError, match="the loader is wrong"):
        parallel.attempt_all(work, 100_000)
    assert len(tried) < 1000


@pytest.mark.slow
def test_ctrl_c_does_not_wait_for_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bar(parallel.tqdm):
        def update(self, n: float | None = 1) -> bool | None:
            raise KeyboardInterrupt

    tried = []
    monkeypatch.setattr(parallel, "tqdm", Bar)
    with pytest.raises(KeyboardInterrupt):
        parallel.attempt_all(lambda position: tried.append(time.sleep(0.0005)), 10_000)
    assert len(tried) < 1000


def test_what_would_not_fit_is_refused_before_a_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "memory_bytes", lambda: 24_000_000_000)
    with pytest.raises(UserError) as caught:
        parallel.decode_all(202_599, value, (3, 256, 256))
    assert str(caught.value) == (
        "202,599 images 3x256x256 take 39.8 GB of memory, more than half of the 24.0 GB there is; "
        "dataset.image_size=140 would fit"
    )
    with pytest.raises(UserError, match=r"there is; dataset.image_size=\[114,172\] would fit"):
        parallel.decode_all(202_599, value, (3, 256, 384))
    assert 202_599 * 3 * 114 * 172 <= 12_000_000_000 < 202_599 * 3 * 115 * 173
    assert 202_599 * 3 * 140**2 <= 12_000_000_000 < 202_599 * 3 * 141**2


def test_the_memory_is_the_machine_s_or_the_container_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(parallel, "_CGROUP_LIMIT", limit)
    whole = parallel.memory_bytes()
    assert whole > 2**28
    limit.write_text("max\n")
    assert parallel.memory_bytes() == whole
    limit.write_text("1048576\n")
    assert parallel.memory_bytes() == 1048576


def test_the_hash_is_that_of_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_BLOCK", 10)
    rows = torch.randint(256, (33, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert parallel.sha256(rows) == hashlib.sha256(rows.numpy().tobytes()).hexdigest()
