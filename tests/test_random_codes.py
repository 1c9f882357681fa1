from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import pictures_of
from copying import Space, codes, make_state, run
from torch import Tensor
from torch.distributions import Distribution, Exponential, Gamma, Laplace, Normal, Uniform, Weibull

from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.state import X
from vae_runner.visualisation import LatentWalker, PriorSampler, RandomWalker

MANY = 20_000


def drawn(walker: LatentWalker, *spaces: Space) -> Tensor:
    return codes(run(walker, make_state(*spaces)), MANY)


def test_normal_codes_have_the_variance() -> None:
    # W5: the original's were (randn * 2 - 1) * var, of mean -var and variance 4 var^2
    shown = drawn(RandomWalker(var=4, num_images=MANY))
    assert shown.mean(0).tolist() == pytest.approx([0] * 4, abs=4 * 2 / MANY**0.5)
    assert shown.var(0).tolist() == pytest.approx([4] * 4, rel=4 * (2 / MANY) ** 0.5)
    assert shown.abs().max() > 6  # a uniform of that variance would stay below 3.5


def test_uniform_codes_fill_their_interval() -> None:
    # W5: [-v, v)
    shown = drawn(RandomWalker(var=4, num_images=MANY, uniform=True))
    assert shown.min() >= -4
    assert shown.max() < 4
    assert shown.var(0).tolist() == pytest.approx([16 / 3] * 4, rel=4 * 0.9 / MANY**0.5)
    assert shown.mean(0).tolist() == pytest.approx([0] * 4, abs=4 * (16 / 3 / MANY) ** 0.5)


@pytest.mark.parametrize("var", [torch.tensor([0.0, 4.0, 9.0, 16.0]), [0, 4, 9, 16.0]])
def test_every_dimension_can_have_its_own_variance(var: Tensor | list[float]) -> None:
    shown = drawn(RandomWalker(var=var, num_images=MANY))
    assert shown.std(0).tolist() == pytest.approx([0, 2, 3, 4], rel=4 * (0.5 / MANY) ** 0.5)
    assert run(RandomWalker(var=var, uniform=True), make_state()).images.abs().amax(0).flatten()[0] == 0


@pytest.mark.parametrize("walker", [RandomWalker(num_images=5), PriorSampler(num_images=5)])
def test_codes_are_the_same_at_every_call_and_disturb_nothing(walker: LatentWalker) -> None:
    # W5
    state = make_state(Space(2), Space(2, Exponential(1.0)))
    first = run(walker, state).images
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(run(walker, state).images, first)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "prior",
    [
        Exponential(2.0),
        Weibull(2.0, 1.5),
        Gamma(3.0, 2.0),
        Uniform(1.0, 3.0),
        Uniform(torch.zeros(4), torch.arange(1.0, 5)),
    ],
    ids=lambda prior: type(prior).__name__,
)
@pytest.mark.parametrize("kind", [RandomWalker, PriorSampler])
def test_a_space_that_is_not_the_whole_line_is_drawn_from_its_prior(kind: type, prior: Distribution) -> None:
    # W5: the original's codes were half negative for every family
    shown = drawn(kind(num_images=MANY), Space(4, prior))
    assert prior.support.check(shown).all()
    wide = prior.expand((4,))
    for dim in range(4):
        mean, std = float(wide.mean[dim]), float(wide.stddev[dim])
        assert shown[:, dim].mean().item() == pytest.approx(mean, abs=4 * std / MANY**0.5)
        assert shown[:, dim].std().item() == pytest.approx(std, rel=0.05)


def test_random_codes_on_the_line_do_not_follow_the_prior_and_samples_do() -> None:
    space = Space(4, Laplace(5.0, 3.0))
    assert drawn(RandomWalker(num_images=MANY), space).mean().item() == pytest.approx(0, abs=0.02)
    assert drawn(PriorSampler(num_images=MANY), space).mean().item() == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize(
    ("walker", "line"),
    [
        (RandomWalker(var=2), "var: codes are drawn from the prior Exponential, which does not cover the whole line"),
        (RandomWalker(uniform=True), "uniform: codes are drawn from the prior Exponential"),
        (RandomWalker(var=2, space_id=1), "there is no latent space 1"),
    ],
)
def test_a_variance_that_no_space_would_take_notice_of_is_refused(walker: RandomWalker, line: str) -> None:
    with pytest.raises(UserError, match=line):
        run(walker, make_state(Space(4, Exponential(1.0))))


