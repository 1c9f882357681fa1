import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from oracles import FORMULAS, all_cases, compare
from test_distributions import EXAMPLES, FAMILIES, TORCH, assert_finite, example, extremes, ours
from torch import Tensor, distributions
from torch.distributions import Distribution, kl_divergence

from vae_runner.distributions import (
    Gamma,
    SimpleDistribution,
    SimpleExponential,
    SimpleLaplace,
    SimpleNormal,
    SimpleUniform,
    SimpleWeibull,
    has_closed_form_kl,
    monte_carlo_kl,
)

WITHOUT = {("weibull", "laplace"), ("gamma", "laplace")}  # no closed form that has gradients
INFINITE = {
    *itertools.product(("normal", "laplace"), ("uniform", "exponential", "weibull", "gamma")),
    *itertools.product(("exponential", "weibull", "gamma"), ("uniform",)),
}
CLOSED = [pair for pair in itertools.product(FAMILIES, FAMILIES) if pair not in WITHOUT]
FINITE = [pair for pair in CLOSED if pair not in INFINITE]
FORMULA_NAMES = [f"kl_{p}_{q}" for p, q in CLOSED if f"kl_{p}_{q}" in FORMULAS]
# Of which intervals are inside each other, and inside of [0, inf).
INNER = ([0.5, 1.0, 0.0], [0.75, 3.0, 1.0])
OUTER = ([0.5, 0.5, -1.0], [1.0, 4.0, 1.5])


def made(family: str, side: str) -> Distribution:
    """Three distributions, with gradients; `side` is p or q."""
    values = {"p": INNER, "q": OUTER}[side] if family == "uniform" else EXAMPLES[family]
    if side == "q":  # other ones than p's
        values = [column if family == "uniform" else column[::-1] for column in values]
    return FAMILIES[family](*(torch.tensor(column, dtype=torch.float64, requires_grad=True) for column in values))


def parameters(distribution: Distribution) -> list[Tensor]:
    return [getattr(distribution, name) for name in distribution.parameter_names]


def torchs(distribution: Distribution, family: str) -> Distribution:
    return TORCH[family](*parameters(distribution))


# Against values computed elsewhere.


@all_cases(*FORMULA_NAMES)
def test_kl(name: str, case: dict, dtype: torch.dtype) -> None:
    p, q = name.removeprefix("kl_").split("_")
    size = len(EXAMPLES[p])

    def kl(*arguments: Tensor) -> Tensor:
        of_q = [arguments[-1].log()] if name == "kl_weibull_exponential" else arguments[size:]  # given the rate
        return kl_divergence(FAMILIES[p](*arguments[:size]), FAMILIES[q](*of_q))

    compare(kl, name, case, dtype)


def test_every_formula_of_these_families_is_tested() -> None:
    families = set(FAMILIES)
    assert set(FORMULA_NAMES) == {n for n in FORMULAS if n.startswith("kl_") and set(n.split("_")[1:]) <= families}
    assert len(FORMULA_NAMES) == 13


# Against torch.


