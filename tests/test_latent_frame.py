"""Frames that are turned: found from known mixtures, changing no image and no distance, the same after any break."""

import copy
import itertools
import json
import logging
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from test_step import graphs_alone
from torch import Tensor
from torch.distributions import Normal

from vae_runner.architectures import MLPDecoder, MLPEncoder
from vae_runner.auto_encoder import VAE
from vae_runner.distributions import SimpleNormal
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.experiment.assemble import assemble
from vae_runner.experiment.checking.check import check
from vae_runner.experiment.notices.turns import turns_to_come
from vae_runner.latent_frame import AlignedNormalSpace
from vae_runner.latent_frame.fast_ica import nearest_orthogonal, unmixing
from vae_runner.latent_frame.least_turn import assigned, least_moving, least_turn
from vae_runner.latent_space import LatentSpace
from vae_runner.likelihood import Bernoulli
from vae_runner.state import LOSS, TURNS

__all__ = ["graphs_alone"]  # a fixture

Experiment = Callable[..., Engine]
PLAIN = (
    *("engine.threads=1", "engine.precision=fp32", "engine.compile=false", "divergence=kl", "architecture=mlp"),
    *("architecture.encoder.hidden=[32]", "architecture.decoder.hidden=[32]"),
)
TURNED = (*PLAIN, "distribution=normal_aligned", "distribution.threshold=0", "distribution.align=[2,5]")
TURNED += ("distribution.most=null",)


def sources(count: int = 10_000) -> Tensor:
    """Independent numbers of unit variance, (count, 4): flat, with two modes, with heavy tails, and triangular."""
    flat, sign, width, tails, one, other = torch.rand(6, count, generator=torch.Generator().manual_seed(1)).double()
    laplace = -(2 * tails - 1).sign() * torch.log1p(-(2 * tails - 1).abs()) / math.sqrt(2)
    two = ((sign < 0.5).double() * 2 - 1 + 0.3 * (width - 0.5)) / math.sqrt(1 + 0.09 / 12)
    return torch.stack([(flat - 0.5) * math.sqrt(12), two, laplace, (one + other - 1) * math.sqrt(6)], 1)


def rotation(dims: int, degrees: float) -> Tensor:
    """By that angle in the plane of each two neighbouring axes, one after the other; float64."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    whole = torch.eye(dims, dtype=torch.float64)
    for axis in range(dims - 1):
        plane = torch.eye(dims, dtype=torch.float64)
        plane[axis : axis + 2, axis : axis + 2] = torch.tensor([[cos, -sin], [sin, cos]])
        whole = plane @ whole
    return whole


def random_orthogonal(dims: int, seed: int) -> Tensor:
    return nearest_orthogonal(
        torch.randn(dims, dims, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    )


def small_vae(space: LatentSpace) -> VAE:
    torch.manual_seed(0)
    shape = (1, 8, 8)
    return VAE(MLPEncoder(shape, hidden=[32]), [space], MLPDecoder(space.dims, shape, hidden=[32]), Bernoulli())


# FastICA, and the least turn


@pytest.mark.parametrize("seed", range(4))
def test_sources_are_found_whatever_orthogonal_matrix_has_mixed_them(seed: int) -> None:
    mixing = random_orthogonal(4, seed)
    found = (unmixing(sources() @ mixing.T, 200) @ mixing).abs()  # of each source in each component
    assert sorted(found.argmax(1).tolist()) == [0, 1, 2, 3]
    assert found.amax(1).tolist() == pytest.approx([1] * 4, abs=0.03)
    assert found.sum().item() == pytest.approx(4, abs=0.2)


def test_a_square_of_places_is_turned_upright_from_45_degrees() -> None:
    # where the two axes look alike, and the identity, from which the search starts, is the worst of all frames
    places = torch.rand(20_000, 2, generator=torch.Generator().manual_seed(0)).double() - 0.5
    mixing = rotation(2, 45)
    turned = places @ mixing.T @ least_turn(places @ mixing.T, 200).T
    correlation = torch.corrcoef(torch.cat([places, turned], 1).T)[:2, 2:].abs()
    assert (correlation.amax(1) > 0.999).all()


def test_what_is_found_has_unit_covariance() -> None:
    x = sources() @ torch.diag(torch.tensor([1.0, 5.0, 0.2, 1.0]).double()) @ random_orthogonal(4, 0).T
    found = x @ unmixing(x, 50).T
    torch.testing.assert_close(torch.cov(found.T, correction=0), torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize("seed", range(3))
def test_of_codes_without_components_the_search_comes_to_rest_all_the_same(seed: int) -> None:
    # five normal numbers, of which the published step goes round in circles
    x = torch.randn(500, 5, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(least_turn(x, 200), least_turn(x, 201), atol=1e-6, rtol=0)


def test_no_rotation_of_many_has_more_contrast_than_the_one_that_is_found() -> None:
    def contrast(y: Tensor) -> float:
        return (torch.log(torch.cosh(y)).mean(0) - 0.3745672).abs().sum().item()

    # the nearest maximum to the identity has less here than some
    x = torch.randn(300, 3, generator=torch.Generator().manual_seed(2)).double()
    found = (x - x.mean(0)) @ unmixing(x, 200).T
    others = (contrast(found @ random_orthogonal(3, seed).T) for seed in range(1000))
    assert contrast(found) > max(others)


def evenly_spread(count: int = 10_000) -> Tensor:
    """Independent numbers of unit variance, (count, 3): flat, triangular, and spread along half a sine's arch."""
    flat, one, other, arch = torch.rand(4, count, generator=torch.Generator().manual_seed(1)).double()
    arched = torch.asin(2 * arch - 1) / math.sqrt(math.pi**2 / 4 - 2)  # its variance by an integral
    return torch.stack([(flat - 0.5) * math.sqrt(12), (one + other - 1) * math.sqrt(6), arched], 1)


