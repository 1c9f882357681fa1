import pytest
import torch
from torch import Tensor, nn

from vae_runner.auto_encoder import VAE, AutoEncoderBase
from vae_runner.divergence import plain_kl
from vae_runner.latent_space import NormalSpace, limited
from vae_runner.likelihood import Bernoulli
from vae_runner.objective import Objective
from vae_runner.state import LOSS, METRICS, Y_PRED, Y_RAW, Y_TRUE, State, posterior_key, prior_key


class Flat(nn.Module):
    """A linear encoder of 2x4x4 images."""

    num_features = 32

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def make(*dims: int) -> VAE:
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(sum(dims), 32), nn.Unflatten(1, (2, 4, 4)))
    return VAE(Flat(), [NormalSpace(size) for size in dims], decoder, Bernoulli())


X = torch.rand(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))


def test_latent_dims_is_a_list() -> None:
    # A2: in the original it was sometimes an int
    assert AutoEncoderBase(5).latent_dims == [5]
    assert AutoEncoderBase([3, 2]).latent_dims == [3, 2]
    assert make(3, 2).latent_dims == [3, 2]


def test_one_space_gives_a_tensor_and_several_a_tuple() -> None:
    assert make(5).encode(X).shape == (3, 5)
    first, second = make(3, 2).encode(X)
    assert (first.shape, second.shape) == ((3, 3), (3, 2))


@pytest.mark.parametrize("dims", [(5,), (3, 2)])
def test_decode_takes_what_encode_returns(dims: tuple[int, ...]) -> None:
    vae = make(*dims)
    images = vae.decode(vae.encode(X))
    assert images.shape == X.shape
    assert images.min() >= 0
    assert images.max() <= 1


def test_forward_binds_the_input_as_the_target() -> None:
    vae, state = make(5), {}
    decoded = vae(X, state)
    assert state[Y_TRUE] is X
    assert state[Y_PRED] is decoded
    torch.testing.assert_close(torch.sigmoid(state[Y_RAW]), decoded)
    assert vae(X).shape == X.shape


def test_posteriors_and_priors_go_to_the_state() -> None:
    vae, state = make(3, 2), {}
    vae.encode(X, state)
    for space_id, dims in enumerate((3, 2)):
        assert state[posterior_key(space_id)].batch_shape == (3, dims)
        assert state[prior_key(space_id)].batch_shape == (dims,)
        torch.testing.assert_close(state[posterior_key(space_id)].mean, vae.posteriors(X)[space_id].mean)


def test_the_head_is_split_among_the_spaces() -> None:
    vae = make(3, 2)
    raw = vae.head(X.flatten(1))
    torch.testing.assert_close(vae.posteriors(X)[0].mu, raw[:, :3])
    torch.testing.assert_close(vae.posteriors(X)[0].logvar, limited(raw[:, 3:6], -20, 20))
    torch.testing.assert_close(vae.posteriors(X)[1].mu, raw[:, 6:8])


def test_the_objective_is_minus_the_elbo() -> None:
    vae = make(3, 2)
    objective = Objective(vae, [plain_kl(posterior_key(i), prior_key(i)) for i in range(2)])
    torch.manual_seed(3)
    state = objective(X, X)
    torch.manual_seed(3)
    log_ratio = sum(
        torch.distributions.kl_divergence(q, p).sum(1) for q, p in zip(vae.posteriors(X), vae.priors(), strict=True)
    )
    decoded = vae.decode(vae.encode(X))
    log_likelihood = (X * decoded.log() + (1 - X) * (1 - decoded).log()).sum((1, 2, 3))
    torch.testing.assert_close(state[LOSS], (log_ratio - log_likelihood).mean())
    metrics = state[METRICS]
    torch.testing.assert_close(metrics["recon"] + metrics["kl"], metrics["loss"])
    torch.testing.assert_close(metrics["kl"], metrics["space0/kl"] + metrics["space1/kl"])


def test_a_corrupted_input_is_reconstructed_towards_its_target() -> None:
    # A1: the original always took the input itself
    vae, target = make(5), torch.zeros_like(X)
    state = Objective(vae, [plain_kl(posterior_key(0), prior_key(0))])(X, target)
    torch.testing.assert_close(state[METRICS]["recon"], vae.likelihood.nll(state[Y_RAW], target).mean())
    assert state[Y_TRUE] is target


@pytest.mark.slow
def test_the_objective_compiles_as_one_graph() -> None:
    objective = Objective(make(5), [plain_kl(posterior_key(0), prior_key(0))])

    def loss(x: Tensor) -> Tensor:
        state: State = objective(x, x)
        return state[LOSS]

    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    torch.manual_seed(0)
    expected = loss(X)
    torch.manual_seed(0)
    torch.testing.assert_close(compiled(X), expected)


def test_the_base_class_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="encode"):
        AutoEncoderBase(2)(X)