@pytest.mark.parametrize(("p", "q"), CLOSED)
def test_kl_agrees_with_torch_and_takes_its_classes_on_either_side(p: str, q: str) -> None:
    left, right = made(p, "p"), made(q, "q")
    kl = kl_divergence(left, right)
    assert (kl >= 0).all()
    torch.testing.assert_close(kl_divergence(torchs(left, p), right), kl, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(kl_divergence(left, torchs(right, q)), kl, rtol=1e-9, atol=1e-9)
    # By torch's own function, except with a Weibull, and from the uniform and the exponential to the Laplace.
    torch.testing.assert_close(kl_divergence(torchs(left, p), torchs(right, q)), kl, rtol=1e-9, atol=1e-9)


def test_torch_keeps_its_own_functions() -> None:
    lacking = {("uniform", "laplace"), ("exponential", "laplace")}
    for p, q in CLOSED:
        function = distributions.kl._KL_REGISTRY[type(torchs(ours(p), p)), type(torchs(ours(q), q))]
        ours_is_taken = "weibull" in (p, q) or (p, q) in lacking
        home = "vae_runner.distributions.closed_kl.registered_kl" if ours_is_taken else "torch.distributions.kl"
        assert function.__module__ == home


# Against an integral: KL = int_0^1 [ln p(x) - ln q(x)] du with u = P(x), a closed form's second derivation.


def integral(p: Distribution, q: Distribution, kink: Tensor | None = None) -> Tensor:
    """The divergence by Gauss's rule in pieces that halve towards both ends and towards the kink of ln q."""
    cut = torch.full((3,), 0.5, dtype=torch.float64) if kink is None else p.cdf(kink).detach()
    cut = torch.where((cut > 0.001) & (cut < 0.999), cut, 0.5)
    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(20))
    edges = torch.cat([torch.zeros(1), 2.0 ** torch.arange(-34, 0)]).double()
    total = 0.0
    for low, high in itertools.pairwise([*edges, *(1 - edges[:-1]).flip(0)]):
        for start, width in ((0 * cut, cut), (cut, 1 - cut)):
            x = p.icdf(start + width * (low + (high - low) * (nodes[:, None] + 1) / 2))
            total = total + width * ((high - low) / 2 * weights[:, None] * (p.log_prob(x) - q.log_prob(x))).sum(0)
    return total


@pytest.mark.parametrize(
    ("p", "q"),
    [
        ("uniform", "weibull"),
        ("uniform", "laplace"),
        ("uniform", "gamma"),
        ("exponential", "laplace"),
        ("exponential", "weibull"),
        ("weibull", "normal"),
    ],
)
def test_kl_and_its_gradients_are_those_of_the_integral(p: str, q: str) -> None:
    left, right = made(p, "p"), made(q, "q")
    if q == "laplace":
        right = SimpleLaplace(*(torch.tensor(v).double().requires_grad_() for v in ([0.6, -2.0, 0.2], [0.3, 1.0, 6.0])))
    everything = [*parameters(left), *parameters(right)]
    closed, integrated = kl_divergence(left, right), integral(left, right, right.loc if q == "laplace" else None)
    torch.testing.assert_close(closed, integrated, rtol=1e-7, atol=1e-7)
    of_closed = torch.autograd.grad(closed.sum(), everything)
    of_integral = torch.autograd.grad(integrated.sum(), everything)
    for one, other in zip(of_closed, of_integral, strict=True):
        seen = ~((torch.tensor(INNER[0]) == 0) & (p == "uniform"))  # at 0 the slope to `low` is infinite
        torch.testing.assert_close(one[seen], other[seen], rtol=1e-6, atol=1e-6)
        assert one.isfinite().all()


# By sampling.


