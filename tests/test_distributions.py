import itertools
import math
from collections.abc import Callable

import pytest
import torch
from oracles import all_cases, cases, compare
from torch import Tensor, distributions
from torch.distributions import Distribution, constraints, kl_divergence

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
from vae_runner.distributions.gamma_quantile import gamma_quantile, gamma_quantile_slope
from vae_runner.distributions.special import (
    EULER_GAMMA,
    deviance,
    excess,
    lgamma_gap,
    log_ratio,
    log_rising,
    log_sum_exp,
    stirling,
    stirling_slope,
    vanishing_exp,
)

FAMILIES = {
    "normal": SimpleNormal,
    "uniform": SimpleUniform,
    "exponential": SimpleExponential,
    "weibull": SimpleWeibull,
    "laplace": SimpleLaplace,
    "gamma": Gamma,
}
# In the order of the constructors' parameters, three distributions of each family, and torch's of the same.
EXAMPLES = {
    "normal": ([0.3, -2.0, 10.0], [-1.0, 0.0, 3.0]),
    "uniform": ([0.0, -2.0, 10.0], [1.0, 5.0, 10.5]),
    "exponential": ([-2.0, 0.0, 1.5],),
    "weibull": ([0.4, 1.0, 7.0], [0.7, 1.0, 3.5]),
    "laplace": ([0.3, -2.0, 10.0], [0.1, 1.0, 6.0]),
    "gamma": ([0.4, 2.0, 30.0], [0.5, 1.0, 7.0]),
}
TORCH = {
    "normal": lambda mu, logvar: distributions.Normal(mu, (logvar / 2).exp()),
    "uniform": distributions.Uniform,
    "exponential": lambda lograte: distributions.Exponential(lograte.exp()),
    "weibull": distributions.Weibull,
    "laplace": distributions.Laplace,
    "gamma": distributions.Gamma,
}
# Where samples, densities and divergences must be finite in float32: (low, high) of a parameter, or of its logarithm.
RANGES = {
    "normal": ((-1e3, 1e3), (-20, 20)),
    "exponential": ((-20, 20),),
    "weibull": ((-10, 10, "log"), (math.log(0.1), math.log(30), "log")),
    "laplace": ((-1e3, 1e3), (-10, 10, "log")),
    "gamma": ((math.log(0.05), math.log(1e3), "log"), (-10, 10, "log")),
}
each_family = pytest.mark.parametrize("family", FAMILIES)


def example(family: str) -> tuple[Tensor, ...]:
    return tuple(torch.tensor(values, dtype=torch.float64, requires_grad=True) for values in EXAMPLES[family])


def ours(family: str) -> Distribution:
    return FAMILIES[family](*example(family))


def extremes(family: str, count: int = 200) -> tuple[Tensor, ...]:
    """The corners, edges and middle of the family's range, and random points within; float32, with gradients."""
    if family == "uniform":
        low = torch.cat([torch.tensor([0, 0, 0, 1e-3, 5, -1, -1e3, 1e-10]), 10 * torch.randn(count)])
        width = torch.cat([torch.tensor([1, 1e-6, 1e6, 1e-3, 1, 2, 2e3, 1]), (3 * torch.randn(count)).exp()])
        return low.requires_grad_(), (low.detach() + width).requires_grad_()
    ranges = RANGES[family]
    corners = itertools.product(*[(low, (low + high) / 2, high) for low, high, *_ in ranges])
    corners = torch.tensor(list(corners), dtype=torch.float32)
    lows, highs = torch.tensor([r[0] for r in ranges]), torch.tensor([r[1] for r in ranges])
    points = torch.cat([corners, lows + (highs - lows) * torch.rand(count, len(ranges))])
    columns = zip(points.unbind(1), ranges, strict=True)
    return tuple((column.exp() if "log" in r else column).detach().requires_grad_() for column, r in columns)


def assert_finite(value: Tensor, parameters: tuple[Tensor, ...], what: str) -> None:
    assert value.isfinite().all(), what
    for index, gradient in enumerate(
        torch.autograd.grad(value.sum(), parameters, allow_unused=True, retain_graph=True)
    ):
        assert gradient is None or gradient.isfinite().all(), f"{what}, gradient to parameter {index}"


# Against values computed elsewhere.


@all_cases(*(f"logprob_{family}" for family in FAMILIES))
def test_log_prob(name: str, case: dict, dtype: torch.dtype) -> None:
    family = FAMILIES[name.removeprefix("logprob_")]
    compare(lambda *arguments: family(*arguments[:-1]).log_prob(arguments[-1]), name, case, dtype)


@all_cases(*(f"entropy_{family}" for family in ("uniform", "exponential", "weibull", "gamma")))
def test_entropy(name: str, case: dict, dtype: torch.dtype) -> None:
    compare(lambda *arguments: FAMILIES[name.removeprefix("entropy_")](*arguments).entropy(), name, case, dtype)


@all_cases("entropy_normal", "entropy_laplace")
def test_entropy_does_not_depend_on_the_place(name: str, case: dict, dtype: torch.dtype) -> None:
    compare(lambda spread: FAMILIES[name.removeprefix("entropy_")](0.0, spread).entropy(), name, case, dtype)


@all_cases(*(f"icdf_{family}" for family in ("normal", "uniform", "exponential", "weibull", "laplace")))
def test_icdf(name: str, case: dict, dtype: torch.dtype) -> None:
    family = FAMILIES[name.removeprefix("icdf_")]
    compare(lambda *arguments: family(*arguments[:-1]).icdf(arguments[-1]), name, case, dtype)


