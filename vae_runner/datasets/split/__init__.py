"""Which images a run trains on, which are held back for validation, and in which order the batches are made of them."""

from vae_runner.datasets.split.choice import EpochOrder, ImageData, SplitConfig, Subset, factors_of, limited, split

__all__ = ["EpochOrder", "ImageData", "SplitConfig", "Subset", "factors_of", "limited", "split"]
