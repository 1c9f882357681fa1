"""FactorVAE: its formulas against values computed elsewhere, its two players apart, and a TC that is known."""

import math

import pytest
import torch
from oracles import OBJECTIVES, close, objective_cases
from samples import every
from torch import Tensor
from torch.func import functional_call

from vae_runner.distributions import SimpleNormal
from vae_runner.divergence import AdversarialTC, plain_kl
from vae_runner.divergence.adversary import density_ratio_tc, discriminator, discriminator_loss, judged, permuted
from vae_runner.state import METRICS, SCHEDULED, Y_RAW, State, posterior_key, prior_key, sample_key

SPACE = ((posterior_key(0),), (prior_key(0),), (sample_key(0),))


@objective_cases("factor_vae")
def test_both_players_formulas_are_those_computed_elsewhere(case: dict, dtype: torch.dtype) -> None:
    joint = torch.tensor(case["logits_joint"], dtype=dtype, requires_grad=True)
    of_permuted = torch.tensor(case["logits_permuted"], dtype=dtype)
    tc = density_ratio_tc(joint)
    close(tc, case["tc"])
    close(discriminator_loss(joint, of_permuted), case["discriminator_loss"])
    tc.backward()
    close(joint.grad, [case["tc_gradient_per_logit"]] * len(joint))


def test_each_latent_is_permuted_on_its_own() -> None:
    torch.manual_seed(0)
    codes = torch.arange(200 * 5.0).reshape(200, 5)
    found = permuted(codes)
    torch.testing.assert_close(found.sort(0).values, codes, rtol=0, atol=0)  # every column has the numbers it had
    rows = (found - torch.arange(5.0)) / 5
    for first in range(5):
        for second in range(first):
            assert (rows[:, first] == rows[:, second]).sum() < 8  # one in the mean


@pytest.mark.parametrize(("batch", "dims"), [(2, 2), (2, 3), (3, 2)])
def test_permuted_codes_are_never_all_the_codes_there_were(batch: int, dims: int) -> None:
    torch.manual_seed(0)
    codes = torch.arange(float(batch * dims)).reshape(batch, dims)
    whole = {tuple(row) for row in codes.tolist()}
    for _ in range(100):
        assert {tuple(row) for row in permuted(codes).tolist()} != whole


def term(**settings: object) -> AdversarialTC:
    torch.manual_seed(0)
    return AdversarialTC(*SPACE, **({"dims": 3, "batch_size": 16, "layers": 2, "units": 32} | settings))


def given(batch: int = 16) -> State:
    torch.manual_seed(1)
    raw = torch.randn(2, batch, 3, requires_grad=True)
    q = SimpleNormal(*raw)
    state = {posterior_key(0): q, prior_key(0): SimpleNormal(torch.zeros(3), torch.zeros(3))}
    return {**state, sample_key(0): q.rsample(), METRICS: {}, SCHEDULED: {}}