@cases("gamma_implicit_grad")
def test_gamma_sample_gradient(case: dict, dtype: torch.dtype) -> None:
    # gradient of a sample of Gamma(a, 1) to a; torch's own is known to four digits here
    a, x = (torch.tensor(case["params"][key], dtype=dtype) for key in ("conc", "x"))
    rtol = 1e-9 if dtype == torch.float64 else 1e-4
    torch.testing.assert_close(gamma_quantile_slope(a, x).item(), case["value"], rtol=rtol, atol=0)


# Against torch.


@each_family
def test_statistics_agree_with_torch(family: str) -> None:
    # D2: the original's were None
    mine, theirs = ours(family), TORCH[family](*example(family))
    for name in ("mean", "variance", "stddev"):
        torch.testing.assert_close(getattr(mine, name), getattr(theirs, name), rtol=1e-9, atol=0)
    torch.testing.assert_close(mine.entropy(), theirs.entropy(), rtol=1e-9, atol=1e-12)
    for u in (0.01, 0.3, 0.45, 0.5, 0.8, 0.999):
        x = mine.icdf(u).detach()
        torch.testing.assert_close(mine.log_prob(x), theirs.log_prob(x), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(mine.cdf(x), theirs.cdf(x), rtol=1e-9, atol=0)
        if family != "gamma":
            torch.testing.assert_close(theirs.icdf(torch.tensor(u, dtype=torch.float64)), x, rtol=1e-9, atol=0)


@pytest.mark.parametrize("family", ["normal", "exponential", "laplace", "gamma"])
def test_modes_agree_with_torch(family: str) -> None:
    torch.testing.assert_close(ours(family).mode, TORCH[family](*example(family)).mode)


def test_weibull_mode() -> None:
    # 0 up to k = 1, and there is no NaN in its gradient; then where the density has no slope
    l, k = torch.tensor([2.0, 2.0, 3.0], requires_grad=True), torch.tensor([0.5, 1.0, 2.5], requires_grad=True)  # noqa: E741
    mode = SimpleWeibull(l, k).mode
    assert mode[:2].tolist() == [0, 0]
    assert_finite(mode, (l, k), "mode")
    x = mode[2].detach().requires_grad_()
    (slope,) = torch.autograd.grad(SimpleWeibull(3.0, 2.5).log_prob(x), x)
    assert slope.item() == pytest.approx(0, abs=1e-6)


def test_weibull_variance_survives_large_shapes() -> None:
    weibull = SimpleWeibull(2.0, torch.tensor([30.0]))  # the moments themselves agree to 3 digits there
    exact = SimpleWeibull(2.0, torch.tensor([30.0], dtype=torch.float64))
    torch.testing.assert_close(weibull.variance.double(), exact.variance, rtol=1e-4, atol=0)
    torch.testing.assert_close(exact.variance, distributions.Weibull(2.0, exact.k).variance, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("k", "variance", "slope"),  # of l = 2, to 40 digits, by mpmath
    [
        (21.0, 0.01327893544007797529, -0.001195853926010625206),
        (25.0, 0.009535990698073234350, -0.0007272481430495540619),
        (300.0, 7.247643130144737800e-5, -4.810893786130365050e-7),
        (4890.0, 2.750163443255986906e-7, -1.124510533502553590e-10),
        (1e6, 6.579719055130864800e-12, -1.315942089804656180e-17),
    ],
)
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 3e-6), (torch.float64, 1e-12)])
def test_weibull_variance_and_its_slope_keep_their_digits_for_large_shapes(
    k: float, variance: float, slope: float, dtype: torch.dtype, rtol: float
) -> None:
    # v of the module is a difference of nearly equal numbers: float32 had no digits from k = 1000 on
    shape = torch.tensor(k, dtype=dtype, requires_grad=True)
    weibull = SimpleWeibull(2.0, shape)
    assert weibull.variance.item() == pytest.approx(variance, rel=rtol, abs=0)
    assert weibull.stddev.item() == pytest.approx(math.sqrt(variance), rel=rtol, abs=0)
    assert torch.autograd.grad(weibull.variance, shape)[0].item() == pytest.approx(slope, rel=2 * rtol, abs=0)


# Quantiles.


