import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import pictures_of
from copying import Space, codes, make_state, run
from torch import Tensor
from torch.distributions import (
    Distribution,
    Exponential,
    Gamma,
    HalfNormal,
    Laplace,
    LogNormal,
    Normal,
    StudentT,
    Uniform,
    Weibull,
)

from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.state import MODEL, State, X
from vae_runner.visualisation import LinSpaceWalker
from vae_runner.visualisation.walking.priors import kl_per_dimension

ON_THE_LINE = [Normal(3.0, 2.0), Laplace(0.5, 3.0), StudentT(5.0)]
ELSEWHERE = [
    Exponential(2.0), Weibull(2.0, 1.5), LogNormal(0.0, 1.0), HalfNormal(2.0), Uniform(0.0, 1.0), Uniform(-1.0, 3.0),
]  # fmt: skip


def phi(score: float) -> float:
    """The cdf of N(0, 1), from the standard library's erf."""
    return (1 + math.erf(score / math.sqrt(2))) / 2


def name(prior: object) -> str:
    return type(prior).__name__


def test_each_dimension_is_walked_from_the_encoded_images() -> None:
    state = make_state()
    grid = run(LinSpaceWalker(-1, 1, 5, dims_to_walk=[2, 0]), state)
    images = codes(grid, 2, 5)  # dims, steps, pixels: the decoder copies the code
    for row, dim in enumerate([2, 0]):
        assert images[row, :, dim].tolist() == [-1, -0.5, 0, 0.5, 1]
        others = [other for other in range(4) if other != dim]
        expected = state[X][row].flatten()[others].expand(5, -1)  # each dimension has its own image
        torch.testing.assert_close(images[row][:, others], expected)
    assert grid.columns == 5
    assert [label.split()[0] for label in grid.row_labels] == ["z2", "z0"]
    assert list(grid.column_labels) == ["-1.00", "-0.50", "+0.00", "+0.50", "+1.00"]


def test_the_documented_defaults_walk_dimension_0_from_minus_1_to_1_in_8_steps() -> None:
    images = codes(run(LinSpaceWalker(), make_state()), 8)
    assert images[:, 0].tolist() == pytest.approx([-1 + 2 * step / 7 for step in range(8)])


def test_a_rounded_zero_has_no_minus() -> None:
    # linspace(-2, 2, 11) passes zero at -6e-8
    assert run(LinSpaceWalker(-2, 2, 11), make_state()).column_labels[5] == "+0.00"


def test_column_labels_tell_near_values_apart() -> None:
    assert list(run(LinSpaceWalker(0, 0.02, 3), make_state()).column_labels) == ["+0.000", "+0.010", "+0.020"]


@pytest.mark.parametrize("images", [1, 2, 6])
@pytest.mark.parametrize("same_image", [False, True])
def test_any_number_of_images_does_for_any_number_of_dimensions(images: int, same_image: bool) -> None:
    # W4: the original failed for a batch smaller than the number of dimensions, and for one image
    state = make_state(images=images)
    shown = codes(run(LinSpaceWalker(dims_to_walk=[3, 2, 1, 1], same_image=same_image), state), 4, 8)
    for row in range(4):
        source = state[X][0 if same_image else row % images].flatten()
        torch.testing.assert_close(shown[row, :, 0], source[0].expand(8))


@pytest.mark.parametrize("prior", ON_THE_LINE, ids=name)
def test_where_the_prior_covers_the_line_the_walk_is_the_documented_one(prior: Distribution) -> None:
    shown = codes(run(LinSpaceWalker(-2, 2, 5, dims_to_walk=[1]), make_state(Space(4, prior))), 5)
    assert shown[:, 1].tolist() == [-2, -1, 0, 1, 2]


@pytest.mark.parametrize("prior", ELSEWHERE, ids=name)
def test_elsewhere_the_walk_is_over_the_quantiles_of_the_prior(prior: Distribution) -> None:
    grid = run(LinSpaceWalker(-2, 2, 5, dims_to_walk=[1, 3]), make_state(Space(4, prior)))
    shown = codes(grid, 2, 5)
    for row, dim in enumerate([1, 3]):
        assert prior.cdf(shown[row, :, dim]).tolist() == pytest.approx([phi(s) for s in (-2, -1, 0, 1, 2)], abs=1e-6)
    assert [row["values"] for row in grid.details["rows"]] == [shown[0, :, 1].tolist(), shown[1, :, 3].tolist()]
    assert len(grid.column_labels) == 5
    assert grid.caption.endswith("; columns: quantiles of the prior, 2.28 % to 97.7 %")


