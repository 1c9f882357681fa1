import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Laplace as TorchLaplace
from torch.distributions import Normal
from torch.nn import functional

from vae_runner.engine import Engine
from vae_runner.likelihood import (
    Bernoulli,
    DiscretizedLogistic,
    Gaussian,
    Laplace,
    LearnedGaussian,
    Likelihood,
    OptimalGaussian,
    softly_limited,
)
from vae_runner.state import Y_RAW, Y_TRUE

RAW = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
TARGET = (torch.rand(4, 3, 5, 5, generator=torch.Generator().manual_seed(1)) * 255).round() / 255
LEVELS = (torch.arange(256) / 255).reshape(256, 1, 1, 1)
Make = Callable[..., Engine]


def every_likelihood() -> list[Likelihood]:
    return [
        Bernoulli(),
        Gaussian(0.5),
        LearnedGaussian(0.5),
        OptimalGaussian(),
        Laplace(0.5),
        DiscretizedLogistic(3),
        DiscretizedLogistic(3, per="channel"),
        DiscretizedLogistic(3, per="pixel"),
    ]


def raw_for(likelihood: Likelihood) -> Tensor:
    return RAW.repeat(1, likelihood.channels_per_channel, 1, 1)


def is_named(likelihood: Likelihood) -> str:
    return type(likelihood).__name__ + str(likelihood.channels_per_channel)