@each_family
def test_icdf_inverts_cdf(family: str) -> None:
    distribution = ours(family)
    u = torch.tensor([1e-6, 1e-3, 0.2, 0.45, 0.5, 0.7, 0.999, 1 - 1e-6], dtype=torch.float64)[:, None]
    x = distribution.icdf(u)
    torch.testing.assert_close(distribution.cdf(x), u.expand_as(x), rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(distribution.icdf(distribution.cdf(x)), x, rtol=1e-9, atol=1e-9)


@each_family
def test_the_slope_of_the_cdf_is_the_density(family: str) -> None:
    distribution = ours(family)
    for u in (1e-3, 0.2, 0.5, 0.7, 0.999):
        x = distribution.icdf(u).detach().requires_grad_()
        (slope,) = torch.autograd.grad(distribution.cdf(x).sum(), x)
        torch.testing.assert_close(slope, distribution.log_prob(x).exp(), rtol=1e-9, atol=0)


@each_family
def test_gradients_of_cdf_and_icdf_are_consistent(family: str) -> None:
    # x = icdf(u; theta), cdf(x; theta) = u:  dF/dtheta = -p(x) dx/dtheta, dx/du = 1/p(x)
    parameters = example(family)
    u = torch.tensor([0.02, 0.5, 0.97], dtype=torch.float64, requires_grad=True)
    distribution = FAMILIES[family](*parameters)
    x = distribution.icdf(u)
    *of_x, of_u = torch.autograd.grad(x.sum(), (*parameters, u))
    of_cdf = torch.autograd.grad(distribution.cdf(x.detach()).sum(), parameters)
    density = distribution.log_prob(x.detach()).exp().detach()
    torch.testing.assert_close(of_u, 1 / density, rtol=1e-9, atol=0)
    for one, other in zip(of_cdf, of_x, strict=True):
        torch.testing.assert_close(one, -density * other, rtol=1e-9, atol=1e-12)


@each_family
def test_quantiles_at_the_ends_are_the_ends_of_the_support(family: str) -> None:
    parameters = example(family)
    distribution = FAMILIES[family](*parameters)
    lowest, highest = distribution.icdf(0.0), distribution.icdf(1.0)
    bounded = family not in ("normal", "laplace")
    start = parameters[0] if family == "uniform" else torch.zeros(3, dtype=torch.float64) if bounded else -math.inf
    end = parameters[1] if family == "uniform" else torch.full((3,), math.inf, dtype=torch.float64)
    torch.testing.assert_close(lowest, start if bounded else torch.full_like(end, start))
    torch.testing.assert_close(highest, end)
    if bounded:
        for gradient in torch.autograd.grad(lowest.sum(), parameters, allow_unused=True):
            assert gradient is None or gradient.isfinite().all()


@pytest.mark.parametrize("family", ["exponential", "weibull", "uniform", "gamma"])
def test_cdf_is_0_below_the_support(family: str) -> None:
    parameters = example(family)
    below = FAMILIES[family](*parameters).cdf(torch.tensor(-5.0, dtype=torch.float64))
    assert below.tolist() == [0, 0, 0]
    assert_finite(below, parameters, "cdf")


def test_laplace_cdf_keeps_its_digits_in_both_tails() -> None:
    laplace = SimpleLaplace(0.0, 1.0)
    far = torch.tensor([-80.0, -30.0, 10.0])
    torch.testing.assert_close(laplace.cdf(far[:2]), far[:2].exp() / 2, rtol=1e-6, atol=0)
    torch.testing.assert_close(1 - laplace.cdf(far[2]), torch.tensor(math.exp(-10) / 2), rtol=0, atol=6e-8)


def test_gamma_quantiles_hold_from_the_smallest_to_the_largest_parameters() -> None:
    a = torch.tensor([1e-2, 0.05, 0.9, 1, 9.9, 30, 1e3, 1e5], dtype=torch.float64)[:, None]
    u = [1e-300, 1e-100, 1e-12, 1e-3, 0.3, 0.5, 0.5 + 1e-9, 0.99, 1 - 1e-6, 1 - 1e-12, 1 - 2**-53]
    u = torch.tensor(u, dtype=torch.float64)
    x = gamma_quantile(a, u)
    below, above = torch.special.gammainc(a, x), torch.special.gammaincc(a, x)
    seen = (u <= 0.5) & ~(x <= 1e-300)  # smaller ones are rounded to the smallest number
    torch.testing.assert_close(torch.where(seen, below, u), u.expand_as(x), rtol=1e-9, atol=0)
    torch.testing.assert_close(torch.where(u > 0.5, above, 1 - u), (1 - u).expand_as(x), rtol=1e-9, atol=0)


def test_gamma_samples_cost_no_slopes_where_nobody_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(a: Tensor, x: Tensor) -> Tensor:
        raise AssertionError

    monkeypatch.setattr("vae_runner.distributions.gamma.gamma_quantile_slope", refuse)
    ours("gamma").sample()
    Gamma(torch.ones(3), torch.ones(3, requires_grad=True)).rsample().sum().backward()


def test_gamma_quantile_slopes_are_those_of_the_quantiles() -> None:
    a = torch.tensor([1e-3, 1e-2, 0.05, 0.9, 1, 9.9, 30, 1e3], dtype=torch.float64)[:, None]
    u = torch.tensor([1e-3, 0.3, 0.6, 0.99, 1 - 1e-6], dtype=torch.float64)
    step = 1e-4 * a
    points = [gamma_quantile(a + n * step, u) for n in (-2, -1, 1, 2)]
    difference = (points[0] - 8 * points[1] + 8 * points[2] - points[3]) / (12 * step)
    slope = gamma_quantile_slope(a, gamma_quantile(a, u))
    seen = difference > 1e-100
    torch.testing.assert_close(slope[seen], difference[seen], rtol=2e-7, atol=0)


# Samples.


@each_family
def test_samples_have_their_moments(family: str) -> None:
    torch.manual_seed(0)
    distribution, count = ours(family), 50_000
    sample = distribution.sample((count,))
    fourth = (sample - distribution.mean).pow(4).mean(0)
    assert (sample.mean(0) - distribution.mean).abs().lt(4 * distribution.stddev / math.sqrt(count)).all()
    error = ((fourth - distribution.variance.square()) / count).sqrt()
    assert (sample.var(0) - distribution.variance).abs().lt(4 * error).all()


@each_family
def test_samples_follow_the_cdf(family: str) -> None:
    torch.manual_seed(0)
    distribution, count = ours(family), 20_000
    u = distribution.cdf(distribution.sample((count,))).sort(0).values
    expected = (torch.arange(count, dtype=torch.float64)[:, None] + 0.5) / count
    assert (u - expected).abs().max() < 1.95 / math.sqrt(count)  # Kolmogorov's distance, 1 in 1,000


@each_family
def test_samples_move_with_the_parameters_as_their_quantiles_do(family: str) -> None:
    torch.manual_seed(0)
    parameters = example(family)
    distribution = FAMILIES[family](*parameters)
    sample = distribution.rsample()
    of_sample = torch.autograd.grad(sample.sum(), parameters)
    of_quantile = torch.autograd.grad(distribution.icdf(distribution.cdf(sample).detach()).sum(), parameters)
    for one, other in zip(of_sample, of_quantile, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def test_samples_carry_gradients_to_the_parameters() -> None:
    mu, logvar = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    sample = SimpleNormal(mu, logvar).rsample()
    sample.sum().backward()
    assert mu.grad.tolist() == [1, 1, 1]
    torch.testing.assert_close(logvar.grad, sample.detach() / 2)  # d(e^(lv/2) eps)/d lv at lv = 0


@each_family
def test_samples_densities_and_entropies_are_finite_over_the_whole_range(family: str) -> None:
    torch.manual_seed(0)
    parameters = extremes(family)
    distribution = FAMILIES[family](*parameters)
    assert_finite(distribution.entropy(), parameters, "entropy")
    for _ in range(10):
        sample = distribution.rsample()
        assert_finite(sample, parameters, "sample")
        assert_finite(distribution.log_prob(sample), parameters, "log_prob of a sample")
        assert_finite(distribution.log_prob(sample.detach()), parameters, "log_prob of a fixed sample")
        assert distribution.support.check(sample).all()


@each_family
def test_float32_densities_and_entropies_are_those_of_float64(family: str) -> None:
    torch.manual_seed(0)
    single = FAMILIES[family](*extremes(family))
    double = FAMILIES[family](*(getattr(single, name).double() for name in single.parameter_names))
    torch.testing.assert_close(single.entropy().double(), double.entropy(), rtol=1e-5, atol=1e-5)
    for u in (0.01, 0.5, 0.9):
        x = single.icdf(u).detach()
        if family in ("normal", "laplace"):  # else the rounding of x itself is what is seen
            x = single.loc + single.scale if family == "laplace" else single.mu + 0 * x
        seen = (double.cdf(x.double()) > 1e-4) & (double.cdf(x.double()) < 1 - 1e-4) & (x > -1e30)
        expected = double.log_prob(x.double())[seen]
        torch.testing.assert_close(single.log_prob(x).double()[seen], expected, rtol=1e-4, atol=1e-4)


# Where the original went wrong.


@each_family
def test_distributions_construct_and_print(family: str) -> None:
    # D1: the original's constraints were None, and every constructor raised
    distribution = ours(family)
    assert type(distribution).__name__ in repr(distribution)
    for name in distribution.parameter_names:
        assert f"{name}: torch.Size([3])" in repr(distribution)
    parameters = [torch.tensor([1.0]), torch.tensor([2.0])][: len(distribution.parameter_names)]
    numbers = [1.0, 2.0][: len(parameters)]
    FAMILIES[family](*parameters, validate_args=True).log_prob(torch.tensor([1.5]))
    assert FAMILIES[family](*numbers).batch_shape == ()
    for index, name in enumerate(distribution.parameter_names):
        wrong = list(parameters)
        wrong[index] = torch.tensor([math.nan])
        with pytest.raises(ValueError, match=name):
            FAMILIES[family](*wrong, validate_args=True)
        if family != "uniform":
            FAMILIES[family](*wrong)


@each_family
def test_parameters_broadcast_with_each_other(family: str) -> None:
    names = FAMILIES[family].parameter_names
    values = [torch.full((4, 1), 1.0), torch.full((3,), 2.0)][: len(names)]
    shape = (4, 3) if len(names) == 2 else (4, 1)
    distribution = FAMILIES[family](*values)
    assert all(getattr(distribution, name).shape == shape for name in names)
    assert distribution.rsample((5,)).shape == (5, *shape)
    if len(names) == 2:
        assert FAMILIES[family](1.0, torch.full((3,), 2.0)).batch_shape == (3,)


@each_family
def test_integers_are_the_numbers_that_they_are(family: str) -> None:
    # broadcast with a tensor of integers, torch cuts 0.5 off to 0
    make, two = FAMILIES[family], len(EXAMPLES[family]) == 2
    whole, rest = torch.tensor([1, 2]), [2.5] if two else []
    mixed, floating = make(whole, *rest), make(whole.float(), *rest)
    for name in mixed.parameter_names:
        torch.testing.assert_close(getattr(mixed, name), getattr(floating, name), rtol=0, atol=0)
    at = torch.tensor(2)
    for method in ("log_prob", "cdf"):
        torch.testing.assert_close(getattr(mixed, method)(at), getattr(floating, method)(2.0), rtol=0, atol=0)
        double = make(*(p.double() for p in (whole, torch.full((2,), 2.5))[: 1 + two]))
        assert getattr(double, method)(at).dtype == torch.float64
    if two:
        assert getattr(make(0.5, whole), mixed.parameter_names[0]).tolist() == [0.5, 0.5]


@each_family
def test_expand_gives_samples_of_that_shape(family: str) -> None:
    # D2
    expanded = ours(family).expand([2, 3])
    assert type(expanded) is FAMILIES[family]
    assert expanded.batch_shape == (2, 3)
    assert expanded.rsample().shape == (2, 3)
    assert expanded.rsample((5,)).shape == (5, 2, 3)
    assert expanded.mean.shape == expanded.entropy().shape == (2, 3)
    torch.testing.assert_close(expanded.variance[1], ours(family).variance)
    assert FAMILIES[family](*example(family), validate_args=True).expand([2, 3])._validate_args
    assert not expanded._validate_args


def test_a_distribution_of_ones_own_expands_the_parameters_that_it_constrains() -> None:
    class Constrained(SimpleDistribution):
        arg_constraints = {"place": constraints.real}  # noqa: RUF012

        def __init__(self, place: Tensor) -> None:
            self.place = place
            super().__init__(place.shape)

        def log_prob(self, value: Tensor | float) -> Tensor:
            return SimpleNormal(self.place, 0.0).log_prob(self._value(value))

    expanded = Constrained(torch.tensor([1.0, 2.0])).expand([3, 2])
    assert expanded.batch_shape == (3, 2)
    assert expanded.place.tolist() == [[1, 2]] * 3
    assert expanded.log_prob(1.0).shape == (3, 2)

    class Nameless(SimpleDistribution):
        pass

    with pytest.raises(NotImplementedError, match="Nameless: set parameter_names for expand"):
        Nameless(torch.Size([2])).expand([3, 2])


@each_family
def test_values_may_be_numbers(family: str) -> None:
    distribution = ours(family)
    at = torch.tensor(0.75, dtype=torch.float64)
    for method in (distribution.log_prob, distribution.cdf, distribution.icdf):
        torch.testing.assert_close(method(0.75), method(at))


def test_what_a_family_cannot_offer_raises() -> None:
    # D2
    nothing = SimpleDistribution()
    for name in ("mean", "mode", "variance", "stddev", "support"):
        with pytest.raises(NotImplementedError):
            getattr(nothing, name)
    for call in (nothing.rsample, nothing.entropy, nothing.enumerate_support):
        with pytest.raises(NotImplementedError):
            call()
    for call in (nothing.log_prob, nothing.cdf, nothing.icdf):
        with pytest.raises(NotImplementedError):
            call(torch.zeros(1))
    with pytest.raises(NotImplementedError):
        _ = SimpleUniform(0.0, 1.0).mode


def test_normal_log_prob_is_finite_where_the_variance_underflows() -> None:
    # D3: the original squared first, and gave NaN at the mean
    logvar = torch.tensor([-177.0, -110.0, -80.0, 80.0], requires_grad=True)
    value = SimpleNormal(torch.zeros(4), logvar).log_prob(torch.zeros(4))
    torch.testing.assert_close(value, -(logvar + math.log(2 * math.pi)) / 2)
    assert torch.autograd.grad(value.sum(), logvar)[0].tolist() == [-0.5] * 4


def test_uniform_samples_never_reach_high(monkeypatch: pytest.MonkeyPatch) -> None:
    # D4: a + (b - a) u rounds to b, whose own density is 0
    largest = 1 - 2**-24
    monkeypatch.setattr(torch, "rand", lambda shape, **options: torch.full(shape, largest, **options))
    low = torch.tensor([1.0, 1e8, -1.0, 0.0, -16.0], requires_grad=True)
    high = torch.tensor([1 + 2**-23, 1e8 + 8, 1.0, 1e-38, -16 + 2**-19], requires_grad=True)
    uniform = SimpleUniform(low, high)
    sample = uniform.rsample()
    assert ((low <= sample) & (sample < high)).all()
    assert uniform.log_prob(sample).isfinite().all()
    sample.sum().backward()
    assert low.grad.tolist() == [1 - largest] * 5
    assert high.grad.tolist() == [largest] * 5


def test_an_empty_interval_is_refused_where_looking_is_free() -> None:
    # D4
    for low, high in ((1.0, 1.0), (2.0, 1.0), (math.nan, 1.0)):
        with pytest.raises(ValueError, match="low must be less than high"):
            SimpleUniform(low, high)
        with pytest.raises(ValueError, match="low must be less than high"):
            SimpleUniform(torch.tensor([0.0, low]), high)
        with pytest.raises(ValueError, match="low must be less than high"):
            SimpleUniform(torch.tensor([0.0, low]), high, validate_args=True)
    unseen = SimpleUniform(torch.ones(2, device="meta"), torch.zeros(2, device="meta"))  # as on a GPU
    assert unseen.batch_shape == (2,)


def test_an_empty_interval_does_not_break_the_graph() -> None:
    def log_prob(low: Tensor, high: Tensor) -> Tensor:
        return SimpleUniform(low, high).log_prob(0.5)

    compiled = torch.compile(log_prob, fullgraph=True, backend="eager")
    assert compiled(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])).tolist() == [0, -math.inf]


