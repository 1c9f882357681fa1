"""Whether a data set can have what terms on pairs of images need: factors that the two share."""

from collections.abc import Iterator, Mapping
from typing import Any

from vae_runner.datasets.base import ImageData
from vae_runner.datasets.labelled import LabelledImages
from vae_runner.datasets.photos.labels import may_know_factors
from vae_runner.divergence import DivergenceBase
from vae_runner.experiment.checking.terms import term_nodes
from vae_runner.signature import locate

__all__ = ["check_factors"]


def check_factors(config: Mapping[str, Any]) -> Iterator[str]:
    """Yields a line for each term on pairs of a kind of data set of ours that never knows its factors, before any image
    is read. One of the user's own is asked when it is there (`datasets.split.Partners`).
    """
    kind = locate(config["dataset"]["_target_"])
    known = getattr(kind, "__mro__", ())
    never = ImageData in known and kind.grid is ImageData.grid
    unlabelled = (
        LabelledImages in known and kind.grid is LabelledImages.grid and not may_know_factors(config["dataset"])
    )
    if not never and not unlabelled:
        return
    for term in term_nodes(config["divergence"]):
        target = locate(term.node["_target_"])
        if isinstance(target, type) and issubclass(target, DivergenceBase) and target.takes_partners:
            yield (
                f"{term.key}: {target.__name__} takes pairs of images that share factors, and {kind.__name__} knows "
                "none: take a dataset with factors, such as dataset=dsprites, or one of your own that states them as a "
                "grid (docs/library.md)"
            )
