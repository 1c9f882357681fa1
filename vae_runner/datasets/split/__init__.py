"""Which images a run trains on, which are held back for validation, and in which order the batches are made of them."""

from vae_runner.datasets.split.choice import SplitConfig, limited, split
from vae_runner.datasets.split.epoch_order import EpochOrder
from vae_runner.datasets.split.subset import Subset

__all__ = ["EpochOrder", "SplitConfig", "Subset", "limited", "split"]