def test_uniform_support_is_half_open() -> None:
    uniform = SimpleUniform(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 3.0]), validate_args=True)
    assert uniform.support.check(torch.tensor([0.0, 3.0])).tolist() == [True, False]
    assert "lower_bound" in repr(uniform.support)
    assert constraints.is_dependent(SimpleUniform.support)
    with pytest.raises(ValueError, match="support"):
        uniform.log_prob(torch.tensor([1.0, 2.0]))
    outside = SimpleUniform(0.0, 1.0).log_prob(torch.tensor([-0.1, 0.0, 0.5, 1.0, 7.0]))
    assert outside.tolist() == [-math.inf, 0, 0, -math.inf, -math.inf]


@pytest.mark.parametrize("family", ["exponential", "weibull", "gamma"])
def test_density_is_0_below_0_without_nan_in_gradients(family: str) -> None:
    # D5: the original's exponential gave +1 at -1; D7: its Weibull gave NaN
    parameters = tuple(p.detach().float().requires_grad_() for p in example(family))
    x = torch.tensor([-1.0, -1e-30, -math.inf], requires_grad=True)
    log_prob = FAMILIES[family](*parameters).log_prob(x)
    assert log_prob.tolist() == [-math.inf] * 3
    for gradient in torch.autograd.grad(log_prob.sum(), (*parameters, x), allow_unused=True):
        assert gradient is None or gradient.tolist() == [0, 0, 0]
    assert FAMILIES[family](*parameters).log_prob(torch.tensor(math.nan)).isnan().all()