def test_a_quantile_walk_of_a_normal_prior_goes_in_standard_deviations() -> None:
    shown = codes(run(LinSpaceWalker(-2, 2, 5, walk="quantile"), make_state(Space(4, Normal(3.0, 2.0)))), 5)
    assert shown[:, 0].tolist() == pytest.approx([-1, 1, 3, 5, 7], abs=1e-4)
    standard = codes(run(LinSpaceWalker(-2, 2, 5, walk="quantile"), make_state()), 5)
    assert standard[:, 0].tolist() == pytest.approx([-2, -1, 0, 1, 2], abs=1e-5)


def test_every_dimension_has_the_values_of_its_own_prior() -> None:
    prior = Uniform(torch.tensor([0.0, 0.0, -1.0, 5.0]), torch.tensor([1.0, 10.0, 1.0, 6.0]))
    grid = run(LinSpaceWalker(-1, 1, 3, dims_to_walk=[0, 1, 2, 3]), make_state(Space(4, prior)))
    shown = codes(grid, 4, 3)
    low, high = phi(-1), phi(1)
    expected = [[low, 0.5, high], [10 * low, 5, 10 * high], [2 * low - 1, 0, 2 * high - 1], [5 + low, 5.5, 5 + high]]
    for dim in range(4):
        assert shown[dim, :, dim].tolist() == pytest.approx(expected[dim], abs=1e-5)
    assert list(grid.column_labels) == ["15.9 %", "50 %", "84.1 %"]
    assert "quantiles" in grid.caption


@pytest.mark.parametrize(
    ("normal", "labels"), [(Normal(0.0, 1.0), ["15.9 %", "50 %", "84.1 %"]), (Normal(0.0, 2.0), [])]
)
def test_columns_are_labelled_with_what_is_true_of_all_rows(normal: Normal, labels: list[str]) -> None:
    # -1, 0, 1 are the quantiles of N(0, 1), and of no other
    grid = run(LinSpaceWalker(-1, 1, 3), make_state(Space(2, normal), Space(2, Exponential(1.0))))
    assert list(grid.column_labels) == labels


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prior", "walker", "line"),
    [
        (Exponential(1.0), LinSpaceWalker(walk="linear"),
         "lin_start=-1, lin_end=1: -1 lies outside the prior of dimension 0, Exponential; walk=quantile"),
        (Weibull(1.0, 1.0), LinSpaceWalker(0, 1, walk="linear"), "0 lies outside the prior of dimension 0, Weibull"),
        (Uniform(torch.zeros(4), torch.tensor([9.0, 9.0, 9.0, 1.0])),
         LinSpaceWalker(0, 2, 3, [0, 3], walk="linear"), "2 lies outside the prior of dimension 3, Uniform; walk="),
        (Normal(0.0, 1.0), LinSpaceWalker(0, 40, walk="quantile"), "inf lies outside .* Normal; take a smaller range"),
        (Normal(0.0, 1.0), LinSpaceWalker(0, math.inf), "outside"),
        (Gamma(2.0, 1.0), LinSpaceWalker(), "walk: the prior Gamma has no icdf"),
        (None, LinSpaceWalker(dims_to_walk=[4]), "dims_to_walk: 4 is not one of the 4 latent dimensions, 0 to 3"),
        (None, LinSpaceWalker(dims_to_walk=[-1]), "dims_to_walk: -1 is not one of"),
        (None, LinSpaceWalker().for_space(1), "space_id: there is no latent space 1, the model has 1"),
    ],
)  # fmt: skip
def test_a_walk_that_does_not_fit_is_refused_before_training(
    prior: Distribution | None, walker: LinSpaceWalker, line: str, experiment: Callable[..., Engine]
) -> None:
    state = make_state(Space(4, prior))
    with pytest.raises(UserError, match=line):
        walker.prepare(state[MODEL], experiment().train.data)
    with pytest.raises(UserError, match=line):
        run(walker, state)