@pytest.mark.parametrize("seed", range(4))
def test_sub_gaussian_sources_are_found_whatever_orthogonal_matrix_has_mixed_them(seed: int) -> None:
    mixing = random_orthogonal(3, seed)
    found = (unmixing(evenly_spread() @ mixing.T, 200, "sub_gaussian") @ mixing).abs()
    assert sorted(found.argmax(1).tolist()) == [0, 1, 2]
    assert found.amax(1).tolist() == pytest.approx([1] * 3, abs=0.03)


@pytest.mark.parametrize("seed", range(3))
def test_each_step_towards_flat_components_leads_up_whatever_the_sources(seed: int) -> None:
    x = sources() @ random_orthogonal(4, seed).T  # one has heavy tails
    ends = [(x - x.mean(0)) @ unmixing(x, steps, "sub_gaussian").T for steps in (1, 2, 3, 5, 8, 20, 60)]
    found = [torch.log(torch.cosh(y)).mean(0).sum().item() for y in ends]
    assert all(after >= before - 1e-12 for before, after in itertools.pairwise(found))
    assert found[-1] > found[0]


def test_no_rotation_of_many_is_flatter_than_the_one_that_is_found() -> None:
    x = torch.randn(300, 3, generator=torch.Generator().manual_seed(2)).double()
    found = (x - x.mean(0)) @ unmixing(x, 200, "sub_gaussian").T
    others = (torch.log(torch.cosh(found @ random_orthogonal(3, seed).T)).mean(0).sum() for seed in range(1000))
    assert torch.log(torch.cosh(found)).mean(0).sum() > max(others)
    assert not torch.allclose(unmixing(x, 200, "sub_gaussian"), unmixing(x, 200))
    space = AlignedNormalSpace(3, threshold=1.0, sources="sub_gaussian")
    space.turn(x, torch.full((3,), 3.0))
    torch.testing.assert_close(space.frame.double(), least_turn(x, 200, "sub_gaussian"), atol=1e-6, rtol=0)