@pytest.mark.parametrize("lograte", [-100.0, -1.0, 100.0])
@pytest.mark.parametrize("x", [0.0, 1e-38, 1.0, -1.0, math.inf])
def test_exponential_densities_are_right_where_the_rate_overflows(lograte: float, x: float) -> None:
    # in float64 by the formulas: e^100 is beyond float32
    beyond = x < 0 or x == math.inf
    rate, scaled = math.exp(lograte), 0.0 if beyond else math.exp(lograte) * x
    parameter, value = torch.tensor(lograte, requires_grad=True), torch.tensor(x, requires_grad=True)
    log_prob = SimpleExponential(parameter).log_prob(value)
    expected = -math.inf if beyond else lograte - scaled
    expected_gradients = (0.0, 0.0) if beyond else (1 - scaled, -rate)
    assert_float32([log_prob, *torch.autograd.grad(log_prob, (parameter, value))], [expected, *expected_gradients])
    cdf = SimpleExponential(parameter).cdf(value)
    expected = 1.0 if x == math.inf else -math.expm1(-scaled)
    slope = 0.0 if beyond else math.exp(-scaled)
    gradients = torch.autograd.grad(cdf, (parameter, value))
    assert_float32([cdf, gradients[0]], [expected, scaled * slope])
    if x != 0:  # where it has two slopes
        assert_float32([gradients[1]], [rate * slope])


