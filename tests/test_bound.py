"""The importance-weighted bound: against values computed elsewhere, in its growth with K, and in its gradients."""

import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from oracles import OBJECTIVES, close, objective_cases
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from vae_runner.distributions import Gamma, SimpleLaplace, SimpleNormal, SimpleUniform
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.evaluation.importance import effective_samples, importance_bound
from vae_runner.likelihood import OptimalGaussian
from vae_runner.objective import ImportanceBound, bound
from vae_runner.state import (
    METRICS,
    MODEL,
    RECON,
    SCHEDULED,
    Y_RAW,
    Y_TRUE,
    State,
    posterior_key,
    prior_key,
    sample_key,
)

SPACE = ((posterior_key(0),), (prior_key(0),), (sample_key(0),))


class Drawn(SimpleNormal):
    """A normal whose draws are given."""

    noise: Tensor | None = None  # (K, D)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008 - immutable
        noise = self.noise[-sample_shape[0] :] if sample_shape[0] else self.noise[:0]
        return self.mu + self.stddev * noise.unsqueeze(1)


class Noise(nn.Module):
    """-log N(x; raw, sigma^2), in whatever precision."""

    puts_rows_together = False

    def __init__(self, variance: float) -> None:
        super().__init__()
        self.variance = variance

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        squares = (raw - target).square() / self.variance + math.log(2 * math.pi * self.variance)
        return squares.flatten(1).sum(1) / 2


class Linear(nn.Module):
    """z -> W z + b as images (B, 1, 1, X)."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias, self.calls = nn.Parameter(weight), nn.Parameter(bias), []

    def forward(self, z: Tensor) -> Tensor:
        self.calls.append(len(z))
        return (z @ self.weight.T + self.bias)[:, None, None]


def model_of(decoder: nn.Module, variance: float) -> SimpleNamespace:
    return SimpleNamespace(decoder=decoder, raw=decoder, likelihood=Noise(variance))


def state_of(model: SimpleNamespace, x: Tensor, q: SimpleNormal, z: Tensor) -> State:
    raw = model.decoder(z)
    dims = z.shape[1]
    prior = SimpleNormal(z.new_zeros(dims), z.new_zeros(dims))
    return {
        posterior_key(0): q,
        prior_key(0): prior,
        sample_key(0): z,
        Y_RAW: raw,
        Y_TRUE: x,
        RECON: model.likelihood.nll(raw, x),
        MODEL: model,
        METRICS: {},
        SCHEDULED: {},
    }


def of_case(case: dict, dtype: torch.dtype) -> tuple[State, Tensor]:
    """The state of an oracle's case, and mu, which has a gradient."""
    weight, bias, x, mu, logvar, eps = (
        torch.tensor(case[name], dtype=dtype) for name in ("W", "b", "x", "mu", "logvar", "eps")
    )
    mu = mu[None].requires_grad_()
    q = Drawn(mu, logvar[None])
    q.noise = eps
    model = model_of(Linear(weight, bias), case["sigma2"])
    return state_of(model, x[None, None, None], q, mu + q.stddev * eps[0]), mu


@pytest.mark.parametrize("estimator", ["iwae", "dreg"])
@objective_cases("iwae")
def test_bound_and_gradient_are_those_computed_elsewhere(case: dict, dtype: torch.dtype, estimator: str) -> None:
    state, mu = of_case(case, dtype)
    term = ImportanceBound(*SPACE, samples=case["K"], estimator=estimator)
    loss = state[RECON].mean() + term.loss(state)
    size = max(map(abs, case["log_weights"]))
    close(-loss, case["bound"], size)
    close(state[METRICS]["bound"], case["bound"], size)
    (gradient,) = torch.autograd.grad(-loss, mu)
    expected = case["bound_gradient_mu" if estimator == "iwae" else "dreg_gradient_mu"]
    close(gradient[0], expected, 100)  # a difference of w~_k times d log w_k / dz_k
    log_weights = torch.tensor(case["log_weights"], dtype=dtype)[:, None]
    close(importance_bound(log_weights)[0], case["bound"], size)


def exact_case() -> dict:
    return next(case for case in OBJECTIVES["iwae"]["cases"] if case["posterior_is_exact"])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_of_an_exact_posterior_every_bound_is_log_px(count: int) -> None:
    case = exact_case()
    state, _ = of_case(case, torch.float64)
    term = ImportanceBound(*SPACE, samples=min(count, case["K"]))
    term.loss(state)
    close(state[METRICS]["bound"], case["log_px"], 10)
    close(state[METRICS]["ess"], float(min(count, case["K"])))


