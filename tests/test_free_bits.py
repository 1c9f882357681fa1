"""Free bits: against values computed elsewhere, and where its gradient ends."""

import pytest
import torch
from oracles import close, objective_cases
from torch import Tensor

from vae_runner.distributions import SimpleNormal
from vae_runner.divergence import FreeBits, plain_kl
from vae_runner.divergence.free_bits import floored
from vae_runner.schedule import Linear
from vae_runner.state import METRICS, SCHEDULED, State, posterior_key, prior_key

SPACE = (posterior_key(0), prior_key(0))


@objective_cases("free_bits")
def test_the_floor_is_that_computed_elsewhere(case: dict, dtype: torch.dtype) -> None:
    kl = torch.tensor(case["kl"], dtype=dtype, requires_grad=True)
    floor = torch.tensor(case["lambda"], dtype=dtype)
    batch = floored(kl, floor)
    close(batch, case["batch"])
    close(floored(kl, floor, per_image=True), case["sample"])
    close(floored(kl.sum(1, keepdim=True), kl.shape[1] * floor), case["total"])
    batch.backward()
    assert (kl.grad != 0).any(0).tolist() == case["gradient_alive"]


def given(q: SimpleNormal | None = None) -> State:
    torch.manual_seed(0)
    q = q or SimpleNormal(*torch.randn(2, 16, 5, dtype=torch.float64))
    zeros = torch.zeros(5, dtype=torch.float64)
    return {posterior_key(0): q, prior_key(0): SimpleNormal(zeros, zeros), METRICS: {}, SCHEDULED: {}}


def test_groups_have_one_floor_for_all_their_latents() -> None:
    kl = plain_kl(*SPACE).compute(*(given()[key] for key in SPACE))
    groups = torch.stack([kl[:, :2].sum(1), kl[:, 2:].sum(1)], dim=1)
    for floor in (0.5, 3.0, 20.0):
        for per in ("batch", "image"):
            value = FreeBits(*SPACE, dims=5, floor=floor, per=per, groups=[2, 3]).loss(given())
            means = groups if per == "image" else groups.mean(0, keepdim=True)
            torch.testing.assert_close(value, means.clamp(min=floor).sum(1).mean())


def test_without_a_floor_it_is_the_kl() -> None:
    state = given()
    value = FreeBits(*SPACE, dims=5, floor=0.0, beta=2.0).loss(state)
    torch.testing.assert_close(value, 2 * plain_kl(*SPACE).loss(given()))
    assert state[METRICS]["free"].item() == 0


def test_the_floor_may_be_a_schedule() -> None:
    term, state = FreeBits(*SPACE, dims=5, floor=Linear(0, 100, 10)), given()
    term.step.fill_(10)
    assert term.loss(state).item() == 500
    assert (state[METRICS]["free"].item(), state[SCHEDULED]["floor"].item()) == (1, 100)


@pytest.mark.parametrize("per", ["batch", "image"])
def test_the_gradient_is_right(per: str) -> None:
    term = FreeBits(*SPACE, dims=5, floor=0.5, per=per)

    def value(mu: Tensor, logvar: Tensor) -> Tensor:
        return term.loss(given(SimpleNormal(mu, logvar)))

    torch.manual_seed(1)
    assert torch.autograd.gradcheck(value, tuple(torch.randn(2, 6, 5, dtype=torch.float64, requires_grad=True)))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="FreeBits takes no capacity; divergence=capacity"):
        FreeBits(*SPACE, dims=5).with_capacity(3.0)
    with pytest.raises(ValueError, match=r"groups must add up to the 5 latents, got \[2, 2\]: 4"):
        FreeBits(*SPACE, dims=5, groups=[2, 2])
    with pytest.raises(ValueError, match="floor must not be negative, got -1"):
        FreeBits(*SPACE, dims=5, floor=-1.0)