def test_an_exponential_cdf_has_no_slope_where_its_hazard_overflows() -> None:
    lograte, x = torch.tensor([100.0, 20.0, -80.0], requires_grad=True), torch.tensor(3e38, requires_grad=True)
    cdf = SimpleExponential(lograte).cdf(x)
    assert cdf.tolist() == [1, 1, 1]
    assert torch.autograd.grad(cdf.sum(), (lograte, x))[0].tolist() == [0, 0, 0]


def test_exponential_log_prob_at_0_is_the_log_rate() -> None:
    lograte = torch.tensor([-1000.0, 88.8, 1000.0], requires_grad=True)
    value = SimpleExponential(lograte).log_prob(0.0)
    assert value.tolist() == lograte.tolist()
    assert torch.autograd.grad(value.sum(), lograte)[0].tolist() == [1, 1, 1]


def assert_float32(values: list[Tensor], expected: list[float]) -> None:
    """Check float32 values; what is larger than 1e33 in absolute value may be anything as large, of the same sign."""
    for value, exact in zip(values, expected, strict=True):
        if abs(exact) > 1e33:
            assert value.item() * math.copysign(1, exact) > 1e33
        else:
            assert value.item() == pytest.approx(exact, rel=1e-5, abs=1e-36)


@pytest.mark.parametrize("family", ["exponential", "weibull", "gamma"])
def test_density_is_0_at_inf_without_nan_in_gradients(family: str) -> None:
    parameters = tuple(p.detach().float().requires_grad_() for p in example(family))
    x = torch.tensor(math.inf, requires_grad=True)
    log_prob = FAMILIES[family](*parameters).log_prob(x)
    assert log_prob.tolist() == [-math.inf] * 3
    assert not any(gradient.isnan().any() for gradient in torch.autograd.grad(log_prob.sum(), (*parameters, x)))
    assert FAMILIES[family](*parameters).cdf(x).tolist() == [1, 1, 1]


@pytest.mark.parametrize("value", [-1.0, 0.0, math.inf])
def test_a_weibull_of_small_scale_has_no_nan_in_its_gradients_outside(value: float) -> None:
    # (1/l)^k overflows, so that 1 does not serve in the place of such an x
    l, k, x = (torch.tensor(v, requires_grad=True) for v in (0.1, 40.0, value))  # noqa: E741
    weibull = SimpleWeibull(l, k)
    log_prob, cdf = weibull.log_prob(x), weibull.cdf(x)
    assert log_prob.item() == -math.inf
    assert cdf.item() == (1 if value > 0 else 0)
    for result in (log_prob, cdf):
        assert [gradient.item() for gradient in torch.autograd.grad(result, (l, k, x))] == [0, 0, 0]


def test_a_weibull_cdf_has_no_slope_where_its_hazard_overflows() -> None:
    l, k, x = (torch.tensor(v, requires_grad=True) for v in (0.1, 40.0, [2.0, 0.1]))  # noqa: E741
    cdf = SimpleWeibull(l, k).cdf(x)
    assert cdf.tolist() == pytest.approx([1, 1 - math.exp(-1)])
    gradients = [gradient.tolist() for gradient in torch.autograd.grad(cdf.sum(), (l, k, x))]
    density = 40 / 0.1 * math.exp(-1)  # at l
    assert gradients[0] == pytest.approx(-density)
    assert gradients[1] == pytest.approx(0, abs=1e-5)
    assert gradients[2] == pytest.approx([0, density])


