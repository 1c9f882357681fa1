"""Walkers on a model that overrides the documented base class, and no more: `encode` and `decode`."""

import pytest
import torch
from torch import Tensor

from vae_runner.auto_encoder import AutoEncoderBase
from vae_runner.errors import UserError
from vae_runner.state import MODEL, STEP, State, X
from vae_runner.visualisation import (
    CodePathWalker,
    ImagePathWalker,
    LinSpaceWalker,
    PriorSampler,
    RandomWalker,
    Traversal,
)


class Halves(AutoEncoderBase):
    """An image of four pixels is its code, in one space of four dimensions or in two of two."""

    def encode(self, x: Tensor, state: State | None = None) -> Tensor | tuple[Tensor, ...]:
        codes = x.flatten(1).split(self.latent_dims, dim=1)
        return codes[0] if len(codes) == 1 else codes

    def decode(self, sample: Tensor | tuple[Tensor, ...], state: State | None = None) -> Tensor:
        parts = (sample,) if isinstance(sample, Tensor) else sample
        return torch.cat(parts, dim=1).view(-1, 1, 2, 2)


IMAGES = torch.arange(24.0).view(6, 1, 2, 2)


def state(dims: int | list[int] = 4) -> State:
    return {MODEL: Halves(dims), X: IMAGES}


def test_a_traversal_starts_from_what_encode_gives() -> None:
    grid = LinSpaceWalker(-1, 1, 3, dims_to_walk=[2, 0])(state())
    rows = grid.images.view(2, 3, 4)
    assert rows[0].tolist() == [[0, 1, -1, 3], [0, 1, 0, 3], [0, 1, 1, 3]]
    assert rows[1].tolist() == [[-1, 5, 6, 7], [0, 5, 6, 7], [1, 5, 6, 7]]
    assert list(grid.row_labels) == ["z2", "z0"]  # without posteriors there is no KL to tell
    assert "nats" not in grid.caption


def test_all_dimensions_keep_their_order_where_no_kl_gives_one() -> None:
    grid = LinSpaceWalker(dims_to_walk=None, zero_init=True)(state([2, 2]))
    assert list(grid.row_labels) == ["space0 z0", "space0 z1", "space1 z0", "space1 z1"]
    assert grid.images.view(4, 8, 4)[0, :, 1:].abs().max() == 0


@pytest.mark.parametrize("walker", [RandomWalker(num_images=5), PriorSampler(num_images=5)])
def test_random_codes_are_normal_and_a_space_that_is_held_has_the_images_codes(walker: RandomWalker) -> None:
    images = walker.for_space(1).vis(state([2, 2])).view(5, 2, 2)
    assert torch.equal(images[:, 0], IMAGES[:5].view(5, 2, 2)[:, 0])
    assert images[:, 1].abs().max() < 5
    assert images[:, 1].std() > 0.2


def test_paths_between_codes_and_between_images() -> None:
    codes = CodePathWalker(3, torch.zeros(4), torch.tensor([2.0, 4.0, 6.0, 8.0])).vis(state())
    assert codes.view(3, 4).tolist() == [[0, 0, 0, 0], [1, 2, 3, 4], [2, 4, 6, 8]]
    images = ImagePathWalker(3, IMAGES[0], IMAGES[2]).for_space(0).vis(state([2, 2]))
    assert images.view(3, 4).tolist() == [[0, 1, 2, 3], [4, 5, 2, 3], [8, 9, 2, 3]]


@pytest.mark.parametrize(
    "walker",
    [
        RandomWalker(),
        PriorSampler(),
        CodePathWalker(3, torch.zeros(4), torch.ones(4)),
        LinSpaceWalker(zero_init=True),
    ],
    ids=lambda walker: type(walker).__name__,
)
def test_what_no_image_is_needed_for_asks_for_none(walker: LinSpaceWalker) -> None:
    given = state()
    expected = walker.vis(given)
    del given[X]
    assert torch.equal(walker.vis(given), expected)


def test_a_title_has_the_step_where_it_is_known() -> None:
    assert RandomWalker()(state()).title == "random codes, normal"
    assert RandomWalker()({**state(), STEP: 12345}).title == "random codes, normal, step 12,345"


def test_a_picture_of_posteriors_is_refused_in_one_line() -> None:
    with pytest.raises(UserError, match=r"^model: Halves has no posteriors\(x\), of which this picture is made$"):
        Traversal()(state())


def test_priors_are_where_the_weights_are() -> None:
    model = Halves([3, 1])
    model.weight = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    priors = model.priors()
    assert [tuple(prior.batch_shape) for prior in priors] == [(3,), (1,)]
    assert all(prior.mean.dtype == torch.float64 for prior in priors)
    assert priors[0].log_prob(torch.zeros(3, dtype=torch.float64)).tolist() == pytest.approx([-0.9189385332] * 3)
