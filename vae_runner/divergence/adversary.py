"""The total correlation by a classifier that plays against the encoder: FactorVAE (Kim & Mnih 2018, arXiv 1802.05983).

A discriminator with two logits learns to tell codes z ~ q(z), class 0, from codes of which each latent was permuted
over the batch on its own, so that they are draws of prod_d q(z_d), class 1 (their algorithm 2). Where it is perfect,

    TC = KL(q(z) || prod_d q(z_d)) = E_q(z)[l_0(z) - l_1(z)]              the density-ratio trick, their equation 3

    the VAE's term         beta KL + gamma TC, the discriminator's weights held
    the discriminator's    cross entropy of both classes, half of it each, of codes that are held

Both are of one step, and of one pass of the discriminator over codes and permuted ones; their gradients go back through
its layers side by side. Under bf16 its inner layers are in bf16, as the model's networks are; codes and logits stay in
float32.

The permuted codes come from other images than the joint ones: each batch is halved (`second_half`); or from the same
ones (`same_batch`), as in much code that is around.
"""

from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn import functional

from vae_runner.divergence.composite import NARROW, WeightedParts
from vae_runner.schedule import Schedule
from vae_runner.signature import enforced, non_negative, positive
from vae_runner.state import Y_RAW, State, StateKey, state_key

__all__ = ["AdversarialTC", "density_ratio_tc", "discriminator", "discriminator_loss", "judged", "permuted"]

Weight = Annotated[float, non_negative] | Schedule
SLOPE = 0.2  # of the leaky units


def permuted(codes: Tensor) -> Tensor:
    """Returns codes (B, D) with each latent permuted over the batch on its own, drawn anew.

    Permutations that are all the same would leave the codes what they are: then the last one is moved on by one.
    """
    order = torch.rand_like(codes).argsort(dim=0)
    is_same = (order == order[:, :1]).all()
    last = torch.where(is_same, order[:, -1].roll(1), order[:, -1])
    return codes.gather(0, torch.cat([order[:, :-1], last.unsqueeze(1)], dim=1))


def density_ratio_tc(logits: Tensor) -> Tensor:
    """Returns the mean of l_0 - l_1 over codes' logits (B, 2), (), nats."""
    return (logits[:, 0] - logits[:, 1]).mean()


def discriminator_loss(joint: Tensor, of_permuted: Tensor) -> Tensor:
    """Returns half the mean cross entropy of logits (B, 2) of class 0, and half that of class 1, ()."""
    as_joint, as_permuted = -functional.log_softmax(joint, 1)[:, 0], -functional.log_softmax(of_permuted, 1)[:, 1]
    return (as_joint.mean() + as_permuted.mean()) / 2


def discriminator(dims: int, layers: int, units: int) -> nn.Sequential:
    """Returns a network from codes (B, dims) to two logits (B, 2), with so many layers of leaky units."""
    widths = [dims, *[units] * layers]
    inner = [
        part
        for number in range(layers)
        for part in (nn.Linear(widths[number], widths[number + 1]), nn.LeakyReLU(SLOPE))
    ]
    return nn.Sequential(*inner, nn.Linear(widths[-1], 2))


def judged(
    network: nn.Sequential, codes: Tensor, trained: int, inner: torch.dtype | None = None
) -> tuple[Tensor, Tensor]:
    """Returns the logits (B, 2) of a `discriminator` twice, of one pass: those of the first `trained` codes, whose
    gradients move these codes alone, and those of all, whose gradients move the weights alone. Its inner layers are
    computed in the precision of `inner`; None: in that of the codes.
    """
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    weights = [part for layer in layers for part in (layer.weight, layer.bias)]
    return _Judged.apply(codes, trained, inner or codes.dtype, *weights)


