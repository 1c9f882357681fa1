"""Priors that learn: their densities, their trained parameters, and what is drawn from them."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from oracles import close, objective_cases
from test_terms import weights
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from vae_runner.architectures import MLPEncoder
from vae_runner.checkpoint import load_latest
from vae_runner.distributions import Mixture, SimpleNormal, SimpleWeibull, log_ratio
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.latent_space import UniformSpace
from vae_runner.learned_prior import MixturePrior, VampPrior
from vae_runner.state import METRICS, MODEL, X
from vae_runner.visualisation import CodePathWalker, LinSpaceWalker, RandomWalker

SMALL = ("architecture=mlp", "engine.threads=1", "visualisation=[]", "divergence.samples=2")
Make = Callable[..., Engine]


@objective_cases("vamp_prior")
def test_the_density_is_that_computed_elsewhere(case: dict, dtype: torch.dtype) -> None:
    means, logvars, z = (torch.tensor(case[name], dtype=dtype) for name in ("means", "logvars", "z"))
    prior = Mixture(torch.zeros(len(means), dtype=dtype), SimpleNormal(means, logvars))
    close(prior.log_prob(z).sum(1), case["log_prob"], 10)


def mixture() -> tuple[Mixture, MixtureSameFamily, Tensor]:
    torch.manual_seed(0)
    logits, means, logvars = torch.randn(4).double(), 2 * torch.randn(4, 3).double(), torch.randn(4, 3).double()
    joint = MixtureSameFamily(Categorical(logits=logits), Independent(Normal(means, (logvars / 2).exp()), 1))
    return Mixture(logits, SimpleNormal(means, logvars)), joint, torch.randn(7, 5, 3).double()


def test_the_parts_of_the_dimensions_sum_to_the_density_of_torch() -> None:
    ours, torchs, z = mixture()
    torch.testing.assert_close(ours.log_prob(z).sum(-1), torchs.log_prob(z), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ours.mean, torchs.mean)
    torch.testing.assert_close(ours.variance, torchs.variance)
    assert ours.expand((7, 5, 3)).log_prob(z).equal(ours.log_prob(z))


def test_quantiles_are_the_inverse_of_the_cdf_of_each_dimension() -> None:
    ours, _, _ = mixture()
    probability = torch.linspace(0.001, 0.999, 21).double()[:, None].expand(-1, 3)
    torch.testing.assert_close(ours.cdf(ours.icdf(probability)), probability, rtol=1e-9, atol=1e-9)
    assert ours.icdf(torch.tensor([0.0, 1.0]).double()[:, None].expand(-1, 3)).isinf().all()


def test_draws_have_the_moments_of_the_mixture() -> None:
    ours, _, _ = mixture()
    torch.manual_seed(1)
    drawn = ours.sample((40_000,))
    error = (ours.variance / 40_000).sqrt()
    assert ((drawn.mean(0) - ours.mean).abs() < 4 * error).all()
    torch.testing.assert_close(drawn.var(0), ours.variance, rtol=0.05, atol=0)
    joint = ours.components.mean - ours.mean
    expected = (ours.weights[:, :, None] * joint[:, :, None] * joint[:, None, :]).sum(0)  # off the diagonal
    torch.testing.assert_close(torch.cov(drawn.T)[0, 1], expected[0, 1], rtol=0.05, atol=0.05)


def test_the_kl_of_one_component_is_the_closed_form_within_its_error() -> None:
    torch.manual_seed(0)
    q, p = SimpleNormal(torch.tensor([[0.5, -1.0]]), torch.tensor([[-1.0, 0.3]])), SimpleNormal(torch.zeros(1, 2), 0.5)
    found = log_ratio(q, Mixture(torch.zeros(1), p), q.rsample((100_000,)))
    exact = torch.distributions.kl_divergence(q, p)
    assert ((found.mean(0) - exact).abs() < 4 * found.std(0) / math.sqrt(100_000)).all()


def test_outside_of_the_support_the_density_is_0() -> None:
    prior = Mixture(torch.zeros(2), SimpleWeibull(torch.ones(2, 3), torch.ones(2, 3)))
    assert prior.log_prob(torch.tensor([1.0, -1.0, 1.0])).sum() == -math.inf


def test_the_gradient_of_the_density_is_right() -> None:
    torch.manual_seed(0)
    arguments = [
        torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((3,), (3, 2), (3, 2), (5, 2))
    ]
    density = lambda logits, means, logvars, z: Mixture(logits, SimpleNormal(means, logvars)).log_prob(z)  # noqa: E731
    assert torch.autograd.gradcheck(density, arguments)


@pytest.mark.parametrize("prior", ["mixture", "vamp"])
@pytest.mark.parametrize("space", ["normal", "laplace", "weibull", "mixed"])
def test_its_parameters_are_trained(prior: str, space: str, experiment: Make) -> None:
    if space == "mixed":
        chosen = [f"distribution/prior@distribution.space{number}.prior={prior}" for number in (0, 1)]
    else:
        chosen = [f"distribution/prior={prior}"]
    engine = experiment(f"distribution={space}", *chosen, *SMALL)
    before = {name: value.clone() for name, value in engine.objective.named_parameters()}
    for _ in range(3):
        metrics = engine.train_step()[METRICS]
    learned = [name for name in before if ".learned." in name]
    assert len(learned) == (3 if prior == "mixture" else 1) * (2 if space == "mixed" else 1)
    now = dict(engine.objective.named_parameters())
    assert all(not torch.equal(before[name], now[name]) for name in learned)
    assert metrics["kl"].isfinite()
    if prior == "vamp":
        assert all(now[name].min() >= 0 and now[name].max() <= 1 for name in learned)


def test_a_vamp_prior_is_the_mean_of_the_posteriors_of_its_images(experiment: Make) -> None:
    model = experiment("distribution/prior=vamp", *SMALL, "distribution.prior.components=5").objective.model
    z = torch.randn(6, 10)
    posteriors = model.posteriors(model.spaces[0].learned.pseudo_inputs)[0]
    expected = torch.logsumexp(posteriors.log_prob(z[:, None]).sum(2), 1) - math.log(5)
    torch.testing.assert_close(model.priors()[0].log_prob(z).sum(1), expected)


@pytest.mark.slow
@pytest.mark.parametrize("prior", ["mixture", "vamp"])
def test_a_resumed_run_is_the_unbroken_one_and_a_loaded_one_draws_the_same(
    prior: str, experiment: Make, tmp_path: Path
) -> None:
    arguments = (f"distribution/prior={prior}", *SMALL, "engine.steps=4", "engine.checkpoint_every=2")
    unbroken = experiment(*arguments, folder=tmp_path / "a")
    with unbroken.session():
        for _ in range(2):
            unbroken.advance()
    content = load_latest(tmp_path / "a" / "checkpoints")
    resumed = experiment(*arguments, folder=tmp_path / "b")
    resumed.load_state_dict(content)
    for engine in (unbroken, resumed):
        with engine.session():
            for _ in range(2):
                engine.advance()
    one, other = weights(unbroken), weights(resumed)
    assert any(".learned." in name for name in one)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("prior", ["mixture", "vamp"])
def test_walkers_go_through_its_quantiles_and_draw_from_it(prior: str, experiment: Make) -> None:
    engine = experiment(f"distribution/prior={prior}", *SMALL)
    model, images = engine.objective.model.eval(), torch.rand(4, *engine.train.data.image_shape)
    state = {MODEL: model, X: images}
    with torch.no_grad():
        grid = LinSpaceWalker(-1, 1, 3, dims_to_walk=(2,))(state)
        values = torch.tensor(grid.details["rows"][0]["values"])
        expected = model.priors()[0].cdf(values[:, None].expand(-1, 10))[:, 2]
        torch.testing.assert_close(expected, torch.special.ndtr(torch.tensor([-1.0, 0.0, 1.0])), atol=1e-4, rtol=0)
        assert "quantiles of the prior, found by halving, of each latent alone" in grid.caption
        drawn = RandomWalker(num_images=400)(state).details["codes"][0]
        mean, spread = model.priors()[0].mean, model.priors()[0].stddev
        assert ((torch.tensor(drawn).mean(0) - mean).abs() < 5 * spread / 20).all()
        CodePathWalker(3, None, None)(state)
        with pytest.raises(UserError, match="Mixture, which is learned and need not lie around 0; take linear"):
            CodePathWalker(3, None, None, interpolation="spherical")(state)


def test_without_samples_the_line_says_what_to_set(experiment: Make) -> None:
    with pytest.raises(UserError, match=r"KL\(SimpleNormal \|\| Mixture\) has no closed form; divergence.samples=16"):
        experiment("distribution/prior=mixture")


def test_a_prior_that_no_term_trains_is_refused(experiment: Make) -> None:
    with pytest.raises(UserError, match=r"distribution\.prior: none of the terms trains a prior that learns"):
        experiment("distribution/prior=mixture", "divergence=wae")
    experiment("distribution/prior=mixture", "divergence=info", "divergence.samples=1")


def test_vamp_of_uniform_posteriors_is_refused() -> None:
    with pytest.raises(ValueError, match="vamp, of uniform posteriors, has gaps"):
        UniformSpace(2, prior=VampPrior())


@pytest.mark.parametrize("make", [MixturePrior, VampPrior])
def test_a_prior_of_no_components_is_refused(make: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="components must be positive, got 0"):
        make(components=0)


def test_the_importance_bound_and_total_correlation_take_it(experiment: Make) -> None:
    for option in ("iwae", "beta_tc"):
        metrics = experiment("distribution/prior=mixture", f"divergence={option}", *SMALL[:3]).train_step()[METRICS]
        assert metrics["loss"].isfinite()


@pytest.mark.parametrize(
    ("forward", "words"),
    [
        (lambda self, x: x.flatten(1)[:, :3], "gives (4, 3) for 4 images"),
        (lambda self, x: x @ x.new_zeros(5, 7), "fails on 4 images"),
    ],
    ids=["too few numbers", "shapes that do not fit"],
)
def test_an_encoder_that_fails_is_named_before_pseudo_inputs_meet_it(
    experiment: Make, monkeypatch: pytest.MonkeyPatch, forward: Callable[..., Tensor], words: str
) -> None:
    monkeypatch.setattr(MLPEncoder, "forward", forward)
    with pytest.raises(UserError) as told:
        experiment(*SMALL, "distribution/prior=vamp")
    (line,) = str(told.value).splitlines()
    assert line.startswith("architecture.encoder (vae_runner.architectures.MLPEncoder) " + words)
