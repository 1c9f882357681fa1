"""Pairs that share factors: against values computed elsewhere, against the paper's loss written out, and whose partner
is whose.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from oracles import close, objective_cases
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from toy import Bars

from vae_runner.cli import run
from vae_runner.datasets.completion import completed
from vae_runner.datasets.factors import Factor, FactorGrid
from vae_runner.datasets.split import EpochOrder, Partners, Subset
from vae_runner.datasets.split.partners import agreeing
from vae_runner.distributions import SimpleNormal
from vae_runner.divergence import DivergenceBase
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.experiment.checking.check import check
from vae_runner.objective import Objective, PairAveraging
from vae_runner.objective.pairs import averaged, precision_averaged, shared_latents
from vae_runner.state import LOSS, METRICS, PARTNER, PARTNER_TRUE, RECON, posterior_key, prior_key

Make = Callable[..., Engine]


class Recon(DivergenceBase):
    """The reconstruction again, of pairs that differ in two factors."""

    takes_partners = True
    differ = 2

    def __init__(self) -> None:
        super().__init__({"recon": RECON})

    def compute(self, recon: Tensor) -> Tensor:
        return recon


class Own:
    """Gray images of a user's."""

    def __init__(self, grid: FactorGrid | None) -> None:
        self.count = 1
        if grid is not None:
            self.grid, self.count = grid, len(grid)

    def __len__(self) -> int:
        return self.count

    def gather(self, indices: Tensor) -> Tensor:
        return torch.full((len(indices), 1, 16, 16), 0.5)


KEYS = ((posterior_key(0),), (prior_key(0),))
SMALL = ("dataset=bars", "architecture=mlp", "engine.threads=1", "visualisation=[]")


@objective_cases("ada_pairs")
def test_what_is_shared_and_how_it_is_averaged_are_as_computed_elsewhere(case: dict, dtype: torch.dtype) -> None:
    both = [
        SimpleNormal(torch.tensor([mu], dtype=dtype), torch.tensor([logvar], dtype=dtype))
        for mu, logvar in zip(case["mu"], case["logvar"], strict=True)
    ]
    divergence = torch.distributions.kl_divergence(*both)
    close(divergence[0], case["kl"], max(case["kl"]))
    assert shared_latents(divergence)[0].tolist() == case["shared"]
    for average, name in (("gvae", "gvae"), ("ml_vae", "mlvae")):
        term = PairAveraging(*KEYS, dims=len(case["shared"]), average=average)
        *found, shared = term.merged((both[0],), (both[1],))
        assert shared[0].tolist() == case["shared"]
        for (q,), mu, variance in zip(found, case[f"{name}_mu"], case[f"{name}_var"], strict=True):
            close(q.mean[0], mu)
            close(q.variance[0], variance)


@pytest.mark.parametrize("average", [averaged, precision_averaged])
def test_the_average_of_equals_is_the_same_and_its_gradient_right_far_out(average: Callable[..., SimpleNormal]) -> None:
    q = SimpleNormal(torch.tensor([0.3]), torch.tensor([-2.0]))
    found = average(q, q)
    torch.testing.assert_close(torch.stack([found.mu, found.logvar]), torch.stack([q.mu, q.logvar]))

    def values(*numbers: Tensor) -> Tensor:
        made = average(SimpleNormal(*numbers[:2]), SimpleNormal(*numbers[2:]))
        return torch.stack([made.mu, made.logvar])

    ends = [torch.tensor([end], dtype=torch.float64, requires_grad=True) for end in (1.0, 20.0, -2.0, -20.0)]
    assert torch.autograd.gradcheck(values, ends)


def test_where_all_latents_differ_alike_none_is_shared_and_never_the_one_that_differs_most() -> None:
    assert not shared_latents(torch.full((1, 4), 0.7)).any()
    divergence = torch.rand(200, 6, generator=torch.Generator().manual_seed(0))
    shared = shared_latents(divergence)
    assert not shared.gather(1, divergence.argmax(1, keepdim=True)).any()
    assert shared.gather(1, divergence.argmin(1, keepdim=True)).all()


