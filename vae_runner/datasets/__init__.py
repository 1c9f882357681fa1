"""The data sets, each a class in the manner of torchvision.datasets: item i is (input, target), here the image twice.

Training does not go through items. A set that stays in memory has `gather(indices)`, which makes a whole batch on the
device of the data, `to(device)`, and `fingerprint()`, which tells one content from another.
"""

from vae_runner.datasets.dsprites import dSprites

__all__ = ["dSprites"]