def test_the_least_turn_takes_back_the_rotation_that_mixed_the_sources() -> None:
    mixing = rotation(4, 25)
    turn = least_turn(sources() @ mixing.T, 200)
    torch.testing.assert_close(turn, mixing.T, atol=0.03, rtol=0)
    torch.testing.assert_close(turn @ turn.T, torch.eye(4, dtype=torch.float64))


def test_latents_of_different_widths_are_turned_as_if_they_had_one() -> None:
    # W of the codes diag(w) A s is A^T diag(1/w), to which A^T is nearest only in coordinates of unit variance
    widths, mixing = torch.tensor([1.0, 0.3, 3.0, 0.7]).double(), rotation(4, 25)
    turn = least_turn(sources() @ mixing.T * widths, 200)
    torch.testing.assert_close(turn, mixing.T, atol=0.03, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_order_and_signs_move_less(seed: int) -> None:
    given = random_orthogonal(5, seed)
    found = least_moving(given)
    orders = (given[list(order)] for order in itertools.permutations(range(5)))
    assert found.trace().item() == pytest.approx(max(order.diagonal().abs().sum().item() for order in orders))
    assert (found.diagonal() >= 0).all()
    assert (found.abs() @ given.abs().T).amax(1).tolist() == pytest.approx([1] * 5)  # its rows, or their negatives


@pytest.mark.parametrize("count", [1, 2, 6, 60])
def test_an_assignment_takes_each_row_once_and_no_exchange_betters_it(count: int) -> None:
    worth = np.random.default_rng(count).random((count, count))
    rows = assigned(worth)
    assert sorted(rows.tolist()) == list(range(count))
    if count <= 6:
        best = max(sum(worth[order[i], i] for i in range(count)) for order in itertools.permutations(range(count)))
        assert worth[rows, range(count)].sum() == pytest.approx(best)
    for i, j in itertools.combinations(range(count), 2):
        assert worth[rows[i], i] + worth[rows[j], j] >= worth[rows[i], j] + worth[rows[j], i] - 1e-12


# The space


def turned_space(dims: int = 4, prior: SimpleNormal | Normal | None = None) -> AlignedNormalSpace:
    """A space after a turn by 30 degrees or so of all its latents."""
    space = AlignedNormalSpace(dims, prior=prior, threshold=1.0)
    codes = sources()[:, :dims] @ rotation(dims, 30).T
    turn = space.turn(codes, torch.full((dims,), 3.0))
    assert turn.latents == tuple(range(dims))
    assert min(turn.degrees) > 10
    return space


@pytest.mark.parametrize("prior", [None, SimpleNormal(0.5, 0.3), Normal(torch.tensor([1.0, -2.0, 0.0, 3.0]), 2.0)])
def test_a_turn_changes_neither_the_images_of_means_nor_distances_nor_the_prior(
    prior: SimpleNormal | Normal | None,
) -> None:
    space = AlignedNormalSpace(4, prior=prior, threshold=1.0)
    vae, x = small_vae(space).eval(), torch.rand(20, 1, 8, 8)
    with torch.no_grad():
        codes, images = vae.codes(x)[0], vae.decode(vae.codes(x)[0])
        nats = torch.distributions.kl_divergence(vae.posteriors(x)[0], vae.priors()[0]).sum(1)
        space.turn(sources() @ rotation(4, 30).T, torch.full((4,), 3.0))
        turned = vae.codes(x)[0]
        assert (turned - codes).norm() > 0.1 * codes.norm()
        torch.testing.assert_close(vae.decode(turned), images, rtol=0, atol=1e-5)
        torch.testing.assert_close(torch.cdist(turned, turned), torch.cdist(codes, codes), rtol=1e-4, atol=1e-5)
        after = torch.distributions.kl_divergence(vae.posteriors(x)[0], vae.priors()[0]).sum(1)
        torch.testing.assert_close(after, nats)  # of means as far from the prior's, and the variances that there were


def test_a_turn_points_the_latents_along_the_sources() -> None:
    space, mixed = AlignedNormalSpace(4, threshold=1.0), sources() @ rotation(4, 40).T
    space.turn(mixed, torch.full((4,), 3.0))
    means = space.posterior(torch.cat([mixed.float(), torch.zeros(len(mixed), 4)], 1)).mean
    correlation = torch.corrcoef(torch.cat([sources(), means.double()], 1).T)[:4, 4:].abs()
    assert (correlation.amax(1) > 0.995).all()


def test_turns_follow_on_one_another() -> None:
    space, mixed = AlignedNormalSpace(4, threshold=1.0), sources() @ rotation(4, 40).T
    means = lambda: space.posterior(torch.cat([mixed.float(), torch.zeros(len(mixed), 4)], 1)).mean  # noqa: E731
    space.turn(means(), torch.full((4,), 3.0))
    again = space.turn(means(), torch.full((4,), 3.0))
    assert max(again.degrees) < 1  # it is there already
    torch.testing.assert_close(space.frame @ space.frame.T, torch.eye(4), atol=1e-6, rtol=0)


def test_only_latents_above_the_threshold_are_turned() -> None:
    space = AlignedNormalSpace(6, threshold=2.0)
    codes = torch.cat([sources()[:, :1], torch.randn(10_000, 1), sources()[:, 1:], torch.randn(10_000, 1)], 1)
    mixed = codes.clone()
    mixed[:, [0, 2, 3]] = codes[:, [0, 2, 3]] @ rotation(3, 30).T.to(codes)
    turn = space.turn(mixed, torch.tensor([2.5, 1.9, 2.1, 4.0, 0.0, 2.0]))
    assert turn.latents == (0, 2, 3)
    still = torch.tensor([1, 4, 5])
    assert torch.equal(space.frame[still], torch.eye(6)[still])
    torch.testing.assert_close(space.frame[:, still], torch.eye(6)[:, still], atol=1e-7, rtol=0)
    expected = rotation(3, 30).T.diagonal().clamp(-1, 1).acos() * 180 / math.pi
    assert turn.degrees == pytest.approx(expected.tolist(), abs=2)


def test_of_these_so_many_at_most_are_turned_those_that_carry_most() -> None:
    space = AlignedNormalSpace(6, threshold=2.0, most=3)
    turn = space.turn(torch.randn(10_000, 6), torch.tensor([2.5, 3.5, 2.1, 4.0, 1.0, 2.6]))
    assert turn.latents == (1, 3, 5)
    assert torch.equal(space.frame[[0, 2, 4]], torch.eye(6)[[0, 2, 4]])
    few = AlignedNormalSpace(3, threshold=2.0, most=3).turn(torch.randn(10_000, 3), torch.tensor([2.5, 1.0, 2.1]))
    assert few.latents == (0, 2)


@pytest.mark.parametrize(
    ("means", "nats", "why"),
    [
        (torch.randn(50, 4), [0.1, 0.2, 0.3, 0.4], "none of 4 latents carry more than 2 nats"),
        (torch.randn(50, 4), [0.1, 2.2, 0.3, 2.0], "1 of 4 latents carries more than 2 nats"),
        (torch.randn(50, 4) * math.nan, [3, 3, 3, 3], "the codes are not finite"),
        (torch.randn(3, 4), [3, 3, 3, 0], "3 images are too few to tell 3 latents apart"),
        (torch.randn(50, 1).expand(-1, 4), [3, 3, 3, 3], "50 images are too few to tell 4 latents apart"),
        (torch.ones(50, 4), [3, 3, 3, 3], "50 images are too few to tell 4 latents apart"),
    ],
)
def test_where_there_is_nothing_to_turn_the_frame_stays_and_it_is_said(
    means: Tensor, nats: list[float], why: str
) -> None:
    space = AlignedNormalSpace(4)
    turn = space.turn(means, torch.tensor(nats, dtype=torch.float32))
    assert (turn.latents, turn.degrees, turn.why) == ((), (), why)
    assert torch.equal(space.frame, torch.eye(4))


def test_the_frame_is_applied_in_float32_where_the_networks_are_in_bf16() -> None:
    space, raw = turned_space(), torch.randn(8, 8)
    codes, frame = raw[:, :4].double(), space.frame.double()
    with torch.autocast("cpu", torch.bfloat16):
        mean, z = space.posterior(raw).mean, space.decoded(raw[:, :4])
    torch.testing.assert_close(mean.double(), codes @ frame.T, rtol=0, atol=1e-6)
    torch.testing.assert_close(z.double(), codes @ frame, rtol=0, atol=1e-6)
    assert space.posterior(raw.bfloat16()).mean.dtype == torch.float32


def test_the_bound_of_many_samples_has_the_turned_codes_decoded(experiment: Experiment) -> None:
    engine = experiment(*TURNED, "divergence=iwae", "divergence.samples=4")
    model = engine.objective.model
    model.spaces[0].frame.copy_(random_orthogonal(10, 3))
    with torch.no_grad():
        model.head.weight[10:].zero_()
        model.head.bias[10:].fill_(-1e3)  # so narrow that samples are the means
    seen, x = [], engine.train.batch(torch.arange(5))
    model.decoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    engine.objective(x, x)
    mu = model.head(model.encoder(x))[:, :10].detach()
    assert sum(len(codes) for codes in seen) == 4 * 5
    torch.testing.assert_close(torch.cat(seen), mu.repeat(4, 1), atol=1e-3, rtol=1e-3)


# In a run


def state_of(engine: Engine) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in engine.objective.state_dict().items()}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_up_to_its_first_turn_a_run_is_that_of_a_plain_normal_space(experiment: Experiment, precision: str) -> None:
    plain = experiment(*PLAIN, f"engine.precision={precision}", "distribution=normal")
    aligned = experiment(*TURNED, f"engine.precision={precision}")
    for _ in range(2):
        assert torch.equal(aligned.train_step()[LOSS], plain.train_step()[LOSS])
    state = state_of(aligned)
    assert torch.equal(state.pop("model.spaces.0.frame"), torch.eye(10))
    assert_equal(state, state_of(plain))
    assert not torch.equal(aligned.train_step()[LOSS], plain.train_step()[LOSS])