def test_bernoulli_is_torchs_in_nats_per_image() -> None:
    target = (TARGET < 0.3).float()
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
@pytest.mark.parametrize("kind", [Gaussian, LearnedGaussian])
def test_gaussian_is_torchs_with_its_constants(kind: type[Gaussian | LearnedGaussian], sigma: float) -> None:
    expected = -Normal(RAW, sigma).log_prob(TARGET).sum((1, 2, 3))
    torch.testing.assert_close(kind(sigma).nll(RAW, TARGET), expected, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(kind(sigma).mean(RAW), RAW)


@pytest.mark.parametrize("scale", [0.05, 1.0, 3.0])
def test_laplace_is_torchs_with_its_constants(scale: float) -> None:
    expected = -TorchLaplace(RAW, scale).log_prob(TARGET).sum((1, 2, 3))
    torch.testing.assert_close(Laplace(scale).nll(RAW, TARGET), expected, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(Laplace(scale).mean(RAW), RAW)


@pytest.mark.parametrize(("kind", "name"), [(Gaussian, "sigma"), (LearnedGaussian, "sigma"), (Laplace, "scale")])
def test_a_width_that_is_none_is_refused(kind: type[Likelihood], name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be positive, got 0"):
        kind(0)


@pytest.mark.parametrize("sigma", [0.0005, 200.0])
def test_a_learned_width_starts_between_its_limits(sigma: float) -> None:
    with pytest.raises(ValueError, match=r"must start between its limits, 0\.001 and 100, not at"):
        LearnedGaussian(sigma)
    with pytest.raises(ValueError, match="must start between its limits"):
        DiscretizedLogistic(1, scale=sigma, smallest=0.001)


@pytest.mark.parametrize("likelihood", every_likelihood(), ids=is_named)
def test_likelihoods_compute_in_float32(likelihood: Likelihood) -> None:
    raw = raw_for(likelihood).bfloat16()
    nll = likelihood.nll(raw, TARGET)
    assert nll.dtype == likelihood.mean(raw).dtype == torch.float32
    torch.testing.assert_close(nll, likelihood.nll(raw.float(), TARGET))


@pytest.mark.parametrize("likelihood", every_likelihood(), ids=is_named)
@pytest.mark.parametrize("extreme", [0.0, 1e4, -1e4, 1e15])
def test_nothing_is_nan_at_the_extremes(likelihood: Likelihood, extreme: float) -> None:
    raw = torch.full_like(raw_for(likelihood), extreme).requires_grad_()
    target = TARGET.clone()
    target[0], target[1] = 0.0, 1.0
    nll = likelihood.nll(raw, target)
    assert nll.isfinite().all()
    assert likelihood.mean(raw).isfinite().all()
    nll.sum().backward()
    gradients = [raw.grad, *(parameter.grad for parameter in likelihood.parameters())]
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("likelihood", every_likelihood(), ids=is_named)
def test_gradients_are_those_of_differences(likelihood: Likelihood) -> None:
    likelihood.eval()  # in training the best sigma's own gradient is left out
    generator = torch.Generator().manual_seed(2)
    raw = raw_for(likelihood).clone().requires_grad_()
    total = likelihood.nll(raw, TARGET).double().sum()
    total.backward()
    leaves = [raw, *likelihood.parameters()]
    for leaf in leaves:
        direction = torch.randn(leaf.shape, generator=generator)
        step = 2e-3 / direction.norm()
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                leaf += sign * step * direction
                values.append(likelihood.nll(raw, TARGET).double().sum().item())
                leaf -= sign * step * direction
        expected = (leaf.grad * direction).sum().item()
        assert (values[0] - values[1]) / (2 * step.item()) == pytest.approx(expected, rel=2e-2, abs=1.0)


def test_the_learned_sigma_has_its_minimum_at_the_noise_level() -> None:
    noise = 0.07 * torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    likelihood = LearnedGaussian(0.3)
    optimizer = torch.optim.Adam(likelihood.parameters(), lr=1e-2)
    for _ in range(250):
        optimizer.zero_grad()
        likelihood.nll(torch.zeros_like(noise), noise).mean().backward()
        optimizer.step()
    rms = noise.square().mean().sqrt().item()  # the maximum-likelihood estimate
    assert likelihood.scales()["sigma"].item() == pytest.approx(rms, rel=1e-3)


def test_a_learned_sigma_does_not_fall_below_its_limit() -> None:
    likelihood = LearnedGaussian(0.1, smallest=0.01)
    assert likelihood.scales()["sigma"].item() == pytest.approx(0.1, rel=1e-3)
    with torch.no_grad():
        likelihood.log_scale.value.fill_(-100)
    assert likelihood.scales()["sigma"].item() == pytest.approx(0.01, rel=1e-6)


def test_a_soft_limit_leaves_the_middle_alone_and_keeps_the_order() -> None:
    value = torch.linspace(-9, 9, 181, dtype=torch.float64)
    limited = softly_limited(value, -3.0, 4.0)
    assert (limited.diff() > 0).all()
    assert limited[0].item() == pytest.approx(-3, abs=1e-9)
    assert limited[-1].item() == pytest.approx(4, abs=1e-8)
    middle = (value > -1) & (value < 2)
    torch.testing.assert_close(limited[middle], value[middle], rtol=0, atol=2e-4)


def test_the_optimal_sigma_is_the_root_of_the_mean_squared_error() -> None:
    likelihood = OptimalGaussian()
    mse = (RAW - TARGET).square().mean().item()
    expected = -Normal(RAW, math.sqrt(mse)).log_prob(TARGET).sum((1, 2, 3))
    nll = likelihood.nll(RAW, TARGET)
    torch.testing.assert_close(nll, expected, rtol=1e-5, atol=1e-4)
    closed = 75 * (math.log(mse) + 1 + math.log(2 * math.pi)) / 2  # Rybkin et al. 2021, equation 4 with its constant
    assert nll.mean().item() == pytest.approx(closed, rel=1e-5)
    for sigma in (0.9, 1.1):
        assert Gaussian(sigma * math.sqrt(mse)).nll(RAW, TARGET).mean() > nll.mean()


def test_the_optimal_sigma_needs_no_gradient_of_its_own() -> None:
    raw = RAW.clone().requires_grad_()
    OptimalGaussian().nll(raw, TARGET).mean().backward()
    through = RAW.clone().requires_grad_()
    (75 / 2 * (through - TARGET).square().mean().log()).backward()  # sigma put in before the derivative is taken
    torch.testing.assert_close(raw.grad, through.grad)


def test_in_evaluation_an_image_costs_the_same_in_any_batch() -> None:
    likelihood = OptimalGaussian()
    likelihood.on_step_training({Y_RAW: RAW, Y_TRUE: TARGET})
    likelihood.eval()
    together = likelihood.nll(RAW, TARGET)
    alone = torch.cat([likelihood.nll(RAW[i : i + 1], TARGET[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(together, -Normal(RAW, likelihood.scales()["sigma"]).log_prob(TARGET).sum((1, 2, 3)))


def test_the_running_sigma_is_a_mean_that_forgets() -> None:
    likelihood = OptimalGaussian(decay=0.75)
    assert likelihood.scales()["sigma"].item() == 1
    errors = [0.5, 0.3, 0.2, 0.4, 0.1, 0.6]
    seen = []
    for error in errors:
        likelihood.on_step_training({Y_RAW: torch.full((2, 1, 4, 4), error), Y_TRUE: torch.zeros(2, 1, 4, 4)})
        seen.append(likelihood.variance.item())
    expected = errors[0] ** 2
    for step, error in enumerate(errors):
        expected += max(1 / (step + 1), 0.25) * (error**2 - expected)
        assert seen[step] == pytest.approx(expected, rel=1e-5)
    assert seen[3] == pytest.approx(sum(error**2 for error in errors[:4]) / 4, rel=1e-5)  # until then the plain mean


def test_the_running_sigma_moves_with_steps_alone_and_is_saved(experiment: Make) -> None:
    engine = experiment("likelihood=gaussian_optimal", "engine.steps=6")
    likelihood = engine.objective.model.likelihood
    engine.validate()
    assert likelihood.scales()["sigma"].item() == 1
    engine.train_step()
    after_one = likelihood.scales()["sigma"].item()
    assert after_one != 1
    engine.validate()
    engine.objective.train()
    likelihood.nll(torch.zeros(2, 1, 16, 16), torch.ones(2, 1, 16, 16))
    assert likelihood.scales()["sigma"].item() == after_one
    other = experiment("likelihood=gaussian_optimal", "engine.steps=6")
    other.load_state_dict(engine.state_dict())
    assert other.validate() == engine.validate()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaussian_learned", "gaussian_optimal", "discretized_logistic"])
def test_what_a_likelihood_learns_is_trained_and_resumed_to_the_bit(experiment: Make, name: str) -> None:
    unbroken = experiment(f"likelihood={name}")
    before = {key: value.clone() for key, value in unbroken.objective.model.likelihood.state_dict().items()}
    unbroken.run()
    broken, resumed = experiment(f"likelihood={name}"), experiment(f"likelihood={name}")
    for _ in range(5):
        broken.train_step()
    resumed.load_state_dict(broken.state_dict())
    resumed.run()
    after = unbroken.objective.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in resumed.objective.state_dict().items())
    learned = unbroken.objective.model.likelihood.state_dict()
    assert before
    assert all(not torch.equal(before[key], learned[key]) for key in before)


@pytest.mark.parametrize("location", [-0.3, 0.0, 0.2501, 0.5, 1.0, 1.7])
@pytest.mark.parametrize("scale", [0.0006, 0.003, 0.05, 2.0])
def test_the_probabilities_of_the_256_levels_sum_to_one(location: float, scale: float) -> None:
    likelihood = DiscretizedLogistic(1, scale=scale, smallest=1e-6)
    log_probabilities = -likelihood.nll(torch.full((256, 1, 1, 1), location), LEVELS).double()
    assert log_probabilities.exp().sum().item() == pytest.approx(1, abs=1e-4 if scale < 0.001 else 1e-5)


def test_a_level_has_the_logistic_mass_within_half_a_level() -> None:
    location, scale = 0.4, 0.02
    edges = ((torch.arange(255, dtype=torch.float64) + 0.5) / 255 - location) / scale
    below = torch.cat([torch.zeros(1), torch.sigmoid(edges), torch.ones(1)])  # the distribution function
    nll = DiscretizedLogistic(1, scale=scale).nll(torch.full((256, 1, 1, 1), location), LEVELS)
    near = below.diff() > 1e-9  # where a difference of float64 sigmoids has digits
    torch.testing.assert_close(nll.double()[near], -below.diff().log()[near], rtol=1e-4, atol=1e-4)


def test_far_off_levels_cost_what_the_logistic_s_tail_says() -> None:
    # far below x, ln(s(u) - s(l)) goes to (mu - x)/b + ln 2 sinh(1/(510 b)): no difference of sigmoids has it
    scale, level = 0.005, 200
    likelihood = DiscretizedLogistic(1, scale=scale, smallest=1e-6)
    nll = likelihood.nll(torch.full((1, 1, 1, 1), -0.5), LEVELS[level : level + 1])
    tail = (level / 255 + 0.5) / scale - math.log(2 * math.sinh(1 / (510 * scale)))
    assert nll.item() == pytest.approx(tail, rel=1e-5)


def test_targets_are_taken_to_their_nearest_level() -> None:
    likelihood = DiscretizedLogistic(3)
    torch.testing.assert_close(likelihood.nll(RAW, TARGET + 0.4 / 255), likelihood.nll(RAW, TARGET))


@pytest.mark.parametrize("location", [-0.2, 0.0, 0.3, 0.999, 1.4])
@pytest.mark.parametrize("scale", [0.001, 0.004, 0.03, 0.5])
def test_the_mean_of_the_discretised_logistic_is_that_of_its_levels(location: float, scale: float) -> None:
    likelihood = DiscretizedLogistic(1, scale=scale, smallest=1e-6)
    probabilities = (-likelihood.nll(torch.full((256, 1, 1, 1), location), LEVELS).double()).exp()
    exact = (probabilities * LEVELS.flatten()).sum().item()
    mean = likelihood.mean(torch.full((1, 1, 1, 1), location)).item()
    midpoint_rule = 1.05 / (255**2 * 96 * scale) + 1e-6  # its error at one end, where the noise spans levels
    assert mean == pytest.approx(exact, abs=midpoint_rule if scale > 0.003 else 1 / 510)


@pytest.mark.parametrize("scale", [0.0006, 0.01, 0.25, 8.0, 90.0])
def test_the_mean_of_the_discretised_logistic_is_in_the_range_of_images(scale: float) -> None:
    likelihood = DiscretizedLogistic(1, scale=scale)
    far = 10.0 ** torch.arange(-4, 16)
    location = torch.cat([-far, torch.linspace(-2, 3, 2001), far]).reshape(-1, 1, 1, 1).requires_grad_()
    mean = likelihood.mean(location)
    assert ((mean >= 0) & (mean <= 1)).all()
    (slope,) = torch.autograd.grad(mean.sum(), location)
    at, width = location.detach().double(), likelihood.log_scale().double().exp().item()
    nothing = torch.zeros_like(at)
    exact = width * (torch.logaddexp(at / width, nothing) - torch.logaddexp((at - 1) / width, nothing))  # in float64
    near = at.abs() < 1e6
    torch.testing.assert_close(mean.detach().double()[near], exact[near], rtol=1e-4, atol=2e-7 * max(1, scale))
    exact = torch.sigmoid(at / width) - torch.sigmoid((at - 1) / width)
    torch.testing.assert_close(slope.double(), exact, rtol=1e-3, atol=1e-6)


def test_a_scale_for_each_pixel_comes_behind_the_locations() -> None:
    likelihood = DiscretizedLogistic(1, per="pixel", scale=0.1)
    assert likelihood.channels_per_channel == 2
    assert list(likelihood.parameters()) == []
    log_scales = torch.tensor([-1.0, 0.5])
    raw = torch.stack([torch.tensor([0.3, 0.6]), log_scales]).reshape(1, 2, 1, 2)
    target = TARGET[:1, :1, :1, :2]
    expected = sum(
        DiscretizedLogistic(1, scale=0.1 * math.exp(log_scale)).nll(raw[:, :1, :, i : i + 1], target[..., i : i + 1])
        for i, log_scale in enumerate(log_scales.tolist())
    )
    torch.testing.assert_close(likelihood.nll(raw, target), expected, rtol=1e-4, atol=1e-4)


def test_each_channel_has_a_scale_of_its_own() -> None:
    assert DiscretizedLogistic(3).scales()["scale"].tolist() == pytest.approx([0.25], rel=1e-3)
    likelihood = DiscretizedLogistic(3, per="channel", scale=0.1)
    with torch.no_grad():
        likelihood.log_scale.value[1] = -0.05
    expected = sum(
        DiscretizedLogistic(1, scale=scale).nll(RAW[:, i : i + 1], TARGET[:, i : i + 1])
        for i, scale in enumerate([0.1, 0.1 * math.exp(-0.5), 0.1])
    )
    torch.testing.assert_close(likelihood.nll(RAW, TARGET), expected, rtol=1e-4, atol=1e-3)
    assert likelihood.scales()["scale"].shape == (3,)


def test_bits_per_dimension_of_what_is_known() -> None:
    coin = Bernoulli()
    nll = coin.nll(torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)).item()
    assert coin.bits_per_dim(nll, 64) == pytest.approx(1, rel=1e-6)  # a bit for each pixel
    flat = DiscretizedLogistic(1, scale=8.0)
    inner = flat.nll(torch.full((1, 1, 1, 1), 0.5), LEVELS[100:101]).item()
    assert flat.bits_per_dim(inner, 1) == pytest.approx(math.log2(255 * 8 * 4), rel=1e-3)  # a logistic's top is 1/(4 b)
    # a density of 1 everywhere on [0, 1], the uniform one, is 8 bits
    assert Gaussian().bits_per_dim(0.0, 12288) == 8
    sharp = Gaussian(0.01)
    density = sharp.nll(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)).item()
    of_level = math.log2(256 * 0.01 * math.sqrt(2 * math.pi))  # p(x) / 256, at the top
    assert sharp.bits_per_dim(density, 48) == pytest.approx(of_level, rel=1e-5)


def test_a_density_and_levels_agree_where_noise_is_wide() -> None:
    # a logistic of scale b as a density at x, against the probability of x's level
    scale, x, location = 0.05, LEVELS[140].item(), 0.5
    u = torch.tensor((x - location) / scale, dtype=torch.float64)
    density = -(torch.nn.functional.logsigmoid(u) + torch.nn.functional.logsigmoid(-u) - math.log(scale)).item()
    as_density = Gaussian().bits_per_dim(density, 1)
    levels = DiscretizedLogistic(1, scale=scale)
    as_levels = levels.bits_per_dim(levels.nll(torch.full((1, 1, 1, 1), location), LEVELS[140:141]).item(), 1)
    assert as_density - as_levels == pytest.approx(math.log2(256 / 255), abs=2e-3)  # the two widths of a level


@pytest.mark.parametrize(
    ("name", "added"), [("bernoulli", 0), ("gaussian", 8), ("gaussian_optimal", 8), ("discretized_logistic", 0)]
)
def test_validation_reports_bits_per_dimension(experiment: Make, name: str, added: float) -> None:
    engine = experiment(f"likelihood={name}", "dataset.channels=3")
    validated = engine.validate()
    expected = validated["neg_elbo"] / (3 * 16 * 16 * math.log(2)) + added
    assert validated["bits_per_dim"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 5, 7), (1, 1, 1), (3, 8, 8)])
def test_of_several_decodings_of_each_image_bernoulli_gives_what_torch_does_in_double(
    shape: tuple[int, int, int],
) -> None:
    torch.manual_seed(0)
    target = torch.rand(4, *shape)
    target[:2] = target[:2].round()
    raw = torch.randn(5, 4, *shape) * torch.tensor([0.0, 1.0, 10.0, 100.0, 1e4]).view(-1, 1, 1, 1, 1)
    pixels = functional.binary_cross_entropy_with_logits(
        raw.double(), target.double().expand(5, -1, -1, -1, -1), reduction="none"
    )
    kept = raw.clone()
    found = Bernoulli().nll_of_samples(raw, target)
    torch.testing.assert_close(found.double(), pixels.flatten(2).sum(2), rtol=2e-6, atol=1e-4)
    assert raw.equal(kept)  # what is reckoned in place is its own
    assert found.dtype == torch.float32


@pytest.mark.parametrize("likelihood", [Gaussian(0.3), Laplace(0.2), Bernoulli(), DiscretizedLogistic(3)])
def test_of_several_decodings_every_likelihood_gives_what_it_gives_of_each(likelihood: Likelihood) -> None:
    torch.manual_seed(0)
    target, raw = torch.rand(4, 3, 6, 6), torch.randn(5, 4, 3, 6, 6)
    each = torch.stack([likelihood.nll(one, target) for one in raw])
    torch.testing.assert_close(likelihood.nll_of_samples(raw, target), each.detach(), rtol=1e-5, atol=1e-4)
