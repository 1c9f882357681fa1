"""Objectives trained by a loop of its own: plain torch, formulas from the papers, nothing of `vae_runner.divergence`,
of its model or of its engine. `parity.py` gives it the weights, the images and the seeds of one of our runs.

    beta_tc   KL in three parts by minibatch stratified sampling               Chen et al. 2018, arXiv 1802.04942, C.2
    factor    KL + gamma TC, a discriminator beside                            Kim & Mnih 2018, 1802.05983, algorithm 2
    dip_ii    KL + penalties on Cov[mu] + E[Sigma]                             Kumar et al. 2018, 1711.00848, equation 7
    wae       lambda MMD to the prior, inverse multiquadrics, unbiased         Tolstikhin et al. 2018, 1711.01558
    control   beta KL, beta by a PI controller                                 Shao et al. 2020, 2004.05988

The networks are small, two layers of tanh units each, so that 1,000 steps take seconds; a posterior's log variance is
20 tanh(r / 20) of the encoder's number r. Settings are written here once more, and not read from a config.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["OBJECTIVES", "Loop"]

Weights = list[Tensor]
LR = 5e-4
EPS = 1e-3  # of Adam, which else makes full steps of gradients that are nothing but rounding


@dataclass
class Codes:
    """What a term is made of: the posterior N(mu, e^logvar) of each image, the code that is decoded, and the KL of each
    image and latent to N(0, 1); how many training images there are.
    """

    mu: Tensor
    logvar: Tensor
    z: Tensor
    kl: Tensor
    num_images: int


@dataclass
class BetaTC:
    """I(x; z) + 6 TC + sum_d KL(q(z_d) || p(z_d))."""

    def __call__(self, codes: Codes) -> Tensor:
        count, size = len(codes.z), codes.num_images
        posterior = torch.distributions.Normal(codes.mu, torch.exp(0.5 * codes.logvar))
        pairs = posterior.log_prob(codes.z[:, None, :])  # (i, j, d): z_i under the posterior of image j
        others = count - 1
        weights = torch.full((count, count), 1 / others)
        for row in range(count):
            weights[row, row] = 1 / size
            weights[row, (row + 1) % count] = (size - others) / (size * others)
        log_joint = torch.logsumexp(torch.log(weights) + pairs.sum(-1), 1)
        log_marginals = torch.logsumexp(torch.log(weights)[:, :, None] + pairs, 1).sum(-1)
        log_posterior = posterior.log_prob(codes.z).sum(-1)
        log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(codes.z).sum(-1)
        mi, tc, dwkl = log_posterior - log_joint, log_joint - log_marginals, log_marginals - log_prior
        return (mi + 6 * tc + dwkl).mean()


@dataclass
class Factor:
    """KL + 35 TC. The discriminator is trained in the same step, on the codes as they were then."""

    weights: Weights
    optimiser: torch.optim.Optimizer = field(init=False)
    loss: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.optimiser = torch.optim.Adam(self.weights, lr=1e-4, betas=(0.5, 0.9), eps=EPS)

    def __call__(self, codes: Codes) -> Tensor:
        half = len(codes.z) // 2
        logits = self.judge(codes.z[:half])
        tc = (logits[:, 0] - logits[:, 1]).mean()
        order = torch.rand(len(codes.z) - half, codes.z.shape[1]).argsort(0)
        second = codes.z[half:].detach()
        shuffled = torch.stack([second[order[:, d], d] for d in range(second.shape[1])], 1)
        of_joint, of_shuffled = self.judge(codes.z[:half].detach()), self.judge(shuffled)
        classes = torch.zeros(half, dtype=torch.long), torch.ones(len(shuffled), dtype=torch.long)
        self.loss = 0.5 * (
            functional.cross_entropy(of_joint, classes[0]) + functional.cross_entropy(of_shuffled, classes[1])
        )
        return codes.kl.sum(1).mean() + 35 * tc

    def judge(self, z: Tensor) -> Tensor:
        """Logits (B, 2): class 0 is a code, class 1 a permuted one."""
        layers = list(zip(self.weights[::2], self.weights[1::2], strict=True))
        for weight, bias in layers[:-1]:
            z = functional.leaky_relu(z @ weight.T + bias, 0.2)
        return z @ layers[-1][0].T + layers[-1][1]

    def move(self, codes: Codes) -> None:
        self.optimiser.zero_grad()
        for weights, gradient in zip(self.weights, torch.autograd.grad(self.loss, self.weights), strict=True):
            weights.grad = gradient
        self.optimiser.step()


@dataclass
class DIPII:
    """KL + 10 sum_{i != j} C_ij^2 + 10 sum_i (C_ii - 1)^2."""

    def __call__(self, codes: Codes) -> Tensor:
        centred = codes.mu - codes.mu.mean(0, keepdim=True)
        covariance = centred.T @ centred / len(centred) + torch.diag(torch.exp(codes.logvar).mean(0))
        diagonal = torch.diagonal(covariance)
        off_diagonal = (covariance**2).sum() - (diagonal**2).sum()
        return codes.kl.sum(1).mean() + 10 * off_diagonal + 10 * ((diagonal - 1) ** 2).sum()


@dataclass
class WAE:
    """10 MMD, kernels C / (C + |a - b|^2) with C = 2 D c."""

    def __call__(self, codes: Codes) -> Tensor:
        prior = torch.randn(codes.z.shape)
        count, dims = codes.z.shape
        total = torch.zeros(())
        for scale in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0):
            constant = 2 * dims * scale
            for a, b, sign in ((codes.z, codes.z, 1), (prior, prior, 1), (codes.z, prior, -2)):
                kernel = constant / (constant + ((a[:, None] - b[None]) ** 2).sum(-1))
                if sign > 0:  # each pair of two
                    total = total + (kernel.sum() - torch.trace(kernel)) / (count * (count - 1))
                else:
                    total = total + sign * kernel.sum() / count**2
        return 10 * total


@dataclass
class Control:
    """beta KL for a set point of 18 nats, beta from 1 to 100."""

    beta: float = 1.0
    integral: float = 0.0

    def __call__(self, codes: Codes) -> Tensor:
        return self.beta * codes.kl.sum(1).mean()

    def move(self, codes: Codes) -> None:
        error = 18.0 - codes.kl.sum(1).mean().item()
        proportional, integral = 0.01 / (1 + math.exp(error)), self.integral - 0.001 * error
        beta = proportional + integral + 1.0
        if 1.0 <= beta <= 100.0:
            self.integral = integral
        self.beta = min(max(beta, 1.0), 100.0)


OBJECTIVES: dict[str, Callable[[Weights], Callable[[Codes], Tensor]]] = {
    "beta_tc": lambda _: BetaTC(),
    "factor": Factor,
    "dip_ii": lambda _: DIPII(),
    "wae": lambda _: WAE(),
    "control": lambda _: Control(),
}


class Loop:
    """A training from given weights: of the model in the order of use, and of what an objective has besides."""

    def __init__(self, objective: str, weights: Sequence[Tensor], own: Sequence[Tensor], num_images: int) -> None:
        self.weights = [nn.Parameter(one.detach().clone()) for one in weights]
        self.own = [nn.Parameter(one.detach().clone()) for one in own]
        self.term = OBJECTIVES[objective](self.own)
        self.optimiser = torch.optim.Adam(self.weights, lr=LR, eps=EPS)
        self.num_images = num_images

    @torch.no_grad()
    def follow(self, weights: Sequence[Tensor], own: Sequence[Tensor]) -> None:
        """Go on from other weights, of the model and of the objective."""
        for mine, others in zip((*self.weights, *self.own), (*weights, *own), strict=True):
            mine.copy_(others)

    def step(self, x: Tensor, seed: int) -> dict[str, float]:
        """Makes one step on images (64, 1, 64, 64), with noise from that seed; returns the reconstruction, KL, and the
        loss that is trained, nats per image.
        """
        torch.manual_seed(seed)
        codes, logits = self.forward(x)
        recon = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
        loss = recon + self.term(codes)
        self.optimiser.zero_grad()
        for weights, gradient in zip(
            self.weights, torch.autograd.grad(loss, self.weights, retain_graph=True), strict=True
        ):
            weights.grad = gradient
        if hasattr(self.term, "move"):
            self.term.move(codes)
        self.optimiser.step()
        return {"recon": recon.item(), "kl": codes.kl.sum(1).mean().item(), "loss": loss.item()}

    def forward(self, x: Tensor) -> tuple[Codes, Tensor]:
        """The posterior, a draw of it, and the logits that are decoded from this."""
        first, second, head, *decoder, last = zip(self.weights[::2], self.weights[1::2], strict=True)
        h = x.reshape(len(x), -1)
        for weight, bias in (first, second):
            h = torch.tanh(h @ weight.T + bias)
        mu, raw = (h @ head[0].T + head[1]).split(10, 1)
        logvar = 20 * torch.tanh(raw / 20)
        z = mu + torch.exp(logvar / 2) * torch.randn(mu.shape)
        h = z
        for weight, bias in decoder:
            h = torch.tanh(h @ weight.T + bias)
        logits = (h @ last[0].T + last[1]).reshape(x.shape)
        kl = 0.5 * (mu**2 + torch.exp(logvar) - 1 - logvar)
        return Codes(mu, logvar, z, kl, self.num_images), logits