def test_a_turn_moves_the_frame_and_nothing_else(experiment: Experiment) -> None:
    engine = experiment(*TURNED, "corruption=gaussian_noise")
    engine.train.flip = True
    engine.train_step()
    engine.train_step()
    before, noise = state_of(engine), torch.get_rng_state()
    (turn,) = engine.turning.behind(2).values()
    assert turn.latents == tuple(range(10))
    after = state_of(engine)
    assert not torch.equal(before.pop("model.spaces.0.frame"), after.pop("model.spaces.0.frame"))
    assert_equal(before, after)
    assert torch.equal(torch.get_rng_state(), noise)
    assert engine.objective.training
    assert engine.turning.behind(3) == {}


def test_a_step_knows_what_was_turned_before_it(experiment: Experiment) -> None:
    engine = experiment(*TURNED)
    turns = [engine.train_step()[TURNS] for _ in range(7)]
    assert [bool(of_step) for of_step in turns] == [False, False, True, False, False, True, False]


def test_the_images_of_a_turn_are_drawn_from_seed_and_step(experiment: Experiment) -> None:
    def looked_at(step: int, *settings: str) -> Tensor:
        engine, seen = experiment(*TURNED, "distribution.images=30", *settings), []
        engine.turning.train.batch = lambda positions: seen.append(positions) or engine.train.data.gather(positions)
        engine.turning.behind(step)
        return torch.cat(seen)

    positions = looked_at(2)
    assert len(positions.unique()) == len(positions) == 30
    assert torch.equal(looked_at(2), positions)
    assert not torch.equal(looked_at(5), positions)
    assert not torch.equal(looked_at(2, "seed=1"), positions)


