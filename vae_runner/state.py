"""The state of one training step: a dict from `StateKey` to whatever the parts of a step have to tell each other.

The engine starts a new dict at each step; the model, the likelihood and the divergences add to it; callbacks read it.
"""

from collections.abc import Callable, MutableMapping
from typing import Any

__all__ = [
    "DEAD_NATS",
    "DEVICE",
    "FACTORS",
    "FOLLOWED",
    "LOSS",
    "METRICS",
    "MODEL",
    "OWN_LOSS",
    "PARTNER",
    "PARTNER_TRUE",
    "POSTERIORS",
    "RECON",
    "SCHEDULED",
    "SPOILED",
    "STEP",
    "TURNS",
    "Y_PRED",
    "Y_RAW",
    "Y_TRUE",
    "State",
    "StateKey",
    "X",
    "kl_key",
    "posterior_key",
    "prior_key",
    "sample_key",
    "state_key",
]


class StateKey:
    """A key of a state. Two keys are the same only if they are one object, so names cannot collide.

    A copy of a part that holds a key, as `copy.deepcopy` makes it, holds the same key; so does what was pickled, with
    the keys of this module. Pickling any other raises `TypeError`, for what is read again would be another key.

    Example:
        >>> state = {X: "images", StateKey("x"): "of another key"}
        >>> state[X], len(state)
        ('images', 2)
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"StateKey({self.name!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "StateKey":
        return self

    def __reduce__(self) -> tuple[Callable[[str], "StateKey"], tuple[str]]:
        if _known(self.name) is not self:
            raise TypeError(f"{self!r} cannot be pickled: only keys of vae_runner.state are found again")
        return _known, (self.name,)


State = MutableMapping[StateKey, Any]


def state_key(name: str) -> StateKey:
    """Returns a new key; `name` is for people."""
    return StateKey(name)


X = state_key("x")  # (B, C, H, W), input images in [0, 1]
Y_TRUE = state_key("y_true")  # (B, C, H, W), what is to be reconstructed
Y_RAW = state_key("y_raw")  # the decoder's output: parameters of the likelihood
Y_PRED = state_key("y_pred")  # (B, C, H, W), decoded images
PARTNER = state_key("partner")  # (B, C, H, W), of terms on pairs: an image for each in X; None in validation
PARTNER_TRUE = state_key("partner_true")  # (B, C, H, W), what is to be reconstructed of it; None in validation
RECON = state_key("recon")  # (B,), -log p(x|z) of each image, nats
LOSS = state_key("loss")  # (), nats per image
OWN_LOSS = state_key("own_loss")  # (), what terms train weights of their own by; missing where none does
MODEL = state_key("model")
POSTERIORS = state_key("posteriors")  # q(z|x) of X for each latent space, where a picture may take it for the model's
DEVICE = state_key("device")
FACTORS = state_key("factors")  # dict of name -> (B,) or (B, K) tensor: what is known of the images under X
FOLLOWED = state_key("followed")  # which factor each latent of POSTERIORS follows, where a picture has found it out
SPOILED = state_key("spoiled")  # (B, C, H, W), X as a denoising run's encoder sees it; the clean image is the target
STEP = state_key("step")  # optimiser steps done when the state was made
TURNS = state_key("turns")  # latent frames that were turned before the step, by what stands before their figures' names
METRICS = state_key("metrics")  # dict of name -> tensor, averaged over steps by the engine
SCHEDULED = state_key("scheduled")  # dict of name -> () tensor, the schedules' values at this step

DEAD_NATS = 0.05  # a latent with less KL carries nothing, and is called dead

_posteriors: dict[int, StateKey] = {}
_priors: dict[int, StateKey] = {}
_samples: dict[int, StateKey] = {}
_kls: dict[int, StateKey] = {}


def posterior_key(space_id: int = 0) -> StateKey:
    """Returns where a model puts q(z|x) of its latent space number `space_id`: one key for each number."""
    return _posteriors.setdefault(space_id, StateKey(f"posterior_{space_id}"))


def prior_key(space_id: int = 0) -> StateKey:
    """Returns where a model puts p(z) of its latent space number `space_id`."""
    return _priors.setdefault(space_id, StateKey(f"prior_{space_id}"))


def sample_key(space_id: int = 0) -> StateKey:
    """Returns where a model puts z (B, D) of its latent space number `space_id`: the very sample that is decoded."""
    return _samples.setdefault(space_id, StateKey(f"sample_{space_id}"))


def kl_key(space_id: int = 0) -> StateKey:
    """Returns where a term that is KL(q||p) of a latent space leaves it for who measures: (B, D), nats."""
    return _kls.setdefault(space_id, StateKey(f"kl_{space_id}"))


def _known(name: str) -> StateKey | None:
    """The key of this module that has that name, None where there is none."""
    homes = {"posterior_": posterior_key, "prior_": prior_key, "sample_": sample_key, "kl_": kl_key}
    for prefix, of_space in homes.items():
        if (number := name.removeprefix(prefix)) != name and number.isdecimal():
            return of_space(int(number))
    key = globals().get(name.upper())
    return key if isinstance(key, StateKey) else None