def test_a_linear_walk_inside_the_support_is_as_asked_for() -> None:
    wide = Uniform(torch.zeros(4), torch.tensor([9.0, 9.0, 9.0, 1.0]))
    for prior in (Gamma(2.0, 1.0), Exponential(1.0), wide):  # of the last, dimension 3 would be left
        shown = codes(run(LinSpaceWalker(0.5, 2.5, 3, walk="linear"), make_state(Space(4, prior))), 3)
        assert shown[:, 0].tolist() == [0.5, 1.5, 2.5]


@pytest.mark.parametrize(
    ("prior", "start"),
    [
        (Normal(5.0, 1.0), 0),
        (Laplace(5.0, 1.0), 0),
        (Uniform(-1.0, 3.0), 0),
        (Uniform(0.0, 1.0), 0.5),  # on the boundary, not inside
        (Uniform(-1.0, 0.0), -0.5),
        (Uniform(1.0, 2.0), 1.5),
        (Exponential(4.0), 0.25),
        (Gamma(3.0, 2.0), 1.5),
        (Weibull(2.0, 1.0), 2),
    ],
    ids=lambda value: name(value) if isinstance(value, Distribution) else str(value),
)
def test_zero_init_starts_from_0_or_from_the_prior_s_mean_where_0_is_no_code(prior: Distribution, start: float) -> None:
    # W4: the original's 0 is outside the support of most families
    walker = LinSpaceWalker(1.2, 1.4, 3, [0, 2], zero_init=True, walk="quantile" if prior.mean < 0 else "auto")
    walker = LinSpaceWalker(1.2, 1.4, 3, [0, 2], zero_init=True, walk="linear") if name(prior) == "Gamma" else walker
    shown = codes(run(walker, make_state(Space(4, prior))), 2, 3)
    assert shown[0, :, 1:].unique().tolist() == pytest.approx([start])
    assert shown[1][:, [0, 1, 3]].unique().tolist() == pytest.approx([start])


def test_zero_init_holds_the_other_spaces_too() -> None:
    state = make_state(Space(1), Space(1, Exponential(4.0)), Space(2))
    shown = codes(run(LinSpaceWalker(1, 2, 2, [1], zero_init=True).for_space(2), state), 2)
    assert shown.tolist() == [[0, 0.25, 0, 1], [0, 0.25, 0, 2]]


def test_all_dimensions_come_with_the_most_informative_first() -> None:
    state = make_state()
    state[X] = torch.tensor([0.1, 3.0, 0.5, 2.0]).view(1, 1, 2, 2)
    grid = run(LinSpaceWalker(dims_to_walk=None), state)
    assert [row["dim"] for row in grid.details["rows"]] == [1, 3, 2, 0]
    # KL(N(m, 1) || N(0, 1)) = m^2 / 2
    assert [row["kl_nats"] for row in grid.details["rows"]] == pytest.approx([4.5, 2.0, 0.125, 0.005])
    assert list(grid.row_labels) == [
        f"z{dim}   {kl} nats" for dim, kl in ((1, "4.50"), (3, "2.00"), (2, "0.12"), (0, "0.00"))
    ]


def test_all_dimensions_of_all_spaces_are_ordered_together() -> None:
    state = make_state(Space(2), Space(2))
    state[X] = torch.tensor([1.0, 3.0, 2.0, 0.5]).view(1, 1, 2, 2)
    grid = run(LinSpaceWalker(5, 6, 2, dims_to_walk=None), state)
    assert [label.split("  ")[0] for label in grid.row_labels] == ["space0 z1", "space1 z0", "space0 z0", "space1 z1"]
    shown = codes(grid, 4, 2)
    for row, pixel in enumerate([1, 2, 0, 3]):
        assert shown[row, :, pixel].tolist() == [5, 6]
        others = [other for other in range(4) if other != pixel]
        torch.testing.assert_close(shown[row][:, others], state[X].flatten()[others].expand(2, -1))
    assert [(row["space"], row["dim"]) for row in grid.details["rows"]] == [(0, 1), (1, 0), (0, 0), (1, 1)]
    assert grid.details["codes"] == [shown[..., :2].flatten(0, 1).tolist(), shown[..., 2:].flatten(0, 1).tolist()]


