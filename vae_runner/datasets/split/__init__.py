"""Which images a run trains on, which are held back for validation and for the test, in which order the batches are
made of them, and which pairs.
"""

from vae_runner.datasets.split.choice import Parts, SplitConfig, limited, split
from vae_runner.datasets.split.epoch_order import EpochOrder
from vae_runner.datasets.split.partners import Partners
from vae_runner.datasets.split.subset import Subset

__all__ = ["EpochOrder", "Partners", "Parts", "SplitConfig", "Subset", "limited", "split"]