@pytest.mark.slow
def test_the_bound_grows_in_k_to_log_px_of_a_linear_gaussian_model() -> None:
    """x = W z + b + noise is N(b, W W' + s I); q lies beside the posterior."""
    torch.manual_seed(0)
    weight, bias, x = torch.randn(3, 2).double(), torch.randn(3).double(), torch.randn(3).double()
    covariance = weight @ weight.T + 0.5 * torch.eye(3).double()
    log_px = MultivariateNormal(bias, covariance).log_prob(x)
    precision = torch.eye(2).double() + weight.T @ weight / 0.5
    centre = torch.linalg.solve(precision, weight.T @ (x - bias) / 0.5)
    images, bounds = 5_000, {}
    mu = (centre + 0.3).expand(images, 2)
    q = SimpleNormal(mu, (1 / precision.diagonal()).log().expand(images, 2))
    model = model_of(Linear(weight, bias), 0.5)
    for count in (1, 5, 50, 1000):
        state = state_of(model, x.expand(images, 1, 1, 3), q, q.rsample())
        with torch.no_grad():
            ImportanceBound(*SPACE, samples=count).loss(state)
        bounds[count] = state[METRICS]["bound"].item()
    assert bounds[1] < bounds[5] < bounds[50] < bounds[1000] < log_px + 0.01
    assert bounds[1000] == pytest.approx(log_px.item(), abs=0.02)
    assert log_px - bounds[1] > 0.2


@pytest.mark.slow
@pytest.mark.parametrize("make", [SimpleNormal, SimpleLaplace, Gamma], ids=lambda family: family.__name__)
def test_dreg_has_the_gradient_of_iwae_in_the_mean_and_less_noise(make: Callable[..., SimpleNormal]) -> None:
    found = {}
    for estimator in ("iwae", "dreg"):
        torch.manual_seed(0)
        first = torch.full((60_000, 1), 0.7, dtype=torch.float64, requires_grad=True)
        q = make(first, torch.full((60_000, 1), 0.9, dtype=torch.float64))
        decoder = Linear(torch.ones(1, 1).double(), torch.zeros(1).double())
        model = model_of(decoder, 0.8)
        state = state_of(model, torch.ones(60_000, 1, 1, 1).double(), q, q.rsample())
        prior = make(torch.full((1,), 0.5).double(), torch.full((1,), 1.5).double())
        state[prior_key(0)] = prior
        loss = state[RECON].mean() + ImportanceBound(*SPACE, samples=4, estimator=estimator).loss(state)
        found[estimator] = [
            part * scale
            for part, scale in zip(torch.autograd.grad(loss, (first, decoder.weight)), (60_000, 1), strict=True)
        ]
    (of_iwae, decoded), (of_dreg, other) = found["iwae"], found["dreg"]
    error = math.sqrt((of_iwae.var() + of_dreg.var()).item() / 60_000)
    assert of_iwae.mean().item() == pytest.approx(of_dreg.mean().item(), abs=4 * error)
    assert abs(of_iwae.mean().item()) > 6 * error  # there is something to agree on
    assert of_dreg.var() < 0.8 * of_iwae.var()
    assert decoded.item() == pytest.approx(other.item(), rel=0.05)


@pytest.mark.parametrize("estimator", ["iwae", "dreg"])
def test_chunks_change_neither_value_nor_gradient_and_are_decoded_apart(estimator: str) -> None:
    found = []
    for chunk in (None, 2):
        torch.manual_seed(0)
        mu = torch.randn(4, 2, dtype=torch.float64).requires_grad_()
        q = SimpleNormal(mu, torch.zeros(4, 2).double())
        decoder = Linear(torch.randn(3, 2).double(), torch.randn(3).double())
        model = model_of(decoder, 0.5)
        state = state_of(model, torch.randn(4, 1, 1, 3).double(), q, q.rsample())
        loss = state[RECON].mean() + ImportanceBound(*SPACE, samples=6, estimator=estimator, chunk=chunk).loss(state)
        assert max(decoder.calls[1:]) == (4 * 2 if chunk else 4 * (5 if estimator == "iwae" else 6))
        found.append([loss, *torch.autograd.grad(loss, (mu, decoder.weight))])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("likelihood", [Noise(0.5), OptimalGaussian()], ids=["noise", "optimal"])