def test_a_run_that_was_broken_before_at_or_behind_a_turn_goes_on_to_the_bit(experiment: Experiment) -> None:
    unbroken, resumed = (experiment(*TURNED, "engine.steps=7") for _ in range(2))
    saved = []
    while unbroken.step < 7:
        saved.append(copy.deepcopy(unbroken.state_dict()))
        unbroken.train_step()
    frames = {tuple(state["objective"]["model.spaces.0.frame"].flatten().tolist()) for state in saved}
    assert len(frames) == 3  # before, between and behind the turns
    for state in saved:
        resumed.load_state_dict(copy.deepcopy(state))
        while resumed.step < 7:
            resumed.train_step()
        assert_equal(state_of(resumed), state_of(unbroken))


def turn_records(folder: Path) -> list[dict]:
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [record for record in records if record["split"] == "turn"]


def test_each_turn_is_logged_and_recorded_once_also_where_the_run_was_broken_there(
    experiment: Experiment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = (*TURNED, "visualisation=[]", "engine.steps=7", "engine.checkpoint_every=1")
    first = experiment(*settings, folder=tmp_path)
    with caplog.at_level(logging.INFO), first.session():
        for _ in range(3):
            if first.step == 2:
                kept = copy.deepcopy(first.state_dict())
            first.advance()
    (record,) = turn_records(tmp_path)
    assert (record["step"], record["latents"]) == (2, list(range(10)))
    assert record["epoch"] == pytest.approx(2 / first.order.steps_per_epoch)
    angles = ", ".join(f"{angle:.0f}" for angle in record["degrees"])
    told = "latents 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 turned to independent components of"
    assert f"step 2: {told} {len(first.train)} images, by {angles} degrees" in caplog.messages
    second = experiment(*settings, folder=tmp_path)
    second.load_state_dict(kept)
    second.run()
    assert [one["step"] for one in turn_records(tmp_path)] == [2, 5]
    assert turn_records(tmp_path)[0]["degrees"] == record["degrees"]


def test_where_too_few_latents_carry_enough_nothing_is_turned_and_it_is_said(
    experiment: Experiment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = (*TURNED, "distribution.threshold=50", "distribution.align=[2]", "visualisation=[]", "engine.steps=3")
    engine = experiment(*settings, folder=tmp_path)
    with caplog.at_level(logging.INFO):
        engine.run()
    why = "none of 10 latents carry more than 50 nats"
    assert f"step 2: nothing is turned: {why}" in caplog.messages
    (record,) = turn_records(tmp_path)
    assert (record["latents"], record["degrees"], record["why"]) == ([], [], why)
    assert torch.equal(engine.objective.model.spaces[0].frame, torch.eye(10))


def test_of_mixed_latents_the_normal_part_is_turned(experiment: Experiment, tmp_path: Path) -> None:
    settings = [choice.replace("distribution.", "distribution.space0.") for choice in TURNED[len(PLAIN) + 1 :]]
    mixed = (*PLAIN, "distribution=mixed", "distribution@distribution.space0=normal_aligned", *settings)
    engine = experiment(*mixed, "divergence=per_space", "engine.steps=4", folder=tmp_path)
    engine.run()
    (record,) = turn_records(tmp_path)
    assert record["space0/latents"] == list(range(6))
    model = engine.objective.model
    frame = model.spaces[0].frame
    seen, z = [], (torch.randn(3, 6), torch.rand(3, 4))
    model.decoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model.decode(z)
    torch.testing.assert_close(seen[0][:, :6], z[0] @ frame)
    assert torch.equal(seen[0][:, 6:], z[1])
    assert not torch.allclose(seen[0][:, :6], z[0])


@pytest.mark.slow
def test_a_turned_run_is_the_same_compiled(
    experiment: Experiment, graphs_alone: None, caplog: pytest.LogCaptureFixture
) -> None:
    def losses(compiles: str) -> list[float]:
        engine = experiment(*TURNED, f"engine.compile={compiles}", "engine.steps=7")
        engine.prepare()
        return [engine.train_step()[LOSS].item() for _ in range(7)]

    assert losses("true") == pytest.approx(losses("false"), rel=1e-5)
    assert "going on without" not in caplog.text


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["distribution/prior=laplace"], "prior: SimpleLaplace is not the same in every direction: a turn would"),
        (["distribution/prior=uniform"], "prior: SimpleUniform is not the same in every direction"),
        (["distribution/prior=mixture", "divergence.samples=2"], "prior: MixturePrior is not the same in every"),
        (["distribution/prior=vamp", "divergence.samples=2"], "prior: VampPrior is not the same in every"),
    ],
)
def test_a_prior_that_a_turn_would_change_is_refused_in_one_line(
    compose: Callable[..., DictConfig], settings: list[str], message: str
) -> None:
    config, problems = check(compose("dataset=toy", "divergence=kl", "distribution=normal_aligned", *settings))
    assert problems == []
    with pytest.raises(UserError, match=message) as raised:
        assemble(config)
    assert "take distribution=normal, or a normal prior of one variance" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_normal_prior_of_several_variances_is_refused() -> None:
    with pytest.raises(ValueError, match=r"prior: its variances differ, \[1.0, 2.71\d+\]: a turn would change it"):
        AlignedNormalSpace(2, prior=SimpleNormal(torch.zeros(2), torch.tensor([0.0, 1.0])))
    with pytest.raises(ValueError, match="logvar must be in Real"):
        AlignedNormalSpace(2, prior=SimpleNormal(0.0, math.nan))


