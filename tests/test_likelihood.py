import math

import pytest
import torch
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Normal

from vae_runner.likelihood import Bernoulli, Gaussian

RAW = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))


def test_bernoulli_is_torchs_in_nats_per_image() -> None:
    target = (torch.rand(4, 3, 5, 5, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    expected = -TorchBernoulli(logits=RAW).log_prob(target).sum((1, 2, 3))
    torch.testing.assert_close(Bernoulli().nll(RAW, target), expected)
    torch.testing.assert_close(Bernoulli().mean(RAW), TorchBernoulli(logits=RAW).mean)


def test_logits_of_zero_cost_ln_2_for_each_pixel() -> None:
    nll = Bernoulli().nll(torch.zeros(1, 1, 64, 64), torch.ones(1, 1, 64, 64))
    assert nll.item() == pytest.approx(4096 * math.log(2), rel=1e-6)  # 2839 nats


def test_bernoulli_stays_finite_at_extreme_logits() -> None:
    raw = torch.tensor([[[[1e4, -1e4]]]], requires_grad=True)
    nll = Bernoulli().nll(raw, torch.tensor([[[[0.0, 1.0]]]]))
    assert nll.item() == pytest.approx(2e4)
    nll.sum().backward()
    assert raw.grad.flatten().tolist() == [1.0, -1.0]


@pytest.mark.parametrize("sigma", [0.1, 1.0, 3.0])
def test_gaussian_is_torchs_with_its_constants(sigma: float) -> None:
    target = torch.rand(4, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    expected = -Normal(RAW, sigma).log_prob(target).sum((1, 2, 3))
    torch.testing.assert_close(Gaussian(sigma).nll(RAW, target), expected, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(Gaussian(sigma).mean(RAW), RAW)


def test_gaussian_refuses_a_sigma_that_is_none() -> None:
    with pytest.raises(ValueError, match="sigma must be positive, got 0"):
        Gaussian(0)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.5)])
def test_likelihoods_compute_in_float32(likelihood: Bernoulli | Gaussian) -> None:
    nll = likelihood.nll(RAW.bfloat16(), torch.zeros_like(RAW))
    assert nll.dtype == torch.float32
    torch.testing.assert_close(nll, likelihood.nll(RAW.bfloat16().float(), torch.zeros_like(RAW)))