@pytest.mark.parametrize("average", ["gvae", "ml_vae"])
def test_the_loss_is_the_papers_written_out(average: str, experiment: Make) -> None:
    engine = experiment(*SMALL, f"divergence=ada_{average}", "divergence.beta=3", "divergence.differ=2")
    model = engine.objective.model
    x, partner = engine.batches.at(0)
    torch.manual_seed(5)
    found = engine.objective(x, x, partner, partner)
    torch.manual_seed(5)
    torch.randn(len(x), 10)  # of the code that is measured
    q1, q2 = (Normal(q.mean, q.stddev) for (q,) in (model.posteriors(x), model.posteriors(partner)))
    delta = kl_divergence(q1, q2)
    tau = ((delta.max(1).values + delta.min(1).values) / 2)[:, None]
    precision = 1 / q1.variance + 1 / q2.variance
    if average == "gvae":
        mu, variance = (q1.mean + q2.mean) / 2, (q1.variance + q2.variance) / 2
    else:
        mu, variance = (q1.mean / q1.variance + q2.mean / q2.variance) / precision, 2 / precision
    losses = []
    for image, q in ((x, q1), (partner, q2)):
        both = [torch.where(delta < tau, *pair) for pair in ((mu, q.mean), (variance, q.variance))]
        merged = Normal(both[0], both[1].sqrt())
        logits = model.decoder(merged.mean + merged.stddev * torch.randn(len(x), 10))
        recon = -torch.distributions.Bernoulli(logits=logits, validate_args=False).log_prob(image).flatten(1).sum(1)
        losses.append((recon + 3 * kl_divergence(merged, Normal(0.0, 1.0)).sum(1)).mean())
    expected = sum(losses) / 2
    torch.testing.assert_close(found[LOSS], expected, rtol=1e-5, atol=1e-4)
    assert found[METRICS]["shared"].item() == pytest.approx((delta < tau).sum(1).float().mean().item())
    weights = list(model.parameters())
    for one, other in zip(torch.autograd.grad(found[LOSS], weights), torch.autograd.grad(expected, weights)):  # noqa: B905
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("differ", [1, 3, None])
@pytest.mark.parametrize("count", [None, 150])
def test_partners_are_training_images_that_differ_in_so_many_factors(count: int | None, differ: int | None) -> None:
    data = completed(Bars(count))
    train = Subset(data, torch.arange(0, len(data) - 20))
    partners = Partners(train, order := EpochOrder(len(train), 32, 3), differ)
    numbers = []
    for step in range(40):
        found, images = partners.indices(step), train.indices[order.positions(step)]
        assert torch.isin(found, train.indices).all()
        classes = [data.grid.classes_of(data.grid_indices(indices)) for indices in (found, images)]
        numbers += (classes[0] != classes[1]).sum(1).tolist()
    assert set(numbers) == ({differ} if differ else {1, 2, 3})


def test_partners_are_a_function_of_seed_and_step_alone() -> None:
    data = completed(Bars())
    train = Subset(data, torch.arange(200))
    orders = [EpochOrder(200, 16, 0) for _ in range(3)]
    orders[2].positions(0)  # kept for the epoch: the same images, under another seed
    orders[2].seed = 1
    one, again, other = (Partners(train, order, 1) for order in orders)
    expected = one.indices(7)
    torch.rand(3)
    again.indices(3)
    assert torch.equal(expected, again.indices(7))
    assert torch.equal(orders[0].positions(7), orders[2].positions(7))
    assert (expected != other.indices(7)).any()
    assert (one.indices(8) != expected).any()


def test_how_many_images_agree_in_so_many_factors_is_counted_without_comparing_each_with_each() -> None:
    grid = Bars().grid
    images = torch.randperm(len(grid), generator=torch.Generator().manual_seed(4))[:90]
    classes = grid.classes_of(images)[:, list(grid.varying)]
    same = (classes[:, None] == classes).sum(2)
    for least in (0, 3):
        found = agreeing(grid, images, least)
        assert set(found) == set(range(least, 5))
        for number, counts in found.items():
            assert torch.equal(counts, (same == number).sum(1))


def test_images_without_a_partner_are_told_before_the_first_step(experiment: Make) -> None:
    with pytest.raises(UserError, match=r"of 20 training images have no partner among them that differs in exactly 1 "):
        experiment(*SMALL, "divergence=ada_gvae", "dataset.limit=60")


def test_a_pair_is_mirrored_and_spoiled_alike_and_the_clean_image_is_the_target(experiment: Make) -> None:
    settings = (*SMALL, "divergence=ada_gvae", "corruption=masking")
    flipped, plain = experiment(*settings, "+dataset.flip=true"), experiment(*settings)
    (x, partner), (image, other) = flipped.batches.at(0), plain.batches.at(0)
    mirrored = flipped.order.flips(0)
    assert 0 < mirrored.sum() < len(mirrored)
    for found, before in ((x, image), (partner, other)):
        assert torch.equal(found, torch.where(mirrored[:, None, None, None], before.flip(-1), before))
    state = plain.train_step()
    assert torch.equal(state[PARTNER_TRUE], other)
    assert not torch.equal(state[PARTNER], other)


