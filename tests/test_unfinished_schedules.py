"""What is said of schedules that end later than the run."""

from collections.abc import Callable

import pytest

from vae_runner.engine import Engine
from vae_runner.experiment.notices.unfinished_schedules import spent_rate, unfinished_schedules

LONGER = "its schedule is longer than the run's 12 steps"


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (["divergence=beta"], []),
        (["divergence=beta_annealed", "divergence.beta.steps=12"], []),
        (["divergence=beta_annealed", "divergence.beta.steps=24"], [f"beta comes to 17 on its way to 4: {LONGER}"]),
        (["divergence=capacity"], [f"capacity comes to 0.003 on its way to 25: {LONGER}"]),
        (["divergence=beta", "lr_schedule=cosine"], []),
        (
            ["optimizer.lr=5e-4", "lr_schedule=linear", "lr_schedule.end=0", "lr_schedule.steps=48"],
            [f"lr comes to 0.000375 on its way to 0: {LONGER}"],
        ),
        (
            ["distribution=mixed", "divergence=per_space"],
            [f"space1/capacity comes to 0.003 on its way to 25: {LONGER}"],
        ),
    ],
)
def test_a_schedule_that_ends_later_than_the_run_is_told(
    experiment: Callable[..., Engine], overrides: list[str], lines: list[str]
) -> None:
    assert unfinished_schedules(experiment("engine.steps=12", *overrides)) == lines


def test_a_cyclic_schedule_has_no_end_to_be_missed(experiment: Callable[..., Engine]) -> None:
    cyclic = "divergence.beta={_target_: vae_runner.schedule.Cyclic, start: 0, end: 4, period: 50}"
    assert unfinished_schedules(experiment("engine.steps=12", "divergence=beta", cyclic)) == []


def test_a_run_that_goes_on_behind_the_end_of_its_rate_is_told_so(experiment: Callable[..., Engine]) -> None:
    longer = experiment("engine.steps=20", "lr_schedule=cosine", "lr_schedule.steps=12")
    assert spent_rate(longer) is None
    longer.step = 12
    assert spent_rate(longer).startswith("the learning rate is 0 at all 8 steps to come, since its schedule is over")
    longer.step = 20
    assert spent_rate(longer) is None  # it is done
    kept = experiment("engine.steps=20", "lr_schedule=cosine", "lr_schedule.steps=12", "lr_schedule.end=0.1")
    kept.step = 12
    assert spent_rate(kept) is None
