"""Whether a step can be shared out among several processes, so that it comes to what one process makes of its batch.

All that a run is made of here can. Of a user's own parts that is so where an image's figures are its own, so they are
tried, in a copy and in training mode: networks that mix the images of a batch, as a batch norm does, or draw noise of
their own, as a dropout does; terms that read what each process has its own rows of, unless they say that they put them
together (`puts_rows_together`); likelihoods that do either. What cannot be is told in a line that names it.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vae_runner.divergence import DivergenceBase
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.experiment.checking.chain import named
from vae_runner.latent_space import LatentSpace
from vae_runner.likelihood import Likelihood
from vae_runner.objective import Objective
from vae_runner.randomness import isolated
from vae_runner.state import MODEL, PARTNER, PARTNER_TRUE, Y_PRED, Y_RAW, Y_TRUE, State, StateKey, X

__all__ = ["check_shareable"]

FEW = 4  # images that are tried
NEAR = 1e-3  # of the largest figure: sums in another order, in bf16 too
OF_ROWS = {X, Y_TRUE, Y_RAW, Y_PRED, PARTNER, PARTNER_TRUE, MODEL}  # of the state: what each process has its own of
ALONE = "start one process"
HOW = f"put them together by vae_runner.ranks.whole and say puts_rows_together = True, or {ALONE}"


def check_shareable(engine: Engine, config: Mapping[str, Any]) -> None:
    """Raises `UserError` with a line for each part of which several processes cannot each make a share."""
    try:
        objective = copy.deepcopy(engine.objective).train()
    except Exception as error:
        raise UserError(f"a part cannot be copied, to try whether several processes can share it; {ALONE}") from error
    with isolated(0, engine.device):
        problems = list(_problems(objective, _unlike(engine.train.data.image_shape, engine.device), config))
    if problems:
        raise UserError("\n".join(problems))


def _unlike(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Numbers in [0, 1], (FEW, *shape), larger from row to row: a mean of some rows is not near that of all."""
    shades = torch.arange(1, FEW + 1, device=device) / FEW
    return torch.rand(FEW, *shape, device=device) * shades.view(-1, *[1] * len(shape))


def _problems(objective: Objective, x: Tensor, config: Mapping[str, Any]) -> Iterator[str]:
    model = objective.model
    z = _unlike((sum(model.latent_dims),), x.device)
    for key, net, given in (("encoder", model.encoder, x), ("decoder", model.decoder, z)):
        if fault := _fault(given, net):
            yield f"{named(f'architecture.{key}', config)} {fault} in training: several processes cannot; {ALONE}"
    for number, space in enumerate(model.spaces):
        yield from _of_space(space, number)
    with torch.no_grad():
        raw = model.raw(z)
    yield from _of_likelihood(model.likelihood, raw, x, named("likelihood", config))
    state = objective(x, x, *((x.flip(0), x.flip(0)) if objective.pairings() else ()))
    for term in objective.divergences:
        yield from _of_term(term, state)


def _of_term(term: DivergenceBase, state: State) -> Iterator[str]:
    if term.puts_rows_together:
        return
    watched = _Watched(state)
    term.on_criterion(watched)
    term.own_loss(watched)
    term.on_step_training(watched)
    if reads := sorted(key.name for key in watched.read & OF_ROWS):
        about = f"{'.'.join(['divergence', *term.name.split('/')[:-1]])} ({_kind(term)})"
        yield f"{about} reads {', '.join(reads)}, of which each of several processes has its own rows: {HOW}"


def _of_space(space: LatentSpace, number: int) -> Iterator[str]:
    learned = getattr(space, "learned", None)
    of_prior = set() if learned is None else set(learned.parameters())
    if set(space.parameters()) - of_prior:
        yield (
            f"distribution ({_kind(space)}, space {number}) has weights of its own, of which several processes cannot "
            f"put the gradients together; {ALONE}"
        )


def _of_likelihood(likelihood: Likelihood, raw: Tensor, x: Tensor, about: str) -> Iterator[str]:
    if likelihood.puts_rows_together:
        return
    own = type(likelihood).on_step_training
    fault = "keeps sums of each step (on_step_training)" if own is not Likelihood.on_step_training else None
    if fault := fault or _fault(raw, lambda rows: likelihood.nll(rows, x[: len(rows)])):
        yield f"{about} {fault} in training, and each of several processes has its own rows: {HOW}"


def _fault(given: Tensor, part: Callable[[Tensor], Tensor]) -> str | None:
    """What keeps a part from being given some rows of a batch alone."""
    before = _generators()
    with torch.no_grad():
        together = part(given).float()
        if not all(map(torch.equal, before, _generators())):
            return "draws random numbers of its own"
        alone = part(given[: FEW // 2]).float()
    far = (together[: FEW // 2] - alone).abs().max() > NEAR * together.abs().max()
    return "mixes the images of a batch" if far else None


def _generators() -> list[Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state()] if torch.cuda.is_available() else [])]


def _kind(part: nn.Module) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"


class _Watched(dict[StateKey, Any]):
    """A state that knows what was read of it."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.read: set[StateKey] = set()

    def __getitem__(self, key: StateKey) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: StateKey, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)