def test_validation_knows_no_pairs_and_measures_as_ever(experiment: Make) -> None:
    pairs, plain = (experiment(*SMALL, f"divergence={name}") for name in ("ada_gvae", "kl"))
    found, expected = pairs.validate(), plain.validate()
    assert found.keys() == expected.keys()
    assert {name: found[name] for name in ("recon", "kl", "neg_elbo", "loss", "divergence")} == pytest.approx(
        {name: expected[name] for name in ("recon", "kl", "neg_elbo", "loss", "divergence")}
    )


def test_a_loop_of_ones_own_that_gives_no_partners_is_told(experiment: Make) -> None:
    objective = experiment(*SMALL, "divergence=ada_gvae").objective
    x = torch.rand(4, 1, 16, 16)
    with pytest.raises(ValueError, match=r"PairAveraging trains on pairs: call objective\(x, target, partner"):
        objective(x, x)
    assert objective.eval()(x, x)[LOSS].isfinite()


def test_who_reads_the_reconstruction_beside_pairs_has_its_gradient(experiment: Make) -> None:
    model = experiment(*SMALL).objective.model
    x = torch.rand(4, 1, 16, 16)
    alone, beside = (
        Objective(model, {"pairs": PairAveraging(*KEYS, dims=10), **others}) for others in ({}, {"recon": Recon()})
    )
    assert not alone(x, x, x, x)[RECON].requires_grad
    assert beside(x, x, x, x)[RECON].requires_grad


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["dataset=toy"], "divergence: PairAveraging takes pairs of images that share factors, and Blobs knows none"),
        (["dataset=folder", "dataset.root=x"], "SimpleImageFolder knows none: take a dataset with factors, such as"),
        (["divergence.differ=0"], "divergence.differ must be positive, got 0"),
        (["divergence.differ=1.5"], "divergence.differ"),
        (["divergence.beta=-1"], "divergence.beta must not be negative"),
    ],
)
def test_what_a_config_alone_shows_to_be_wrong_is_told_in_a_line(
    overrides: list[str], words: str, compose: Callable
) -> None:
    _, problems = check(compose(*SMALL, "divergence=ada_gvae", *overrides))
    assert len(problems) == 1
    assert words in problems[0]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["divergence.differ=4"], r"differ must be at most 3, .*\(height, width, place, shade\), got 4: a pair has to"),
        (["distribution=laplace"], "pairs share normal posteriors, and SimpleLaplace is another"),
        (["distribution.dims=1"], "one latent is never shared by a pair; make distribution.dims at least 2"),
    ],
)
def test_what_the_parts_show_to_be_wrong_is_told_in_a_line(overrides: list[str], words: str, experiment: Make) -> None:
    with pytest.raises(UserError, match=words):
        experiment(*SMALL, "divergence=ada_gvae", *overrides)


@pytest.mark.parametrize("sizes", [{"a": 5}, {"a": 1}])
def test_a_set_of_ones_own_with_too_few_factors_or_none_is_told(sizes: dict[str, int]) -> None:
    grid = FactorGrid([Factor(name, tuple(range(size))) for name, size in sizes.items()])
    data = completed(Own(grid))
    with pytest.raises(UserError, match="pairs share all but some of the factors that vary, and here vary"):
        Partners(Subset(data, torch.arange(len(data))), EpochOrder(len(data), 1, 0), 1)
    bare = completed(Own(None))
    with pytest.raises(UserError, match="this dataset knows none: take one with factors, such as dataset=dsprites"):
        Partners(Subset(bare, torch.arange(1)), EpochOrder(1, 1, 0), 1)


def test_time_and_memory_are_tried_on_pairs(experiment: Make) -> None:
    trial = experiment(*SMALL, "divergence=ada_gvae").trial()
    assert trial(4)[PARTNER].shape == (4, 1, 16, 16)


def test_terms_on_pairs_of_several_kinds_are_refused(experiment: Make) -> None:
    engine = experiment(*SMALL, "divergence=ada_gvae")
    engine.objective = Objective(engine.objective.model, {"pairs": PairAveraging(*KEYS, dims=10), "recon": Recon()})
    with pytest.raises(UserError, match="one `differ` in common"):
        engine._partners()


@pytest.mark.slow
def test_a_run_on_pairs_goes_on_and_is_drawn(tmp_path: Path, cache: Path) -> None:
    data = ["dataset=dsprites", "dataset.source=render", "dataset.validation=32", f"dataset.cache_dir={cache}"]
    data += ["dataset.test=32", "dataset.limit=400"]
    engine = ["engine.steps=3", "engine.batch_size=16", "engine.device=cpu", "engine.threads=1"]
    pair = ["divergence=ada_ml_vae", "divergence.differ=null", "visualisation=[traversal,schedule,curves]"]
    assert run([*data, *engine, *pair, f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    assert run([f"resume={tmp_path / 'run'}", "engine.steps=5"]) == 0
    assert '"shared": ' in (tmp_path / "run/metrics.jsonl").read_text()
