import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from vae_runner.schedule import (
    Chain,
    Constant,
    Cosine,
    Cyclic,
    Exponential,
    Linear,
    Schedule,
    Sigmoid,
    Steps,
    as_schedule,
)


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


@pytest.mark.parametrize(
    ("shape", "alike"), [("linear", Linear(1, 3, 50)), ("cosine", Cosine(1, 3, 50)), ("sigmoid", Sigmoid(1, 3, 50))]
)
def test_each_cycle_rises_as_the_schedule_of_its_shape(shape: str, alike: Schedule) -> None:
    cyclic = Cyclic(1, 3, period=100, rising=0.5, shape=shape)
    steps = torch.arange(100)
    torch.testing.assert_close(cyclic(steps), alike(steps))
    torch.testing.assert_close(cyclic(steps + 700), alike(steps))


def test_a_cycle_s_delay_comes_once() -> None:
    assert at(Cyclic(1, 2, period=4, delay=10), 0, 9, 10, 11, 12, 13, 14) == pytest.approx([1, 1, 1, 1.5, 2, 2, 1])


def test_sigmoid_is_the_logistic_function_of_fu_2019_stretched_to_its_ends() -> None:
    s = torch.linspace(0, 1, 101)
    logistic = 1 / (1 + torch.exp(-(12 * s - 6)))  # as in their code, which starts at 0.0025 and ends at 0.9975
    stretched = (logistic - logistic[0]) / (logistic[-1] - logistic[0])
    torch.testing.assert_close(Sigmoid(0, 1, 100)(torch.arange(101)), stretched, atol=1e-6, rtol=1e-6)
    assert at(Sigmoid(2, 6, 100, steepness=3), 0, 50, 100, 900) == pytest.approx([2, 4, 6, 6])


def test_exponential_has_the_same_factor_at_each_step() -> None:
    assert at(Exponential(1, 16, 4, delay=2), 0, 2, 3, 4, 5, 6, 9) == pytest.approx([1, 1, 2, 4, 8, 16, 16])
    assert at(Exponential(16, 1, 4), 0, 1, 4) == pytest.approx([16, 8, 1])


def test_steps_keep_each_value_until_the_next() -> None:
    assert at(Steps([1, 5, 2], [10, 20, 40]), 0, 10, 19, 20, 39, 40, 99) == [1, 1, 1, 5, 5, 2, 2]
    assert at(Steps([3], [7]), 0, 7, 8) == [3, 3, 3]


def test_steps_may_be_joined_by_straight_lines() -> None:
    values, steps = [1.0, 5.0, 2.0], [10, 20, 40]
    seen = at(Steps(values, steps, between="linear"), *range(60))
    assert seen == pytest.approx(np.interp(range(60), steps, values).tolist())


def test_a_chain_goes_on_with_the_steps_of_its_next_part() -> None:
    chain = Chain(Linear(0, 4, 4), Chain(Cyclic(1, 2, period=4), 7.0, at=8), at=6)
    assert at(chain, 0, 2, 5, 6, 7, 8, 10, 13, 14, 99) == pytest.approx([0, 2, 4, 1, 1.5, 2, 1, 2, 7, 7])


EVERY = [
    *(
        Linear(0, 4, 10),
        Cosine(0, 4, 10),
        Sigmoid(0, 4, 10),
        Exponential(0.1, 4, 10),
        Cyclic(0, 4, 10, shape="sigmoid"),
    ),
    *(Steps([0, 4], [3, 9]), Steps([0, 4], [3, 9], "linear"), Chain(Linear(0, 4, 4), 1.0, 6), Constant(2)),
]


@pytest.mark.parametrize("schedule", EVERY, ids=lambda schedule: type(schedule).__name__)
def test_every_schedule_stays_between_its_extremes_and_compiles_once(schedule: Schedule) -> None:
    steps = torch.arange(30)
    values = schedule(steps)
    assert values.shape == (30,)
    assert values.dtype == torch.float32
    low, high = min(schedule.extremes()), max(schedule.extremes())
    assert low - 1e-6 <= values.min().item() <= low + 0.11 * (high - low)  # it comes near to both
    assert high - 0.11 * (high - low) <= values.max().item() <= high + 1e-6
    compiled = torch.compile(schedule, backend="eager", fullgraph=True)
    torch._dynamo.reset()  # what other tests compiled counts towards the limit
    torch._dynamo.utils.counters.clear()
    one_by_one = torch.stack([compiled(torch.tensor(step)) for step in range(30)])
    torch.testing.assert_close(one_by_one, values)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: Exponential(0, 1, 5), "Exponential: start must be positive, got 0"),
        (lambda: Cyclic(0, 1, 0), "Cyclic: period must be positive, got 0"),
        (lambda: Cyclic(0, 1, 5, rising=1.5), r"Cyclic: rising must lie in \[0, 1\], got 1.5"),
        (lambda: Linear(0, 1, 5, delay=-1), "Linear: delay must not be negative, got -1"),
        (lambda: Linear(math.inf, 1, 5), "Linear: start must be finite, got inf"),
        (lambda: Steps([1, 2], [5]), "Steps: one value for each step, got 2 values and 1 steps"),
        (lambda: Steps([], []), "Steps: one value for each step, got 0 values and 0 steps"),
        (lambda: Steps([1, 2], [5, 5]), r"Steps: steps must rise, got \[5, 5\]"),
        (lambda: Chain(0.0, 1.0, -1), "Chain: at must not be negative, got -1"),
    ],
)
def test_what_is_out_of_range_is_refused(make: Callable[[], Schedule], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        make()


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
    torch._dynamo.reset()  # what other tests compiled counts towards the limit
    torch._dynamo.utils.counters.clear()
    values = [compiled(torch.tensor(step)).item() for step in range(20)]
    assert values == pytest.approx([step / 4 for step in range(20)])
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