def test_among_mixed_spaces_the_variance_is_that_of_those_on_the_line() -> None:
    spaces = (Space(2), Space(2, Exponential(4.0)))
    shown = drawn(RandomWalker(var=[9, 16], num_images=MANY), *spaces)
    assert shown[:, :2].std(0).tolist() == pytest.approx([3, 4], rel=0.03)
    assert shown[:, 2:].min() >= 0
    assert shown[:, 2:].mean(0).tolist() == pytest.approx([0.25, 0.25], rel=0.03)
    with pytest.raises(UserError, match="var: codes are drawn from the prior Exponential"):
        drawn(RandomWalker(var=[9, 16], num_images=MANY).for_space(1), *spaces)


def test_the_title_says_where_the_codes_are_from() -> None:
    normal, exponential = Space(2), Space(2, Exponential(1.0))
    assert run(RandomWalker(), make_state()).title == "random codes, normal, step 7"
    assert run(RandomWalker(uniform=True), make_state()).title == "random codes, uniform, step 7"
    mixed = make_state(normal, exponential)
    assert run(RandomWalker(), mixed).title == "random codes, normal and of the prior, step 7"
    assert run(RandomWalker(space_id=1), mixed).title == "random codes, of the prior, step 7"
    assert run(PriorSampler(), mixed).title == "samples from the prior, step 7"


def test_every_space_has_random_numbers_of_its_own() -> None:
    shown = drawn(RandomWalker(num_images=MANY), Space(2), Space(2))
    assert torch.corrcoef(shown.T).fill_diagonal_(0).abs().max() < 4 / MANY**0.5


@pytest.mark.parametrize("walker", [RandomWalker(num_images=5), PriorSampler(num_images=5)])
def test_only_the_chosen_space_is_random_and_the_others_hold_the_images_codes(walker: LatentWalker) -> None:
    state = make_state(Space(3), Space(1, Normal(9.0, 1.0)), images=2)
    shown = codes(run(walker.for_space(1), state), 5)
    torch.testing.assert_close(shown[:, :3], state[X].flatten(1)[[0, 1, 0, 1, 0], :3])
    assert shown[:, 3].unique().numel() == 5


@pytest.mark.parametrize("var", [-1.0, [1, -1], torch.tensor([-1.0]), []])
def test_a_variance_is_never_negative(var: object) -> None:
    with pytest.raises(ValueError, match="RandomWalker: var must not be negative"):
        RandomWalker(var=var)


@pytest.mark.parametrize("var", [float("inf"), float("nan"), [1.0, float("inf")]])
def test_a_variance_is_finite(var: object) -> None:
    with pytest.raises(ValueError, match="RandomWalker: var must be finite"):
        RandomWalker(var=var)


def test_a_variance_for_other_dimensions_is_refused() -> None:
    with pytest.raises(UserError, match="var: 3 numbers for a latent space of 4 dimensions"):
        run(RandomWalker(var=[1, 2, 3]), make_state())


def test_the_details_are_the_codes() -> None:
    grid = run(RandomWalker(num_images=3), make_state(Space(1), Space(3)))
    shown = codes(grid, 3)
    assert grid.details["codes"] == [shown[:, :1].tolist(), shown[:, 1:].tolist()]


def test_from_yaml(experiment: Callable[..., Engine], tmp_path: Path) -> None:
    chosen = ("visualisation=[random,samples]", "visualisation.random.var=[1,2,3,4,5,6,7,8,9,10]", "engine.steps=1")
    engine = experiment(*chosen, "visualisation.random.phase=train", folder=tmp_path)
    engine.run()
    assert {file.name for file in (tmp_path / "grids").glob("*.png")} == {"random.png", "samples.png"}
    with pytest.raises(UserError, match=r"^visualisation.random.var: 2 numbers for a latent space of 10 dimensions$"):
        experiment("visualisation=[random]", "visualisation.random.var=[1,2]", folder=tmp_path)
    assert pictures_of(engine).walkers["random"].phase == "train"