@pytest.mark.parametrize("estimator", ["iwae", "dreg"])
def test_the_gradient_of_one_sample_is_in_its_mean_that_of_all(
    estimator: str, likelihood: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    noise, x = torch.randn(5, 2).double(), torch.randn(4, 1, 1, 3).double()
    mu, logvar, weight = (torch.randn(*shape).double().requires_grad_() for shape in ((4, 2), (4, 2), (3, 2)))

    def of_image(image: int, gradient_from: str, chosen: int) -> tuple[list[Tensor], Tensor | None]:
        """The loss of one image and its gradients, where that sample is drawn, and the log weights it was drawn by."""
        seen: list[Tensor] = []
        monkeypatch.setattr(bound, "drawn_by", lambda weights: seen.append(weights) or torch.tensor([chosen]))
        q = Drawn(mu[image : image + 1], logvar[image : image + 1])
        q.noise = noise
        model = model_of(lambda z: (z @ weight.T)[:, None, None], 0.5)
        model.likelihood = likelihood
        state = state_of(model, x[image : image + 1], q, q.mu + q.stddev * noise[0])
        term = ImportanceBound(*SPACE, samples=5, estimator=estimator, gradient_from=gradient_from)
        if not term.trains_recon:
            state[RECON] = state[RECON].detach()
        loss = state[RECON].mean() + term.loss(state)
        return [loss, *torch.autograd.grad(loss, (mu, logvar, weight))], seen[0] if seen else None

    for image in range(4):
        whole, _ = of_image(image, "all", 0)
        ones = [of_image(image, "one", chosen) for chosen in range(5)]
        shares = torch.softmax(ones[0][1], 0)[:, 0]
        assert shares.max() < 0.99
        for part, expected in enumerate(whole):
            mean = sum(share * one[part] for share, (one, _) in zip(shares, ones, strict=True))
            exact = {"rtol": 1e-10, "atol": 1e-12} if isinstance(likelihood, Noise) else {"rtol": 1e-5, "atol": 1e-6}
            torch.testing.assert_close(mean, expected, **exact)  # the fitted scale is computed in float32


def test_a_sample_is_drawn_by_its_weight() -> None:
    torch.manual_seed(0)
    shares = torch.tensor([0.1, 0.6, 0.3])
    drawn = bound.drawn_by(shares.log().unsqueeze(1).expand(3, 100_000) - 7)
    counts = torch.bincount(drawn, minlength=3) / 100_000
    torch.testing.assert_close(counts, shares, rtol=0, atol=0.006)  # four standard errors


def test_one_sample_alone_goes_back_through_the_decoder() -> None:
    decoder = Linear(torch.randn(3, 2).double(), torch.randn(3).double())
    back: list[int] = []

    def counted(z: Tensor) -> Tensor:
        raw = decoder(z)
        if raw.requires_grad:
            raw.register_hook(lambda gradient: back.append(len(gradient)))
        return raw

    q = SimpleNormal(torch.zeros(4, 2).double().requires_grad_(), torch.zeros(4, 2).double())
    state = state_of(model_of(counted, 0.5), torch.randn(4, 1, 1, 3).double(), q, q.rsample())
    state[RECON] = state[RECON].detach()  # as it is where no term trains it
    term = ImportanceBound(*SPACE, samples=6, gradient_from="one")
    assert not term.trains_recon
    (state[RECON].mean() + term.loss(state)).backward()
    assert back == [4]


def test_the_gradient_is_right() -> None:
    noise = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = torch.randn(4, 1, 1, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def value(mu: Tensor, logvar: Tensor, weight: Tensor) -> Tensor:
        q = Drawn(mu, logvar)
        q.noise = noise
        decoder = lambda z: (z @ weight.T)[:, None, None]  # noqa: E731
        model = model_of(decoder, 0.5)
        state = state_of(model, x, q, mu + q.stddev * noise[0])
        return state[RECON].mean() + ImportanceBound(*SPACE, samples=3).loss(state)

    torch.manual_seed(2)
    arguments = [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((4, 2), (4, 2), (3, 2))]
    assert torch.autograd.gradcheck(value, arguments)


def test_the_effective_samples_are_one_of_a_single_weight_and_k_of_equal_ones() -> None:
    log_weights = torch.tensor([[0.0, 0.0], [0.0, -1000.0], [0.0, -1000.0]])
    torch.testing.assert_close(effective_samples(log_weights), torch.tensor([3.0, 1.0]))


def test_samples_of_0_are_refused_in_a_line() -> None:
    with pytest.raises(ValueError, match="samples must be positive, got 0"):
        ImportanceBound(*SPACE, samples=0)


def test_dreg_is_refused_where_the_range_of_codes_moves() -> None:
    q = SimpleUniform(torch.zeros(1, 2), torch.ones(1, 2))
    with pytest.raises(ValueError, match="range does not move with the image's, as that of SimpleUniform does"):
        ImportanceBound(*SPACE, estimator="dreg").check_spaces((q,), (q,))
    ImportanceBound(*SPACE).check_spaces((q,), (q,))


def test_two_terms_in_the_reconstruction_s_place_are_refused(experiment: Callable[..., Engine]) -> None:
    terms = ["+divergence@divergence.a=geco", "+divergence@divergence.b=iwae", "~divergence"]
    with pytest.raises(UserError, match="a and b each put a reconstruction in the place of the loss's; one can"):
        experiment(*terms)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        ("estimator=dreg",),
        ("chunk=2",),
        ("samples=1",),
        ("samples=3", "estimator=dreg", "chunk=1"),
        ("gradient_from=one",),
        ("gradient_from=one", "estimator=dreg", "chunk=2"),
    ],
)
@pytest.mark.parametrize("space", ["normal", "mixed"])
def test_every_way_of_it_trains(settings: tuple[str, ...], space: str, experiment: Callable[..., Engine]) -> None:
    chosen = [f"divergence.{setting}" for setting in settings]
    engine = experiment("divergence=iwae", f"distribution={space}", "architecture=mlp", "visualisation=[]", *chosen)
    for _ in range(2):
        metrics = engine.train_step()[METRICS]
        torch.testing.assert_close(metrics["loss"], -metrics["bound"])
        assert 1 <= metrics["ess"] <= engine.objective.divergences[0].samples
    assert all(weights.grad.isfinite().all() for weights in engine.objective.parameters())
