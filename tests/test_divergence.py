from collections.abc import Callable

import pytest
import torch
from oracles import cases, compare
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from vae_runner.distributions import SimpleNormal
from vae_runner.divergence import (
    ClosedFormKL,
    DivergenceBase,
    SimpleNormalSimpleNormalKL,
    SimpleNormalUnitNormalKL,
    beta_kl,
    capacity_kl,
    plain_kl,
)
from vae_runner.schedule import Linear
from vae_runner.state import LOSS, METRICS, SCHEDULED, State, state_key

P, Q, OUT = state_key("p"), state_key("q"), state_key("out")


def given(**more: object) -> State:
    torch.manual_seed(0)
    return {
        P: SimpleNormal(torch.randn(8, 3), torch.randn(8, 3)),
        Q: SimpleNormal(torch.zeros(3), torch.zeros(3)),
        LOSS: torch.zeros(()),
        METRICS: {},
        SCHEDULED: {},
    }


def reference(state: State) -> Tensor:
    """KL (8, 3) by torch's own distributions."""
    p = Normal(state[P].mu, state[P].logvar.exp().sqrt())
    return kl_divergence(p, Normal(torch.zeros(3), torch.ones(3)))


@cases("kl_normal_std")
def test_unit_normal_kl(case: dict, dtype: torch.dtype) -> None:
    divergence = SimpleNormalUnitNormalKL(P)
    compare(lambda mu, logvar: divergence.compute(SimpleNormal(mu, logvar)), "kl_normal_std", case, dtype)


@cases("kl_normal_normal")
def test_normal_normal_kl(case: dict, dtype: torch.dtype) -> None:
    divergence = SimpleNormalSimpleNormalKL(P, Q)

    def kl(mu1: Tensor, lv1: Tensor, mu2: Tensor, lv2: Tensor) -> Tensor:
        return divergence.compute(SimpleNormal(mu1, lv1), SimpleNormal(mu2, lv2))

    compare(kl, "kl_normal_normal", case, dtype)


@pytest.mark.parametrize("make", [ClosedFormKL, SimpleNormalSimpleNormalKL, plain_kl])
def test_loss_is_the_batch_mean_of_the_sum_over_dimensions(make: Callable[..., DivergenceBase]) -> None:
    state = given()
    torch.testing.assert_close(make(P, Q).loss(state), reference(state).sum(1).mean())


def test_reductions() -> None:
    state = given()
    kl = reference(state)
    divergence = plain_kl(P, Q)
    torch.testing.assert_close(divergence.with_sum_sum_reduction().loss(state), kl.sum())
    torch.testing.assert_close(divergence.with_reduction(torch.max).loss(state), kl.max())
    torch.testing.assert_close(divergence.with_sum_mean_reduction().loss(state), kl.sum(1).mean())


def test_default_reduction_sums_all_but_the_batch() -> None:
    # V3: the original summed dimension 1 only
    state = {P: SimpleNormal(torch.ones(4, 2, 3, 3), 0.0), Q: SimpleNormal(0.0, 0.0)}
    assert plain_kl(P, Q).loss(state).item() == pytest.approx(0.5 * 18)


def test_what_compute_returns_is_stored_under_the_state_key() -> None:
    state = given()
    divergence = ClosedFormKL(P, Q, state_key=OUT)
    divergence.loss(state)
    torch.testing.assert_close(state[OUT], reference(state))


def test_the_order_of_beta_and_capacity_does_not_matter() -> None:
    # V2: beta gamma |KL - C|
    state = given()
    kl = reference(state).sum(1).mean()
    expected = 2 * 10 * (kl - 3).abs()
    first = plain_kl(P, Q).with_beta(2).with_capacity(3, gamma=10)
    second = plain_kl(P, Q).with_capacity(3, gamma=10).with_beta(2)
    torch.testing.assert_close(first.loss(state), expected)
    torch.testing.assert_close(second.loss(state), expected)


def test_post_functions_come_last_in_their_order() -> None:
    state = given()
    kl = reference(state).sum(1).mean()
    divergence = plain_kl(P, Q).with_post_function(lambda x: x + 1).with_post_function(lambda x: x * 3).with_beta(2)
    torch.testing.assert_close(divergence.loss(state), (2 * kl + 1) * 3)


@pytest.mark.parametrize(("low", "high"), [(10, 0), (0, 10)])
def test_linear_capacity_moves_with_training_steps_only(low: float, high: float) -> None:
    divergence = plain_kl(P, Q).with_linear_capacity(min_c=low, max_c=high, steps=10, gamma=1)
    seen = []
    for _ in range(13):
        seen.append(divergence.scheduled()["capacity"].item())
        divergence.on_criterion_validation(given())
        divergence.on_step_training(given())
    expected = [low + (high - low) * min(step / 10, 1) for step in range(13)]
    assert seen == pytest.approx(expected)


def test_the_documented_capacity_is_that_of_burgess_2018() -> None:
    divergence = plain_kl(P, Q).with_linear_capacity()
    divergence.step.fill_(50_000)
    state = given()
    torch.testing.assert_close(divergence.loss(state), 1000 * (reference(state).sum(1).mean() - 12.5).abs())


def test_schedules_survive_saving() -> None:
    saved = capacity_kl(P, Q, Linear(0, 25, 100))
    for _ in range(40):
        saved.on_step_training(given())
    loaded = capacity_kl(P, Q, Linear(0, 25, 100))
    loaded.load_state_dict(saved.state_dict())
    assert loaded.scheduled()["capacity"].item() == pytest.approx(10.0)


def test_beta_may_be_a_schedule() -> None:
    divergence = beta_kl(P, Q, Linear(0, 4, 4))
    divergence.step.fill_(3)
    state = given()
    torch.testing.assert_close(divergence.loss(state), 3 * reference(state).sum(1).mean())


def test_parts_are_reported_apart() -> None:
    state = given()
    divergence = capacity_kl(P, Q, 3.0, gamma=10.0)
    divergence.on_criterion(state)
    kl = reference(state)
    torch.testing.assert_close(state[METRICS]["kl"], kl.sum(1).mean())
    torch.testing.assert_close(state[METRICS]["kl_dims"], kl.mean(0))
    torch.testing.assert_close(state[METRICS]["divergence"], 10 * (kl.sum(1).mean() - 3).abs())
    torch.testing.assert_close(state[LOSS], state[METRICS]["divergence"])
    assert state[SCHEDULED]["capacity"].item() == 3
    assert state[SCHEDULED]["beta"].item() == 10


def test_a_new_divergence_overrides_compute() -> None:
    class Squares(DivergenceBase):
        def compute(self, value: SimpleNormal) -> Tensor:
            return value.mu.square()

    state = given()
    divergence = Squares({"value": P}).with_beta(2)
    torch.testing.assert_close(divergence.loss(state), 2 * state[P].mu.square().sum(1).mean())
    with pytest.raises(NotImplementedError):
        DivergenceBase({}).loss(state)


def test_divergences_compile_as_one_graph_and_only_once() -> None:
    divergence = capacity_kl(P, Q, Linear(0.0, 25.0, 100), gamma=10.0)

    def loss(mu: Tensor, logvar: Tensor) -> Tensor:
        return divergence.loss({P: SimpleNormal(mu, logvar), Q: SimpleNormal(torch.zeros(3), torch.zeros(3))})

    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    torch._dynamo.utils.counters.clear()
    mu, logvar = torch.randn(2, 8, 3).unbind()
    for _ in range(20):
        torch.testing.assert_close(compiled(mu, logvar), loss(mu, logvar))
        divergence.on_step_training({})
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
