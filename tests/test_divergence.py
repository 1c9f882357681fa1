import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from oracles import cases, compare
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from vae_runner.distributions import SimpleExponential, SimpleLaplace, SimpleNormal, SimpleUniform, SimpleWeibull
from vae_runner.divergence import (
    ClosedFormKL,
    DivergenceBase,
    MonteCarloKL,
    SimpleExponentialSimpleExponentialKL,
    SimpleNormalSimpleNormalKL,
    SimpleNormalUnitNormalKL,
    SimpleUniformSimpleNormalKL,
    SimpleUniformSimpleUniformKL,
    SimpleWeibullSimpleWeibullKL,
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


def similar(**parameters: Tensor | float) -> SimpleNamespace:
    """Anything that has the parameters: the documented divergences ask for no more."""
    return SimpleNamespace(**parameters)


@cases("kl_exponential_exponential")
def test_exponential_exponential_kl(case: dict, dtype: torch.dtype) -> None:
    def kl(lr1: Tensor, lr2: Tensor) -> Tensor:
        return SimpleExponentialSimpleExponentialKL(P, Q).compute(similar(lograte=lr1), similar(lograte=lr2))

    compare(kl, "kl_exponential_exponential", case, dtype)


@cases("kl_weibull_weibull")
def test_weibull_weibull_kl(case: dict, dtype: torch.dtype) -> None:
    def kl(l1: Tensor, k1: Tensor, l2: Tensor, k2: Tensor) -> Tensor:
        return SimpleWeibullSimpleWeibullKL(P, Q).compute(similar(l=l1, k=k1), similar(l=l2, k=k2))

    compare(kl, "kl_weibull_weibull", case, dtype)


@cases("kl_uniform_normal")
def test_uniform_normal_kl(case: dict, dtype: torch.dtype) -> None:
    def kl(low: Tensor, high: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return SimpleUniformSimpleNormalKL(P, Q).compute(similar(low=low, high=high), similar(mu=mu, logvar=logvar))

    compare(kl, "kl_uniform_normal", case, dtype)


def test_uniform_uniform_kl_is_the_part_taken_or_infinite() -> None:
    # V7
    inner = similar(low=torch.tensor([0.0, 0.0, -1.0]), high=torch.tensor([1.0, 2.0, 3.0]))
    outer = similar(low=torch.tensor([-1.0, 0.5, -1.0]), high=torch.tensor([3.0, 3.0, 3.0]))
    kl = SimpleUniformSimpleUniformKL(P, Q).compute(inner, outer)
    assert kl.tolist() == pytest.approx([math.log(4), math.inf, 0])


@pytest.mark.parametrize(
    ("make", "p", "q"),
    [
        (SimpleExponentialSimpleExponentialKL, SimpleExponential, (0.3,)),
        (SimpleWeibullSimpleWeibullKL, SimpleWeibull, (0.7, 1.4)),
        (SimpleNormalSimpleNormalKL, SimpleNormal, (0.3, -0.5)),
    ],
)
def test_documented_kls_keep_batch_and_dimensions(
    make: Callable[..., DivergenceBase], p: Callable[..., torch.distributions.Distribution], q: tuple[float, ...]
) -> None:
    # V4: the original's Weibull KL was a mean over everything; V8: (B, D) is kept
    torch.manual_seed(0)
    first = p(*(torch.rand(8, 3) + 0.5 for _ in q))
    state = {P: first, Q: p(*q), LOSS: torch.zeros(()), METRICS: {}}
    make(P, Q, state_key=OUT).on_criterion(state)
    assert state[OUT].shape == (8, 3)
    torch.testing.assert_close(state[OUT], kl_divergence(first, p(*q)))


def test_the_monte_carlo_kl_agrees_with_an_integral_of_a_pair_without_closed_form() -> None:
    p, q = SimpleLaplace(torch.full((1, 1), 0.5), 0.8), torch.distributions.Gumbel(0.0, 1.0)
    x = torch.linspace(-30, 30, 600_001, dtype=torch.float64)
    density = -(x - 0.5).abs() / 0.8 - math.log(1.6)
    exact = torch.trapezoid(density.exp() * (density - (-x - (-x).exp())), x)  # Gumbel: log q = -x - e^-x
    torch.manual_seed(0)
    z = p.rsample((200_000,))
    error = 4 * (p.log_prob(z) - q.log_prob(z)).std() / math.sqrt(200_000)
    estimate = MonteCarloKL(P, Q, samples=200_000).compute(p, q)
    assert estimate.shape == (1, 1)
    assert abs(estimate.item() - exact.item()) < error


def test_more_samples_make_the_estimate_sharper() -> None:
    torch.manual_seed(0)
    p, q = SimpleNormal(torch.ones(4000, 1), 0.0), SimpleNormal(0.0, 0.0)
    spread = {k: MonteCarloKL(P, Q, samples=k).compute(p, q).std().item() for k in (1, 16)}
    assert spread[1] / spread[16] == pytest.approx(4, rel=0.1)  # the square root of 16
    with pytest.raises(ValueError, match="samples must be positive"):
        MonteCarloKL(P, Q, samples=0)


def test_the_estimate_has_the_gradient_of_the_kl() -> None:
    torch.manual_seed(0)
    mu = torch.tensor(0.7, requires_grad=True)
    p, q = SimpleNormal(mu.expand(1, 200), 0.0), SimpleNormal(0.0, 0.0)
    MonteCarloKL(P, Q, samples=1000).compute(p, q).mean().backward()
    assert mu.grad.item() == pytest.approx(0.7, abs=4 * math.sqrt(1 / 200_000))  # d/dmu mu^2 / 2; each sample adds eps


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


@pytest.mark.parametrize("shape", [(), (4,)])
def test_what_has_no_dimension_besides_the_batch_is_averaged(shape: tuple[int, ...]) -> None:
    class Own(DivergenceBase):
        def compute(self) -> Tensor:
            return torch.arange(1.0, 1 + math.prod(shape)).reshape(shape)

    metrics: dict[str, Tensor] = {}
    assert Own({}).loss({METRICS: metrics}).item() == (2.5 if shape else 1)
    assert metrics["divergence"].item() == (2.5 if shape else 1)


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


def test_capacity_is_weighted_by_1000_unless_told() -> None:
    # Burgess et al. 2018, appendix A
    state = given()
    kl = reference(state).sum(1).mean()
    torch.testing.assert_close(plain_kl(P, Q).with_capacity(3).loss(state), 1000 * (kl - 3).abs())
    torch.testing.assert_close(capacity_kl(P, Q, 3.0).loss(state), 1000 * (kl - 3).abs())


def test_terms_add_up_in_the_loss() -> None:
    state = given()
    state[LOSS] = torch.tensor(5.0)
    plain_kl(P, Q).on_criterion(state)
    plain_kl(P, Q).with_beta(2).on_criterion_validation(state)
    torch.testing.assert_close(state[LOSS], 5 + 3 * reference(state).sum(1).mean())


def test_post_functions_come_last_in_their_order() -> None:
    state = given()
    kl = reference(state).sum(1).mean()
    divergence = plain_kl(P, Q).with_post_function(lambda x: x + 1).with_post_function(lambda x: x * 3).with_beta(2)
    torch.testing.assert_close(divergence.loss(state), (2 * kl + 1) * 3)


@pytest.mark.parametrize(("low", "high"), [(10, 0), (0, 10)])
def test_linear_capacity_moves_with_training_steps_only(low: float, high: float) -> None:
    # V1: the original's increment was inverted, and it moved in validation too
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
    assert state[METRICS].keys() == {"divergence"}  # what is measured is no term's affair
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


def test_a_missing_closed_form_is_an_error_not_an_estimate() -> None:
    with pytest.raises(NotImplementedError):
        ClosedFormKL(P, Q).compute(SimpleLaplace(0.0, 1.0), torch.distributions.Gumbel(0.0, 1.0))


@pytest.mark.parametrize("make", [plain_kl, beta_kl, lambda *keys, **more: capacity_kl(*keys, capacity=0.0, **more)])
def test_named_divergences_take_samples_and_reduction(make: Callable[..., DivergenceBase]) -> None:
    estimated = make(P, Q, samples=3)
    assert isinstance(estimated, MonteCarloKL)
    assert estimated.samples == 3
    state = given()
    torch.testing.assert_close(make(P, Q, reduction="sum_sum").loss(state), 8 * make(P, Q).loss(state))


PAIRS = {
    "normal": lambda raw: (SimpleNormal(raw, raw), SimpleNormal(0.0, 0.0)),
    "exponential": lambda raw: (SimpleExponential(raw), SimpleExponential(0.0)),
    "weibull": lambda raw: (SimpleWeibull(raw.exp(), raw.exp()), SimpleWeibull(1.0, 1.0)),
    "uniform": lambda raw: (SimpleUniform(raw, raw + 1), SimpleNormal(0.0, 0.0)),
}


@pytest.mark.parametrize("make", [plain_kl, lambda *keys: plain_kl(*keys, samples=2)], ids=["closed", "estimated"])
@pytest.mark.parametrize("pair", PAIRS)
def test_every_divergence_compiles_as_one_graph(pair: str, make: Callable[..., DivergenceBase]) -> None:
    divergence = make(P, Q).with_beta(Linear(0.0, 4.0, 10)).with_linear_capacity(0, 2, 10, gamma=3)

    def loss(raw: Tensor) -> Tensor:
        first, second = PAIRS[pair](raw)
        return divergence.loss({P: first, Q: second})

    raw = torch.randn(8, 3)
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    values = []
    for function in (loss, compiled):
        torch.manual_seed(1)
        values.append(function(raw))
    torch.testing.assert_close(*values)


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
