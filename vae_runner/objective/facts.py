"""What a term is told of the run that it is in: arguments of its constructor that are filled in, and no config sets.

    input_key, target_key, sample_key      where the state has q(z|x), p(z) and z of the term's latent space
    input_keys, target_keys, sample_keys   the same of all spaces, a list: the term is over all of them, built once
    dims                                   how many latents these are
    num_images                             images in the training set
    batch_size                             images in a step; fewer in a validation's last one

A term is told those that its signature has.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from vae_runner.state import posterior_key, prior_key, sample_key

__all__ = ["FACTS", "Facts", "is_over_all", "mixed_facts"]

KEYS = {"input_key": posterior_key, "target_key": prior_key, "sample_key": sample_key}
OF_ALL = frozenset(f"{name}s" for name in KEYS)
FACTS = frozenset(KEYS) | OF_ALL | {"dims", "num_images", "batch_size"}


@dataclass(frozen=True)
class Facts:
    """What is known of a run; `dims` of each latent space.

    Example:
        >>> facts = Facts(dims=(3, 2), num_images=1000, batch_size=50)
        >>> facts.of_space(1)["dims"], facts.of_all()["dims"]
        (2, 5)
    """

    dims: tuple[int, ...]
    num_images: int
    batch_size: int

    def of_space(self, space_id: int) -> dict[str, Any]:
        """Returns the facts for a term of one latent space, by name."""
        keys = {name: of_space(space_id) for name, of_space in KEYS.items()}
        return {**keys, "dims": self.dims[space_id], **self._of_run()}

    def of_all(self) -> dict[str, Any]:
        """Returns the facts for a term over all latent spaces, by name."""
        keys = {f"{name}s": tuple(map(of_space, range(len(self.dims)))) for name, of_space in KEYS.items()}
        return {**keys, "dims": sum(self.dims), **self._of_run()}

    def _of_run(self) -> dict[str, Any]:
        return {"num_images": self.num_images, "batch_size": self.batch_size}


def is_over_all(arguments: Collection[str]) -> bool:
    """Returns whether a term with these arguments is over all latent spaces."""
    return not OF_ALL.isdisjoint(arguments)


def mixed_facts(arguments: Collection[str]) -> list[str]:
    """Returns the keys of one space and of all that these arguments have, where they have both."""
    both = [sorted(names & set(arguments)) for names in (frozenset(KEYS), OF_ALL)]
    return [*both[0], *both[1]] if all(both) else []