@pytest.mark.parametrize("noise", [0.0, 1e-45, 1e-10, 1.0, 100.0, 3e38])
@pytest.mark.parametrize("family", ["exponential", "weibull"])
def test_extreme_noise_gives_finite_positive_samples(
    family: str, noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    # D6: the original's Weibull gave inf where its noise was exactly 0
    monkeypatch.setattr(Tensor, "exponential_", lambda self: self.fill_(noise))
    parameters = extremes(family)
    sample = FAMILIES[family](*parameters).rsample()
    assert (sample > 0).all()
    assert_finite(sample, parameters, f"sample of noise {noise}")
    small = (torch.ones(3, requires_grad=True), torch.tensor([1e-3, 1e-2, 0.3], requires_grad=True))
    sample = SimpleWeibull(*small).rsample()
    assert (sample > 0).all()
    assert_finite(sample, small, f"sample of noise {noise} and a small shape")


def test_exponential_samples_are_positive_for_every_rate() -> None:
    lograte = torch.tensor([-100.0, -80.0, 80.0, 100.0], requires_grad=True)
    sample = SimpleExponential(lograte).rsample((100,))
    assert (sample > 0).all()
    assert_finite(sample, (lograte,), "sample")


@pytest.mark.parametrize(("k", "limit"), [(0.5, math.inf), (1.0, -math.log(2.0)), (1.5, -math.inf)])
def test_density_at_0_is_its_right_limit(k: float, limit: float) -> None:
    # D7: the original added 1e-8 to x
    scale, shape = torch.tensor(2.0, requires_grad=True), torch.tensor(k, requires_grad=True)
    for family in (lambda: SimpleWeibull(scale, shape), lambda: Gamma(shape, 1 / scale)):
        x = torch.tensor(0.0, requires_grad=True)
        value = family().log_prob(x)
        assert value.item() == pytest.approx(limit)
        for gradient in torch.autograd.grad(value, (scale, shape, x), allow_unused=True):
            assert gradient is None or not gradient.isnan().any()
        if k == 1:
            value = family().log_prob(0.0)
            assert torch.autograd.grad(value, scale)[0].item() == pytest.approx(-0.5)


@each_family
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(family: str, dtype: torch.dtype) -> None:
    # D7: the original went through float32
    distribution = FAMILIES[family](*(p.detach().to(dtype) for p in example(family)))
    x = distribution.rsample()
    for value in (x, distribution.log_prob(x), distribution.cdf(x), distribution.icdf(0.3), distribution.entropy()):
        assert value.dtype == dtype
    assert distribution.mean.dtype == distribution.variance.dtype == dtype


@pytest.mark.parametrize("x", [1e-30, 1e-9, 1e-3])
def test_weibull_log_prob_adds_nothing_to_small_values(x: float) -> None:
    # D7
    l, k = 1e-6, 0.3  # noqa: E741
    exact = math.log(k / l) + (k - 1) * math.log(x / l) - (x / l) ** k
    weibull = SimpleWeibull(torch.tensor(l, dtype=torch.float64), k)
    assert weibull.log_prob(x).item() == pytest.approx(exact, rel=1e-9)


# What gamma's formulas are made of.


@pytest.mark.parametrize(
    ("a", "expected", "expected_slope"),  # to 60 digits, by mpmath
    [
        (0.05, 0.7518611447477621, -7.502112717745879),
        (3.0, 0.02767792568499834, -0.009161286902975886),
        (10.5, 0.00793411456431402, -0.0007551752467436927),
        (20.0, 0.004166319691996922, -0.00020828131184194256),
    ],
)
def test_stirlings_remainder_and_its_slope(a: float, expected: float, expected_slope: float) -> None:
    x = torch.tensor(a, dtype=torch.float64, requires_grad=True)
    remainder = stirling(x)
    rtol = 1e-13 if a > 10 else 1e-12  # below, a difference of lgammas
    assert remainder.item() == pytest.approx(expected, rel=rtol, abs=0)
    (slope,) = torch.autograd.grad(remainder, x)
    assert stirling_slope(x).item() == pytest.approx(expected_slope, rel=rtol, abs=0)
    assert slope.item() == pytest.approx(expected_slope, rel=rtol, abs=0)


def test_eulers_constant() -> None:
    assert -torch.digamma(torch.tensor(1.0, dtype=torch.float64)).item() == pytest.approx(EULER_GAMMA, rel=1e-15)


def test_stirlings_series_meets_the_direct_form() -> None:
    below, above = torch.tensor([10.0, 10.0 + 1e-12], dtype=torch.float64)
    torch.testing.assert_close(stirling(below), stirling(above), rtol=1e-10, atol=0)
    torch.testing.assert_close(stirling_slope(below), stirling_slope(above), rtol=1e-10, atol=0)


def test_log_rising_is_a_difference_of_lgammas() -> None:
    a, k = torch.tensor([0.05, 1.0, 9.0, 300.0]).double(), torch.tensor([0.1, 1.0, 30.0, 2.5]).double()
    torch.testing.assert_close(log_rising(a, k), torch.lgamma(a + k) - torch.lgamma(a), rtol=1e-9, atol=1e-12)


def test_lgamma_gap_is_a_difference_of_lgammas() -> None:
    # on both sides of where its series ends, and far below the steps of 1 + u by the series' first two terms
    u = torch.tensor([0.2, 0.05, 0.05 - 1e-12, 0.03], dtype=torch.float64)
    torch.testing.assert_close(lgamma_gap(u), torch.lgamma(1 + 2 * u) - 2 * torch.lgamma(1 + u), rtol=1e-12, atol=0)
    u = torch.tensor(1e-9, dtype=torch.float64)
    expected = math.pi**2 / 6 * 1e-18 - 2 * 1.2020569031595943 * 1e-27
    assert lgamma_gap(u).item() == pytest.approx(expected, rel=1e-14, abs=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [0, 2])
def test_a_sum_of_exponentials_is_torch_s_and_so_is_its_gradient(dim: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = (300 * torch.randn(5, 4, 6)).to(dtype)
    x[1, 2, 3] = -math.inf
    given, same = x.clone().requires_grad_(), x.clone().requires_grad_()
    found, expected = log_sum_exp(given, dim), torch.logsumexp(same, dim)
    torch.testing.assert_close(found, expected, rtol=1e-6 if dtype == torch.float32 else 1e-14, atol=0)
    weights = torch.randn_like(found)
    slopes = [torch.autograd.grad((weights * value).sum(), at)[0] for value, at in ((found, given), (expected, same))]
    torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-37)
    x[0, 0, 0], x[:, 1], x[1, :, 2] = math.inf, -math.inf, math.nan
    assert torch.equal(log_sum_exp(x, dim).isfinite(), torch.logsumexp(x, dim).isfinite())
    assert torch.equal(log_sum_exp(x, dim).isneginf(), torch.logsumexp(x, dim).isneginf())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_exponential_that_vanishes_ends_at_a_normal_number(dtype: torch.dtype) -> None:
    exponent = torch.tensor([0.0, -80.0, -90.0, -800.0, -math.inf], dtype=dtype, requires_grad=True)
    value, tiny = vanishing_exp(exponent), torch.finfo(dtype).tiny
    torch.testing.assert_close(value, exponent.exp(), rtol=1e-6, atol=3 * tiny)
    assert (value >= tiny).all()
    assert torch.autograd.grad(value.sum(), exponent)[0][-2:].tolist() == [0, 0]


def test_log_ratio_keeps_its_digits_near_1() -> None:
    a, b = torch.tensor([1000.0001, 3.0, 1.0, 1e-30]), torch.tensor([1000.0, 7.0, 100.0, 1e30])
    torch.testing.assert_close(log_ratio(a, b).double(), (a.double() / b.double()).log(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("t", [-50.0, -1.0, 0.0, 0.5, 1.5, 20.0])
def test_excess_and_deviance(t: float) -> None:
    exponent = torch.tensor(t, dtype=torch.float64)
    assert excess(exponent).item() == pytest.approx(math.expm1(t) - t, rel=1e-12)
    a = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    log_mean = math.log(3.0) + exponent
    value = deviance(a, log_mean, log_mean - a.log())
    assert value.item() == pytest.approx(3 * (math.expm1(t) - t), rel=1e-9)
    assert torch.autograd.grad(value, a)[0].item() == pytest.approx(-t, rel=1e-9, abs=1e-12)


def test_overflow_is_inf_with_no_nan_in_its_gradient() -> None:
    exponent = torch.tensor([60.0, 80.0, 88.0, 200.0], requires_grad=True)
    scale = torch.tensor(1.0, requires_grad=True)
    value = excess(scale * exponent - 2 * scale)
    assert value.isinf().tolist() == [False, False, False, True]
    torch.testing.assert_close(value[:3], (exponent[:3] - 2).exp())
    assert all(g.isfinite().all() for g in torch.autograd.grad(value.sum(), (exponent, scale)))


# On a device.


@each_family
def test_nothing_makes_the_host_wait_for_the_device(family: str) -> None:
    # A meta tensor has no values: whoever looks at one raises.
    def tensor() -> Tensor:
        return torch.rand(4, 3, device="meta", requires_grad=True)

    distribution = FAMILIES[family](*(tensor() for _ in EXAMPLES[family]))
    sample = distribution.rsample((2,))
    for value in (sample, distribution.log_prob(sample), distribution.cdf(sample), distribution.icdf(tensor())):
        value.sum().backward(retain_graph=True)
    for q, values in EXAMPLES.items():
        right = FAMILIES[q](*(tensor() for _ in values))
        assert monte_carlo_kl(distribution, right, 3).shape == (4, 3)
        if has_closed_form_kl(distribution, right):
            assert kl_divergence(distribution, right).shape == (4, 3)


# Compiled.


@each_family
def test_sampling_and_densities_compile_as_one_graph(family: str) -> None:
    def values(*parameters: Tensor) -> tuple[Tensor, ...]:
        distribution = FAMILIES[family](*parameters)
        sample = distribution.rsample((2,))
        return sample, distribution.log_prob(sample), distribution.cdf(sample), distribution.entropy()

    compiled = _results(torch.compile(values, fullgraph=True, backend="eager"), example(family))
    torch.testing.assert_close(compiled, _results(values, example(family)))


def _results(values: Callable[..., tuple[Tensor, ...]], parameters: tuple[Tensor, ...]) -> list[Tensor]:
    torch.manual_seed(0)
    results = values(*parameters)
    return [*results, *torch.autograd.grad(results[1].sum(), parameters)]