@pytest.mark.parametrize("family", ["laplace", "exponential", "uniform", "weibull", "gamma", "categorical", "normal"])
def test_other_families_have_no_turns(compose: Callable[..., DictConfig], family: str) -> None:
    _, problems = check(compose("dataset=toy", f"distribution={family}", "+distribution.align=[100]"))
    near = "dims" if family == "categorical" else "open"
    assert problems == [f"no setting called 'distribution.align'. Did you mean distribution.{near}?"]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("align=[0]", "must be positive"),
        ("align=[5,5]", "must rise from each step to the next"),
        ("align=[5,2]", "must rise from each step to the next"),
        ("align=[2.5]", "expected list of int"),
        ("align=7", "expected list of int"),
        ("threshold=-1", "must not be negative"),
        ("threshold=inf", "must be finite"),
        ("most=1", "must be at least 2"),
        ("images=9", "must lie between 10 and 1,000,000"),
        ("images=2e6", "must lie between 10 and 1,000,000"),
        ("iterations=0", "must lie between 1 and 10,000"),
        ("iterations=20000", "must lie between 1 and 10,000"),
        ("sources=flat", "expected one of any, sub_gaussian, got 'flat'"),
        ("dims=1001", "must be at most 1,000"),
    ],
)
def test_settings_out_of_their_ranges_are_refused(
    compose: Callable[..., DictConfig], setting: str, problem: str
) -> None:
    _, (line,) = check(compose("dataset=toy", "distribution=normal_aligned", f"distribution.{setting}"))
    assert line.startswith(f"distribution.{setting.partition('=')[0]}")
    assert problem in line