@pytest.mark.parametrize(("p", "q"), [*FINITE, *sorted(WITHOUT)])
def test_monte_carlo_kl_is_the_kl_within_its_error(p: str, q: str) -> None:
    # V7: for any pair
    torch.manual_seed(0)
    left, right, count = made(p, "p"), made(q, "q"), 4_000
    with torch.no_grad():
        draws = torch.stack([monte_carlo_kl(left, right, 100) for _ in range(count // 100)])
        expected = integral(left, right, right.loc) if (p, q) in WITHOUT else kl_divergence(left, right)
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - expected).abs() < 4 * error + 1e-12).all()


def test_monte_carlo_kl_has_gradients_within_their_error() -> None:
    torch.manual_seed(0)
    left, right = made("weibull", "p"), made("gamma", "q")
    everything = [*parameters(left), *parameters(right)]
    exact = torch.autograd.grad(kl_divergence(left, right).sum(), everything)
    repeats = [torch.autograd.grad(monte_carlo_kl(left, right, 200).sum(), everything) for _ in range(50)]
    for expected, *estimates in zip(exact, *repeats, strict=True):
        estimates = torch.stack(estimates)
        error = estimates.std(0) / math.sqrt(len(estimates))
        assert ((estimates.mean(0) - expected).abs() < 4 * error).all()


def test_monte_carlo_kl_takes_exactly_the_asked_number_of_samples() -> None:
    class Counting(SimpleNormal):
        def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
            asked.append(tuple(sample_shape))
            return super().rsample(sample_shape)

    asked: list[tuple[int, ...]] = []
    assert monte_carlo_kl(Counting(torch.zeros(4, 3), 0.0), SimpleNormal(torch.ones(3), 0.0), 7).shape == (4, 3)
    assert asked == [(7,)]
    with pytest.raises(ValueError, match="samples"):
        monte_carlo_kl(SimpleNormal(0.0, 0.0), SimpleNormal(0.0, 0.0), 0)


def test_monte_carlo_kl_is_inf_outside_of_the_support() -> None:
    for q in (SimpleExponential(0.0), distributions.Exponential(1.0, validate_args=False), SimpleUniform(0.0, 1.0)):
        torch.manual_seed(0)
        assert monte_carlo_kl(SimpleNormal(0.0, 0.0), q, 50).item() == math.inf


def test_monte_carlo_kl_takes_any_distribution() -> None:
    class Own(SimpleDistribution):
        def log_prob(self, value: Tensor) -> Tensor:
            return SimpleNormal(1.0, 0.0).log_prob(value)

    torch.manual_seed(0)
    p = SimpleNormal(torch.zeros(2000), 0.0)
    assert monte_carlo_kl(p, Own(), 100).mean().item() == pytest.approx(0.5, abs=4 / math.sqrt(200_000))
    vector = distributions.MultivariateNormal(torch.zeros(3), torch.eye(3))
    assert monte_carlo_kl(vector, vector, 5).item() == 0
    assert monte_carlo_kl(distributions.StudentT(5.0), distributions.Cauchy(0.0, 1.0), 5).shape == ()


# Which pairs have one.


@pytest.mark.parametrize(("p", "q"), list(itertools.product(FAMILIES, FAMILIES)))
def test_which_pairs_have_a_closed_form(p: str, q: str) -> None:
    assert has_closed_form_kl(ours(p), ours(q)) == ((p, q) not in WITHOUT)
    if (p, q) in WITHOUT:
        with pytest.raises(NotImplementedError):
            kl_divergence(ours(p), ours(q))


def test_closed_forms_of_torch_are_known_too() -> None:
    assert has_closed_form_kl(distributions.Beta(1.0, 1.0), distributions.Uniform(0.0, 1.0))
    assert has_closed_form_kl(Gamma(1.0, 1.0), distributions.Gumbel(0.0, 1.0))
    assert not has_closed_form_kl(distributions.StudentT(3.0), SimpleNormal(0.0, 0.0))


@pytest.mark.parametrize(("p", "q"), sorted(INFINITE))
def test_kl_is_infinite_where_the_support_is_not_covered(p: str, q: str) -> None:
    kl = kl_divergence(FAMILIES[p](*example(p)).expand([4, 3]), FAMILIES[q](*example(q)))
    assert kl.shape == (4, 3)
    assert kl.dtype == torch.float64
    assert kl.isinf().all()


@pytest.mark.parametrize("q", ["exponential", "weibull", "gamma"])
def test_kl_from_a_uniform_is_infinite_only_where_it_reaches_below_0(q: str) -> None:
    low = torch.tensor([-3.0, -1e-30, 0.0, 1.0], requires_grad=True)
    high = torch.tensor([-1.0, 1.0, 1.0, 2.0], requires_grad=True)
    right = [torch.tensor(2.0, requires_grad=True) for _ in EXAMPLES[q]]
    kl = kl_divergence(SimpleUniform(low, high), FAMILIES[q](*right))
    assert kl.isinf().tolist() == [True, True, False, False]
    gradients = torch.autograd.grad(kl.sum(), [low, high, *right])
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert gradients[0][:2].tolist() == gradients[1][:2].tolist() == [0, 0]


def test_uniform_kl_is_infinite_unless_inside() -> None:
    # V7
    low = torch.tensor([0.0, -0.1, 0.2, 3.0], requires_grad=True)
    high = torch.tensor([1.0, 0.5, 1.1, 4.0], requires_grad=True)
    kl = kl_divergence(SimpleUniform(low, high), SimpleUniform(0.0, 1.0))
    assert kl.tolist() == [0, math.inf, math.inf, math.inf]
    assert torch.autograd.grad(kl.sum(), low)[0].tolist() == [1, 0, 0, 0]
    inside = kl_divergence(SimpleUniform(torch.tensor([0.25, 0.2]), torch.tensor([0.75, 0.4])), SimpleUniform(0.0, 2.0))
    torch.testing.assert_close(inside, torch.tensor([4.0, 10.0]).log())


# Where the original went wrong.


@pytest.mark.parametrize("family", FAMILIES)
def test_kl_of_a_distribution_to_itself_is_exactly_0(family: str) -> None:
    # V4, V5, V6
    torch.manual_seed(0)
    first = extremes(family)
    second = [p.detach().clone().requires_grad_() for p in first]
    kl = kl_divergence(FAMILIES[family](*first), FAMILIES[family](*second))
    assert kl.abs().max() == 0
    if family != "uniform":  # whose own KL is at the border of inf
        for gradient in torch.autograd.grad(kl.sum(), [*first, *second]):
            assert gradient.abs().max() < 1e-4


def test_weibull_kl_is_per_dimension() -> None:
    # V4: the original returned the mean of everything
    p = SimpleWeibull(torch.full((4, 3), 0.7), torch.full((4, 3), 1.3))
    assert kl_divergence(p, SimpleWeibull(torch.ones(3), torch.full((3,), 2.0))).shape == (4, 3)


def test_weibull_kl_is_that_of_its_special_cases() -> None:
    # V4: k = 1 is the exponential of rate 1/l, and the original was off by its 0.5772
    scale, other = torch.tensor([0.3, 1.0, 40.0], dtype=torch.float64), torch.tensor([2.0, 1.0, 3.0]).double()
    expected = kl_divergence(SimpleExponential(-scale.log()), SimpleExponential(-other.log()))
    for p in (SimpleWeibull(scale, 1.0), SimpleExponential(-scale.log()), Gamma(1.0, 1 / scale)):
        for q in (SimpleWeibull(other, 1.0), SimpleExponential(-other.log()), Gamma(1.0, 1 / other)):
            torch.testing.assert_close(kl_divergence(p, q), expected, rtol=1e-12, atol=1e-12)


def test_weibull_kl_overflows_to_inf_with_gradients_free_of_nan() -> None:
    # V4: the original overflowed where its scales alone did; here (l1/l2)^k2 G(1 + k2/k1) beyond the largest number
    scale = torch.tensor([1e4, 1e-4, 1e4, 1.0], requires_grad=True)
    k = torch.tensor([20.0, 30.0, 0.1, 0.1], requires_grad=True)
    other = torch.tensor([1e4, 1.0, 1e-4, 3.0], requires_grad=True)
    k_other = torch.tensor([15.0, 30.0, 30.0, 30.0], requires_grad=True)
    kl = kl_divergence(SimpleWeibull(scale, k), SimpleWeibull(other, k_other))
    assert kl.isinf().tolist() == [False, False, True, True]
    assert all(g.isfinite().all() for g in torch.autograd.grad(kl.sum(), [scale, k, other, k_other]))


def test_normal_kl_is_finite_at_logvar_minus_120() -> None:
    # V5: the original divided e^-120 by e^-120 in float32
    lv1 = torch.tensor([-120.0, -120.0, 0.0], requires_grad=True)
    lv2 = torch.tensor([-120.0, 0.0, -60.0], requires_grad=True)
    mu = torch.tensor([1.0, 1.0, 0.0], requires_grad=True)
    kl = kl_divergence(SimpleNormal(mu, lv1), SimpleNormal(mu.detach(), lv2))
    expected = [0.0, 59.5, (math.exp(60) - 61) / 2]
    assert kl.tolist() == pytest.approx(expected)
    assert all(g.isfinite().all() for g in torch.autograd.grad(kl.sum(), [mu, lv1, lv2]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exponential_kl_at_rates_100_apart_is_no_nan(dtype: torch.dtype) -> None:
    # V6
    first = torch.tensor([100.0, 0.0, -100.0, -40.0, 100.0], dtype=dtype, requires_grad=True)
    second = torch.tensor([0.0, 100.0, 100.0, 40.0, 100.0], dtype=dtype, requires_grad=True)
    kl = kl_divergence(SimpleExponential(first), SimpleExponential(second))
    apart = (second - first).double().detach()
    expected = (apart.expm1() - apart).to(dtype)  # e^100 is beyond float32
    torch.testing.assert_close(kl, expected)
    assert kl.isinf().sum() == (2 if dtype == torch.float32 else 0)
    assert all(g.isfinite().all() for g in torch.autograd.grad(kl.sum(), [first, second]))


def test_uniform_to_normal_kl_is_least_where_the_moments_match() -> None:
    # V7
    width = math.sqrt(12)
    kl = kl_divergence(SimpleUniform(-width / 2, width / 2), SimpleNormal(0.0, 0.0))
    assert kl.item() == pytest.approx(math.log(2 * math.pi * math.e / 12) / 2, rel=1e-6)


@pytest.mark.parametrize("lograte", [-100.0, -80.0, -5.0, 5.0, 80.0, 100.0, 300.0])
@pytest.mark.parametrize("loc", [-2.0, 0.0, 1e-38, 0.5])
def test_exponential_to_laplace_kl_is_right_where_the_rate_overflows(lograte: float, loc: float) -> None:
    single = [torch.tensor(v, requires_grad=True) for v in (lograte, loc, 3.0)]
    rate, c = math.exp(lograte), max(loc, 0.0)
    distance = (1 + 2 * math.expm1(-rate * c)) / rate + c + (c - loc)  # in float64
    kl = kl_divergence(SimpleExponential(single[0]), SimpleLaplace(*single[1:]))
    gradients = torch.autograd.grad(kl, single)
    exact = math.log(2 * 3.0) + distance / 3.0 - 1 + lograte
    if lograte == -100:
        assert kl.item() == math.inf
        assert not any(gradient.isnan() for gradient in gradients)
        return
    by_lograte = 1 - (1 + 2 * math.expm1(-rate * c) + 2 * math.exp(-rate * c) * rate * c) / rate / 3.0
    by_scale = (1 - distance / 3.0) / 3.0
    assert kl.item() == pytest.approx(exact, rel=1e-5)
    assert gradients[2].item() == pytest.approx(by_scale, rel=1e-5)
    if lograte > -72:  # below, it is capped
        assert gradients[0].item() == pytest.approx(by_lograte, rel=1e-5)
    if loc:
        by_loc = (1 - 2 * math.exp(-rate * c) if loc > 0 else -1.0) / 3.0
        assert gradients[1].item() == pytest.approx(by_loc, rel=1e-5)


def test_exponential_to_a_narrow_laplace_far_off_has_the_right_slope() -> None:
    # d KL / d lr = 1 + (1 - 2 e^-rm - 2 rm e^-rm) / rb, where a difference of terms as large as m/b has no digits left
    lograte = torch.tensor(20.0, requires_grad=True)
    kl = kl_divergence(SimpleExponential(lograte), SimpleLaplace(1000.0, math.exp(-10)))
    assert torch.autograd.grad(kl, lograte)[0].item() == pytest.approx(1 + math.exp(-10), rel=1e-5)


def test_weibull_to_normal_kl_keeps_the_digits_of_large_shapes() -> None:
    # to 40 digits, by mpmath
    k = torch.tensor(4890.0126953125, requires_grad=True)
    kl = kl_divergence(SimpleWeibull(1.0, k), SimpleNormal(0.0, 0.0))
    assert kl.item() == pytest.approx(8.336673129639964600, rel=1e-6)
    assert torch.autograd.grad(kl, k)[0].item() == pytest.approx(2.044984127758806502e-4, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gradients_of_kl_are_right_in_half_precision(dtype: torch.dtype) -> None:
    # e^t overflows at t = 11 in float16
    for mu, logvar in ((0.5, 1.0), (-2.0, -3.0), (0.25, 4.0)):
        half = [torch.tensor(v, dtype=dtype, requires_grad=True) for v in (mu, logvar)]
        kl = kl_divergence(SimpleNormal(*half), SimpleNormal(torch.zeros((), dtype=dtype), 0.0))
        gradients = torch.autograd.grad(kl, half)
        for gradient, exact in zip(gradients, (mu, math.expm1(logvar) / 2), strict=True):
            assert gradient.item() == pytest.approx(exact, rel=4 * torch.finfo(dtype).eps)


# Over the whole range.


@pytest.mark.parametrize(("p", "q"), FINITE)
def test_float32_kl_is_that_of_float64_over_the_whole_range(p: str, q: str) -> None:
    torch.manual_seed(0)
    left, right = extremes(p, 100), extremes(q, 100)
    corners = torch.cartesian_prod(torch.arange(12), torch.arange(12))
    chosen = torch.cat([corners, torch.randint(12, min(len(left[0]), len(right[0])), (3000, 2))])
    first = [values.detach()[chosen[:, 0]].requires_grad_() for values in left]
    second = [values.detach()[chosen[:, 1]].requires_grad_() for values in right]
    kl = kl_divergence(FAMILIES[p](*first), FAMILIES[q](*second))
    exact = kl_divergence(FAMILIES[p](*(v.double() for v in first)), FAMILIES[q](*(v.double() for v in second)))
    assert (kl >= 0).all() or kl.min() > -1e-6
    torch.testing.assert_close(kl, exact.float(), rtol=1e-4, atol=1e-4)  # infinite only where it is
    assert_finite(torch.where(kl.isinf(), 0.0, kl), (*first, *second), "KL")
    for gradient in torch.autograd.grad(kl.sum(), [*first, *second]):
        assert not gradient.isnan().any()


@pytest.mark.slow
def test_kls_compile_as_one_graph() -> None:
    # One pair for each thing that a formula does; torch looks up those with gamma among several candidates.
    pairs = [(family, family) for family in FAMILIES]
    pairs += [("normal", "gamma"), ("normal", "laplace"), ("uniform", "laplace"), ("uniform", "gamma")]
    pairs += [("exponential", "laplace"), ("gamma", "weibull"), ("weibull", "gamma"), ("weibull", "normal")]
    pairs += [("uniform", "weibull")]

    def kls(values: dict[str, tuple[list[Tensor], list[Tensor]]]) -> Tensor:
        return torch.stack([kl_divergence(FAMILIES[p](*values[p][0]), FAMILIES[q](*values[q][1])) for p, q in pairs])

    values = {f: tuple([v.detach() for v in parameters(made(f, side))] for side in "pq") for f in FAMILIES}
    torch.testing.assert_close(torch.compile(kls, fullgraph=True, backend="eager")(values), kls(values))


@pytest.mark.slow
def test_the_import_looks_up_gammas_pairs_and_stays_cheap() -> None:
    # In a new interpreter: once somebody has asked for a KL, torch remembers, and any graph compiles.
    code = (
        "import sys, torch.distributions.kl as kl, vae_runner.distributions as d\n"
        "families = (d.SimpleNormal, d.SimpleUniform, d.SimpleExponential, d.SimpleWeibull, d.Gamma)\n"
        "for family in families:\n"
        "    assert (family, d.Gamma) in kl._KL_MEMOIZE and (d.Gamma, family) in kl._KL_MEMOIZE, family\n"
        "assert 'sympy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_monte_carlo_kl_compiles_as_one_graph() -> None:
    def kl(mu: Tensor, scale: Tensor) -> Tensor:
        return monte_carlo_kl(SimpleNormal(mu, 0.0), SimpleLaplace(0.0, scale), 3)

    arguments = (torch.zeros(2), torch.ones(2))
    torch.manual_seed(0)
    compiled = torch.compile(kl, fullgraph=True, backend="eager")(*arguments)
    torch.manual_seed(0)
    torch.testing.assert_close(compiled, kl(*arguments))