class _Judged(torch.autograd.Function):
    """The layers one after another. Gradients of both players are rows of the same products."""

    @staticmethod
    def forward(ctx: Any, codes: Tensor, trained: int, inner: torch.dtype, *weights: Tensor) -> tuple[Tensor, Tensor]:
        precisions = [codes.dtype, *[inner] * (len(weights) // 2 - 2), codes.dtype]
        inputs, x = [], codes
        pairs = [(w.to(p), b.to(p)) for w, b, p in zip(weights[::2], weights[1::2], precisions, strict=True)]
        for number, (weight, bias) in enumerate(pairs):
            x = functional.leaky_relu(x, SLOPE) if number else x
            inputs.append(x.to(weight.dtype))
            x = functional.linear(inputs[-1], weight, bias)
        ctx.save_for_backward(*inputs, *(weight for weight, _ in pairs))
        ctx.trained = trained
        return x[:trained].clone(), x

    @staticmethod
    def backward(ctx: Any, of_trained: Tensor, of_all: Tensor) -> tuple[Tensor | None, ...]:
        count, trained = len(ctx.saved_tensors) // 2, ctx.trained
        inputs, weights = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        gradient, found = torch.cat([of_trained, of_all]), []
        for x, weight in zip(inputs[:0:-1], weights[:0:-1], strict=True):
            gradient, own = gradient.to(weight.dtype), gradient[trained:].to(weight.dtype)
            found += [own.sum(0), own.t() @ x]
            gradient = (gradient @ weight).to(x.dtype)
            gradient = torch.where(torch.cat([x[:trained], x]) > 0, gradient, SLOPE * gradient)
        gradient = gradient.to(inputs[0].dtype)
        own = gradient[trained:]
        found += [own.sum(0), own.t() @ inputs[0]]
        of_codes = gradient[:trained] @ weights[0]
        rest = of_codes.new_zeros(len(inputs[0]) - trained, of_codes.shape[1])
        return torch.cat([of_codes, rest]), None, None, *reversed(found)


@enforced
class AdversarialTC(WeightedParts):
    """beta KL + gamma TC over the dimensions of all latent spaces, TC by a discriminator that is trained beside.

    Logged: `tc`, nats; `d_loss`, nats (ln 2 where nothing is to be told apart), and `d_accuracy`.

    Args:
        input_keys, target_keys, sample_keys, dims, batch_size: facts of the run, see `vae_runner.objective.facts`.
        gamma, beta: the weights of TC and of the KL, numbers or schedules; beta 0 leaves the KL out.
        layers, units: of the discriminator.
        lr, betas: its own settings of the optimiser; betas None: the optimiser's.
        permuted: `second_half` of the batch, as published; `same_batch`: the codes that are trained themselves.
        samples: of the KL's Monte-Carlo estimate; None: its closed form.

    Raises:
        ValueError: where there is but one latent, or where the batch is too small to be permuted.

    Example:
        >>> keys = (StateKey("q"),), (StateKey("p"),), (StateKey("z"),)
        >>> term = AdversarialTC(*keys, dims=10, batch_size=64, layers=2, units=16)
        >>> term.is_player, term.parameter_groups()[0]["lr"]
        (True, 0.0001)
    """

    kl_weight = "beta"
    is_of_numbers = True
    puts_rows_together = True  # of what is decoded it reads the precision alone

    def __init__(
        self,
        input_keys: tuple[StateKey, ...],
        target_keys: tuple[StateKey, ...],
        sample_keys: tuple[StateKey, ...],
        dims: int,
        batch_size: Annotated[int, positive],
        gamma: Weight = 35.0,
        beta: Weight = 1.0,
        layers: Annotated[int, positive] = 6,
        units: Annotated[int, positive] = 1000,
        lr: Annotated[float, positive] = 1e-4,
        betas: tuple[float, float] | None = (0.5, 0.9),
        permuted: Literal["second_half", "same_batch"] = "second_half",
        samples: Annotated[int, positive] | None = None,
    ) -> None:
        self.logits_key = state_key("logits")
        keys: dict[str, StateKey | tuple[StateKey, ...]] = {"posteriors": input_keys, "priors": target_keys}
        super().__init__(keys | {"logits": self.logits_key}, {"gamma": gamma, "beta": beta})
        if dims < 2:
            raise ValueError("one latent has no total correlation; make distribution.dims at least 2")
        least = 4 if permuted == "second_half" else 2
        if batch_size < least:
            raise ValueError(f"permuted={permuted} needs engine.batch_size to be at least {least}, got {batch_size}")
        self.code_keys = sample_keys
        self.discriminator = discriminator(dims, layers, units)
        self.settings = {"lr": lr} | ({} if betas is None else {"betas": tuple(betas)})
        self.halves, self.samples = permuted == "second_half", samples

    def compute_parts(
        self, posteriors: tuple[Distribution, ...], priors: tuple[Distribution, ...], logits: tuple[Tensor, ...]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        tc = density_ratio_tc(logits[0])
        return self.kl_part(posteriors, priors) + self.weight("gamma") * tc, {"tc": tc}

    def loss(self, state: State) -> Tensor:
        self._judge(state)
        return super().loss(state)

    def own_loss(self, state: State) -> Tensor:
        _, of_joint, of_permuted = self._judge(state)
        loss = discriminator_loss(of_joint, of_permuted)
        right = (of_joint[:, 0] > of_joint[:, 1]).float().mean() + (
            of_permuted[:, 1] >= of_permuted[:, 0]
        ).float().mean()
        self.record(state, d_loss=loss, d_accuracy=right / 2)
        return loss

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.parameters()), **self.settings}]

    def _judge(self, state: State) -> tuple[Tensor, ...]:
        """The logits of codes for the term, of the same and of permuted ones for the discriminator; once in a step."""
        if self.logits_key not in state:
            joint, others = self._sources(torch.cat([state[key] for key in self.code_keys], dim=1))
            codes = torch.cat([joint, permuted(others.detach())])
            precision = state[Y_RAW].dtype if Y_RAW in state else joint.dtype
            inner = precision if precision in NARROW else None
            of_trained, of_all = judged(self.discriminator, codes, trained=len(joint), inner=inner)
            state[self.logits_key] = of_trained, of_all[: len(joint)], of_all[len(joint) :]
        return state[self.logits_key]

    def _sources(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """The codes that are taken as they are, and those that are permuted; one image, a set's last, is both."""
        half = len(codes) // 2
        return (codes[:half], codes[half:]) if self.halves and half else (codes, codes)