def test_the_turns_to_come_are_told_and_those_that_will_not_come(experiment: Experiment) -> None:
    engine = experiment(
        *TURNED,
        *("distribution.align=[2,5,1000,2000]", "distribution.threshold=2.5", "distribution.most=4"),
        "engine.steps=1000",
    )
    coming = "frame the 4 latents that carry most, of more than 2.5 nats are turned to their independent components"
    coming += " behind"
    beyond = "frame nothing is turned behind steps 1,000, 2,000: the run ends at 1,000"
    assert list(turns_to_come(engine)) == [f"{coming} steps 2, 5", beyond]
    engine.step = 3
    assert list(turns_to_come(engine)) == [f"{coming} step 5", beyond]
    engine.step = 6
    assert list(turns_to_come(engine)) == [beyond]
    assert list(turns_to_come(experiment(*TURNED, "distribution.align=[]"))) == [
        "frame align is empty: nothing is turned"
    ]
    assert list(turns_to_come(experiment(*PLAIN))) == []
    every = experiment(*TURNED, "engine.steps=4", "distribution.most=null")
    assert next(turns_to_come(every)).startswith("frame latents of more than 0 nats are turned ")
    flat = experiment(*TURNED, "distribution.sources=sub_gaussian")
    assert "turned to their sub-Gaussian independent components" in next(turns_to_come(flat))