@pytest.mark.parametrize("layers", [1, 3])
def test_one_pass_of_the_discriminator_has_the_gradients_of_two_apart(layers: int) -> None:
    torch.manual_seed(0)
    network, codes = discriminator(3, layers=layers, units=16).double(), torch.randn(12, 3).double().requires_grad_()
    held = {name: weights.detach() for name, weights in network.named_parameters()}
    found = torch.cat(judged(network, codes, trained=7))
    expected = torch.cat([functional_call(network, held, codes[:7]), network(codes.detach())])
    torch.testing.assert_close(found, expected)
    directions = torch.randn_like(expected)
    gradients = [torch.autograd.grad(one, [codes, *network.parameters()], directions) for one in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_under_bf16_inner_layers_alone_are_rounded() -> None:
    torch.manual_seed(0)
    network, codes = discriminator(3, layers=3, units=64), torch.randn(400, 3)
    exact, rounded = (judged(network, codes, 0, inner)[1] for inner in (None, torch.bfloat16))
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.03, atol=0.02)
    assert not torch.equal(rounded, exact)
    assert len(rounded[:, 0].unique()) > 390  # a bfloat16 has far fewer values there
    gradients = [torch.autograd.grad(one.sin().sum(), list(network.parameters())) for one in (rounded, exact)]
    for one, other in zip(*gradients, strict=True):
        assert one.dtype == torch.float32
        assert 0 < (one - other).norm() < 0.03 * other.norm()
    state = given()
    state[Y_RAW] = torch.zeros(1, dtype=torch.bfloat16)
    plain, narrow = term(), term()
    values = plain.loss(given()), narrow.loss(state)
    assert values[0] != values[1]
    torch.testing.assert_close(*values, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("source", ["second_half", "same_batch"])
def test_the_term_is_the_kl_and_the_weighted_tc(source: str) -> None:
    loss, state = term(gamma=5.0, beta=2.0, permuted=source), given()
    value = loss.loss(state)
    codes = state[sample_key(0)][: 8 if source == "second_half" else 16]
    torch.testing.assert_close(state[METRICS]["tc"], density_ratio_tc(loss.discriminator(codes)).detach())
    kl = plain_kl(posterior_key(0), prior_key(0)).loss(given())
    torch.testing.assert_close(value, 2 * kl + 5 * state[METRICS]["tc"])


def test_each_player_s_loss_moves_its_own_weights_alone() -> None:
    loss, state = term(), given()
    codes = state[sample_key(0)]
    codes.retain_grad()
    loss.loss(state).backward(retain_graph=True)
    assert not any(weights.grad.any() for weights in loss.parameters())
    assert codes.grad.abs().sum() > 0
    before = codes.grad.clone()
    loss.own_loss(state).backward()
    assert all(weights.grad.abs().sum() > 0 for weights in loss.parameters())
    torch.testing.assert_close(codes.grad, before, rtol=0, atol=0)


def test_the_discriminator_is_the_paper_s_with_settings_of_its_own() -> None:
    loss = AdversarialTC(*SPACE, dims=10, batch_size=64)
    layers = [layer for layer in loss.discriminator if isinstance(layer, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [
        (10, 1000), *[(1000, 1000)] * 5, (1000, 2),
    ]  # fmt: skip
    assert {layer.negative_slope for layer in loss.discriminator if isinstance(layer, torch.nn.LeakyReLU)} == {0.2}
    (group,) = loss.parameter_groups()
    assert len(group.pop("params")) == 14
    assert group == {"lr": 1e-4, "betas": (0.5, 0.9)}
    (group,) = term(betas=None).parameter_groups()
    assert group.keys() == {"params", "lr"}


def test_what_the_discriminator_does_is_logged() -> None:
    loss, state = term(), given()
    with torch.no_grad():
        for weights in loss.parameters():
            weights.zero_()
    assert loss.own_loss(state).item() == pytest.approx(math.log(2))
    assert state[METRICS]["d_loss"].item() == pytest.approx(math.log(2))
    assert state[METRICS]["d_accuracy"].item() == 0.5  # undecided logits count for one class
    with torch.no_grad():
        loss.discriminator[-1].bias.copy_(torch.tensor([5.0, 0.0]))
    loss.own_loss(state)
    assert state[METRICS]["d_accuracy"].item() == 0.5


def test_a_last_batch_of_one_image_has_finite_figures() -> None:
    loss, state = term(), given(batch=1)
    assert loss.loss(state).isfinite()
    assert loss.own_loss(state).isfinite()


@pytest.mark.slow
@pytest.mark.parametrize("case", every(2, OBJECTIVES["gaussian_tc"]["cases"]))
def test_a_trained_discriminator_knows_the_tc_of_a_normal_distribution(case: dict) -> None:
    rho, batch = case["rho"], 512
    loss = term(dims=2, batch_size=2 * batch, units=64)
    optimiser = torch.optim.Adam(loss.parameters(), lr=2e-3)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 2000)

    def codes(count: int) -> Tensor:
        first, second = torch.randn(2, count)
        return torch.stack([first, rho * first + math.sqrt(1 - rho**2) * second], dim=1)

    for _ in range(2000):
        optimiser.zero_grad()
        loss.own_loss({sample_key(0): codes(2 * batch)}).backward()
        optimiser.step()
        rate.step()
    with torch.no_grad():
        found = density_ratio_tc(loss.discriminator(codes(200_000))).item()
    assert found == pytest.approx(case["tc"], rel=0.05, abs=0.01)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"dims": 1}, "one latent has no total correlation; make distribution.dims at least 2"),
        ({"batch_size": 3}, "permuted=second_half needs engine.batch_size to be at least 4, got 3"),
        ({"batch_size": 1, "permuted": "same_batch"}, "permuted=same_batch needs engine.batch_size to be at least 2"),
        ({"lr": 0.0}, "lr must be positive, got 0.0"),
    ],
)
def test_bad_settings_are_refused(settings: dict, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        term(**settings)
