import math

import pytest
import torch

from vae_runner.schedule import Constant, Cosine, Cyclic, Linear, Schedule, as_schedule


def at(schedule: Schedule, *steps: int) -> list[float]:
    return schedule(torch.tensor(steps)).tolist()


def test_linear_follows_the_straight_line_and_stays_at_its_ends() -> None:
    # Burgess et al. 2018: 0 to 25 nats over 100,000 steps. The seed library reached 4000 after one step.
    burgess = Linear(0.0, 25.0, 100_000)
    assert at(burgess, 0, 1, 1000, 50_000, 100_000, 10**7) == pytest.approx([0, 0.00025, 0.25, 12.5, 25, 25], rel=1e-6)


def test_linear_falls_as_well_as_rises() -> None:
    assert at(Linear(10, 0, 10), 0, 1, 5, 10, 11) == pytest.approx([10, 9, 5, 0, 0])
    assert at(Linear(0, 10, 10), 0, 1, 5, 10, 11) == pytest.approx([0, 1, 5, 10, 10])


def test_delay_keeps_the_start() -> None:
    assert at(Linear(1, 3, 4, delay=10), 0, 10, 12, 14) == pytest.approx([1, 1, 2, 3])
    assert at(Cosine(1, 3, 4, delay=10), 0, 10, 12, 14) == pytest.approx([1, 1, 2, 3])


def test_cosine_is_half_a_cosine() -> None:
    quarter = (1 + math.cos(math.pi / 4)) / 2
    assert at(Cosine(1, 0, 8), 0, 2, 4, 8, 9) == pytest.approx([1, quarter, 0.5, 0, 0], abs=1e-7)


def test_cyclic_starts_again() -> None:
    assert at(Cyclic(0, 1, period=8, rising=0.5), 0, 2, 4, 7, 8, 10) == pytest.approx([0, 0.5, 1, 1, 0, 0.5])


def test_a_number_is_a_constant_schedule() -> None:
    assert at(as_schedule(4), 0, 10**6) == [4, 4]
    assert as_schedule(linear := Linear(0, 1, 2)) is linear
    assert as_schedule(4) == Constant(4.0)


def test_schedules_refuse_no_steps() -> None:
    with pytest.raises(ValueError, match="steps must be positive, got 0"):
        Linear(0, 1, 0)


def test_schedules_do_not_make_a_compiled_function_compile_again() -> None:
    linear = Linear(0.0, 25.0, 100)
    compiled = torch.compile(linear, backend="eager", fullgraph=True)
    torch._dynamo.utils.counters.clear()
    values = [compiled(torch.tensor(step)).item() for step in range(20)]
    assert values == pytest.approx([step / 4 for step in range(20)])
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
