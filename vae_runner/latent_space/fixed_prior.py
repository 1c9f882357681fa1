"""What a prior without weights is made of, and whether so many latents can have it."""

from torch import Tensor
from torch.distributions import Distribution, constraints

__all__ = ["check_kind", "check_parameter", "parameter_names"]


def parameter_names(prior: Distribution) -> list[str]:
    """Returns the names of what it was made of; torch offers `probs` and `logits`, and makes of one the other."""
    names = list(getattr(prior, "parameter_names", None) or prior.arg_constraints)
    if {"probs", "logits"} <= set(names):
        given = next((name for name in vars(prior) if name in ("probs", "logits")), None)
        names.remove("logits" if given == "probs" else "probs")
    return names


def check_kind(prior: Distribution) -> None:
    """Raises `ValueError` where it is not of one number, or cannot be differentiated through its draws."""
    if prior.event_shape or not prior.has_rsample:
        raise ValueError(f"prior: {type(prior).__name__} is not a continuous distribution of one number")


def check_parameter(prior: Distribution, name: str, value: Tensor, dims: int) -> None:
    """Raises `ValueError` where the parameter does not fit that many latents, or is out of its range."""
    kind = type(prior).__name__
    if value.shape not in ((), (1,), (dims,)):
        raise ValueError(f"prior: {kind}'s {name} has shape {tuple(value.shape)}; give one number, or {dims}")
    constraint = prior.arg_constraints[name]
    if not constraints.is_dependent(constraint) and not constraint.check(value).all():
        wanted = "positive" if constraint is constraints.positive else f"in {constraint}"
        raise ValueError(f"prior: {kind}'s {name} must be {wanted}, got {value.tolist()}")