def test_the_chosen_space_is_walked_and_the_others_hold_the_images_codes() -> None:
    state = make_state(Space(2), Space(2))
    shown = codes(run(LinSpaceWalker(-1, 1, 2, dims_to_walk=[0, 1]).for_space(1), state), 2, 2)
    for row in range(2):
        assert shown[row, :, 2 + row].tolist() == [-1, 1]
        torch.testing.assert_close(shown[row, :, :2], state[X][row].flatten()[:2].expand(2, -1))
    same = LinSpaceWalker(-1, 1, 2, dims_to_walk=[0, 1], same_image=True, space_id=1)
    torch.testing.assert_close(codes(run(same, state), 4)[:, :2], state[X][0].flatten()[:2].expand(4, -1))


def test_a_dimension_has_to_be_in_every_walked_space() -> None:
    walker = LinSpaceWalker(dims_to_walk=[2])
    with pytest.raises(UserError, match="2 is not one of the 1 latent dimensions of latent space 1, 0 to 0"):
        run(walker, make_state(Space(3), Space(1)))
    run(walker.for_space(0), make_state(Space(3), Space(1)))


def integrated_kl(mean: float, prior: Distribution) -> float:
    """KL(N(mean, 1) || prior) by the trapezium rule."""
    x = torch.linspace(mean - 12, mean + 12, 200_001, dtype=torch.float64)
    log_q = -((x - mean).square() + math.log(2 * math.pi)) / 2
    return float(torch.trapezoid(log_q.exp() * (log_q - prior.log_prob(x)), x))


def test_a_kl_without_a_closed_form_is_estimated_the_same_at_every_call() -> None:
    posterior, prior = Normal(torch.tensor([[0.0, 1.0, 4.0]]).expand(500, -1), 1.0), StudentT(5.0).expand((3,))
    torch.manual_seed(1)
    kl = kl_per_dimension(posterior, prior)
    after = torch.rand(1)
    expected = [integrated_kl(mean, StudentT(torch.tensor(5.0, dtype=torch.float64))) for mean in (0.0, 1.0, 4.0)]
    log_ratio = posterior.log_prob(sample := posterior.sample((100,))) - prior.log_prob(sample)
    for dim in range(3):  # to 4 standard errors of 500 * 64 samples
        assert kl[dim].item() == pytest.approx(expected[dim], abs=4 * float(log_ratio[..., dim].std()) / 32_000**0.5)
    assert torch.equal(kl, kl_per_dimension(posterior, prior))
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(1))


def test_an_infinite_kl_comes_first_and_one_that_is_no_number_last() -> None:
    def posterior(raw: Tensor) -> Distribution:
        means = torch.tensor([1.0, torch.nan, 2.0, 1e30]).expand(len(raw), -1)
        return Normal(means, torch.ones_like(means), validate_args=False)

    state = make_state(Space(4, posterior=posterior))
    grid = run(LinSpaceWalker(dims_to_walk=None), state)
    assert [label.split()[:2] for label in grid.row_labels] == [
        ["z3", "inf"], ["z2", "2.00"], ["z0", "0.50"], ["z1", "nan"]
    ]  # fmt: skip


def test_a_posterior_that_leaves_the_prior_has_an_infinite_kl() -> None:
    # torch has no KL of these two; a sample of the normal is negative almost surely
    grid = run(LinSpaceWalker(), make_state(Space(4, Weibull(1.0, 2.0))))
    assert grid.row_labels[0] == "z0   inf nats"


def test_nothing_is_asked_of_a_space_that_is_not_walked() -> None:
    state: State = make_state(Space(2), Space(2, Gamma(2.0, 1.0)))
    assert len(run(LinSpaceWalker().for_space(0), state).images) == 8  # the gamma has no icdf


def test_from_yaml(experiment: Callable[..., Engine], tmp_path: Path) -> None:
    overrides = (
        "visualisation=[linspace]",
        "visualisation.linspace.walk=quantile",
        "visualisation.linspace.space_id=0",
    )
    walker = pictures_of(experiment(*overrides, folder=tmp_path)).walkers["linspace"]
    assert (walker.walk, walker.space_id, walker.phase, walker.row_size) == ("quantile", 0, "validation", 8)
    with pytest.raises(UserError) as told:
        experiment("visualisation.traversal.dims_to_walk=[0,12]", "visualisation.samples.space_id=1", folder=tmp_path)
    assert str(told.value).splitlines() == [
        "visualisation.traversal.dims_to_walk: 12 is not one of the 10 latent dimensions, 0 to 9",
        "visualisation.samples.space_id: there is no latent space 1, the model has 1",
    ]
