import math

import pytest
import torch
from oracles import cases, compare
from torch.distributions import Normal, kl_divergence

from vae_runner.distributions import SimpleDistribution, SimpleNormal


@cases("logprob_normal")
def test_normal_log_prob(case: dict, dtype: torch.dtype) -> None:
    compare(lambda mu, logvar, x: SimpleNormal(mu, logvar).log_prob(x), "logprob_normal", case, dtype)


@cases("entropy_normal")
def test_normal_entropy(case: dict, dtype: torch.dtype) -> None:
    compare(lambda logvar: SimpleNormal(0.0, logvar).entropy(), "entropy_normal", case, dtype)


@cases("icdf_normal")
def test_normal_icdf(case: dict, dtype: torch.dtype) -> None:
    if dtype == torch.float32 and not 1e-3 < case["params"]["u"] < 1 - 1e-3:
        pytest.skip("float32 cannot hold the probability itself")
    compare(lambda mu, logvar, u: SimpleNormal(mu, logvar).icdf(u), "icdf_normal", case, dtype)


@cases("kl_normal_normal")
def test_normal_normal_kl(case: dict, dtype: torch.dtype) -> None:
    def kl(mu1: torch.Tensor, lv1: torch.Tensor, mu2: torch.Tensor, lv2: torch.Tensor) -> torch.Tensor:
        return kl_divergence(SimpleNormal(mu1, lv1), SimpleNormal(mu2, lv2))

    compare(kl, "kl_normal_normal", case, dtype)


def test_normal_agrees_with_torch() -> None:
    mu, logvar = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).unbind()
    ours, theirs = SimpleNormal(mu, logvar), Normal(mu, (logvar / 2).exp())
    x = theirs.mean + theirs.stddev * torch.linspace(-3, 3, 3, dtype=torch.float64)
    for name in ("mean", "variance", "stddev", "mode"):
        torch.testing.assert_close(getattr(ours, name), getattr(theirs, name))
    torch.testing.assert_close(ours.cdf(x), theirs.cdf(x))
    torch.testing.assert_close(ours.icdf(ours.cdf(x)), x)
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())


def test_kls_between_ours_and_torchs_normals_agree() -> None:
    p, q = SimpleNormal(torch.tensor(0.3), -1.0), SimpleNormal(torch.tensor(-1.0), 0.5)
    torch_p, torch_q = Normal(p.mean, p.stddev), Normal(q.mean, q.stddev)
    expected = kl_divergence(torch_p, torch_q)
    for first in (p, torch_p):
        for second in (q, torch_q):
            torch.testing.assert_close(kl_divergence(first, second), expected)


def test_normal_log_prob_is_finite_where_the_variance_underflows() -> None:
    # D3: the original squared first, and gave NaN at the mean
    logvar = torch.tensor([-110.0, -80.0, 80.0], requires_grad=True)
    value = SimpleNormal(torch.zeros(3), logvar).log_prob(torch.zeros(3))
    torch.testing.assert_close(value, -(logvar + math.log(2 * math.pi)) / 2)
    assert torch.autograd.grad(value.sum(), logvar)[0].tolist() == [-0.5] * 3


def test_normal_samples_have_its_moments() -> None:
    torch.manual_seed(0)
    normal, count = SimpleNormal(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 1.0])), 100_000
    sample = normal.rsample((count,))
    error = 4 * normal.stddev / math.sqrt(count)
    assert (sample.mean(0) - normal.mean).abs().lt(error).all()
    assert (sample.var(0) - normal.variance).abs().lt(4 * normal.variance * math.sqrt(2 / count)).all()


def test_samples_carry_gradients_to_the_parameters() -> None:
    mu, logvar = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    sample = SimpleNormal(mu, logvar).rsample()
    sample.sum().backward()
    assert mu.grad.tolist() == [1, 1, 1]
    torch.testing.assert_close(logvar.grad, sample.detach() / 2)  # d(e^(lv/2) eps)/d lv at lv = 0


def test_distributions_construct_and_print() -> None:
    assert "SimpleNormal" in repr(SimpleNormal(0.0, 0.0))  # D1
    with pytest.raises(ValueError, match="logvar"):
        SimpleNormal(torch.zeros(1), torch.tensor([math.nan]), validate_args=True)
    SimpleNormal(torch.zeros(1), torch.tensor([math.nan]))


def test_expand_gives_samples_of_that_shape() -> None:
    expanded = SimpleNormal(torch.zeros(2), torch.zeros(2)).expand([3, 2])
    assert expanded.batch_shape == (3, 2)
    assert expanded.rsample().shape == (3, 2)
    assert expanded.rsample((5,)).shape == (5, 3, 2)


def test_what_a_family_cannot_offer_raises() -> None:
    nothing = SimpleDistribution()
    for name in ("mean", "variance", "support"):
        with pytest.raises(NotImplementedError):
            getattr(nothing, name)
    for call in (nothing.rsample, nothing.entropy, nothing.enumerate_support):
        with pytest.raises(NotImplementedError):
            call()
    for call in (nothing.log_prob, nothing.cdf, nothing.icdf):
        with pytest.raises(NotImplementedError):
            call(torch.zeros(1))
