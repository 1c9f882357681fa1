"""The maximum mean discrepancy: against values computed elsewhere, and over many draws of equal distributions."""

import math

import pytest
import torch
from oracles import OBJECTIVES, close, objective_cases
from torch import Tensor

from vae_runner.distributions import SimpleNormal
from vae_runner.divergence import MMD, InfoMMD, plain_kl
from vae_runner.state import METRICS, SCHEDULED, State, posterior_key, prior_key, sample_key

SPACE = ((posterior_key(0),), (prior_key(0),), (sample_key(0),))


class Fixed(SimpleNormal):
    """A standard normal prior whose draws are given."""

    def __init__(self, draws: Tensor) -> None:
        super().__init__(torch.zeros_like(draws[0]), torch.zeros_like(draws[0]))
        self.draws = draws

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008 - immutable
        assert sample_shape == self.draws.shape[:1]
        return self.draws


@objective_cases("mmd")
def test_the_discrepancy_is_that_computed_elsewhere(case: dict, dtype: torch.dtype) -> None:
    z, prior = (torch.tensor(case[name], dtype=dtype) for name in ("z", "prior"))
    dims = z.shape[1]
    settings = {"imq": ("imq", None), "rbf1": ("rbf", [1 / dims]), "rbf2": ("rbf", [4 / dims])}
    settings["mean_over_dims"] = ("rbf", [dims / 2])  # as of the InfoVAE code
    for name, (kernel, scales) in settings.items():
        for estimator in ("unbiased", "biased"):
            if (full := f"{name}_{estimator}") in case:
                term = MMD(*SPACE, batch_size=len(z), kernel=kernel, scales=scales, estimator=estimator)
                close(term.discrepancy(z, [Fixed(prior)]), case[full], 7.0)  # differences of means of up to 7 kernels


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_of_equal_distributions_the_unbiased_one_is_centred_on_0(kernel: str) -> None:
    torch.manual_seed(0)
    term = MMD(*SPACE, batch_size=64, kernel=kernel)
    biased = MMD(*SPACE, batch_size=64, kernel=kernel, estimator="biased")
    prior = SimpleNormal(torch.zeros(10), torch.zeros(10))
    found = torch.stack([term.discrepancy(torch.randn(64, 10), [prior]) for _ in range(400)])
    assert abs(found.mean().item()) < 4 * found.std().item() / math.sqrt(400)
    assert found.min().item() < 0
    assert min(biased.discrepancy(torch.randn(64, 10), [prior]).item() for _ in range(50)) > 0
    assert term.discrepancy(torch.randn(64, 10) + 1, [prior]).item() > found.mean().item() + 6 * found.std().item()


@pytest.mark.parametrize("case", OBJECTIVES["info_vae"]["cases"])
def test_the_kl_and_the_discrepancy_have_info_vae_s_weights(case: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    term = InfoMMD(*SPACE, batch_size=4, alpha=case["alpha"], lambda_mmd=case["lambda"])
    monkeypatch.setattr(term, "discrepancy", lambda *arguments: torch.tensor(case["mmd"]))
    mu = torch.tensor([[math.sqrt(2 * case["kl"])]])  # KL(N(mu, 1) || N(0, 1)) = mu^2 / 2
    close(term.loss(given(SimpleNormal(mu, torch.zeros(1, 1)))), case["term"], 100)


def given(q: SimpleNormal | None = None) -> State:
    torch.manual_seed(0)
    q = q or SimpleNormal(*torch.randn(2, 16, 3, dtype=torch.float64))
    zeros = torch.zeros(q.mu.shape[1], dtype=q.mu.dtype)
    return {
        posterior_key(0): q,
        prior_key(0): SimpleNormal(zeros, zeros),
        sample_key(0): q.rsample(),
        METRICS: {},
        SCHEDULED: {},
    }


def test_a_wasserstein_auto_encoder_s_term_has_no_kl() -> None:
    state = given()
    value = MMD(*SPACE, batch_size=16, lambda_mmd=3.0).loss(state)
    torch.testing.assert_close(value, 3 * state[METRICS]["mmd"])
    state = given()
    kl = plain_kl(posterior_key(0), prior_key(0)).loss(state)
    state = given()
    value = InfoMMD(*SPACE, batch_size=16, alpha=0.0, lambda_mmd=3.0).loss(state)
    torch.testing.assert_close(value, kl + 2 * state[METRICS]["mmd"])
    assert {name: float(value) for name, value in state[SCHEDULED].items()} == {"alpha": 0, "lambda_mmd": 3}


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_the_gradient_is_right(kernel: str) -> None:
    term = InfoMMD(*SPACE, batch_size=6, kernel=kernel, lambda_mmd=5.0)
    noise, draws = torch.randn(2, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def value(mu: Tensor, logvar: Tensor) -> Tensor:
        codes = mu + torch.exp(logvar / 2) * noise
        return term.loss({**given(SimpleNormal(mu, logvar)), sample_key(0): codes, prior_key(0): Fixed(draws)})

    torch.manual_seed(1)
    assert torch.autograd.gradcheck(value, tuple(torch.randn(2, 6, 3, dtype=torch.float64, requires_grad=True)))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"batch_size": 1}, "the discrepancy is a mean over pairs of images; make engine.batch_size at least 2"),
        ({"alpha": 1.5}, "alpha must be at most 1, where the KL has no weight, got 1.5"),
        ({"alpha": -3.0, "lambda_mmd": 2.0}, "alpha . lambda_mmd must be at least 1, .* got -1"),
        ({"scales": [0.0]}, r"scales must be positive, got \[0.0\]"),
        ({"scales": []}, r"scales must name one scale or more; null stands for the kernel's own, got \[\]"),
    ],
)
def test_bad_settings_are_refused(settings: dict, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        InfoMMD(*SPACE, **({"batch_size": 8} | settings))
