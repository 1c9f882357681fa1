"""The data sets, each a class in the manner of torchvision.datasets: item i is (input, target), here the image twice.

Training does not go through items. A set has `gather(indices)`, which makes a whole batch on the device of the data,
`to(device)`, and `fingerprint()`, which tells one content from another.
"""

from vae_runner.datasets.arrays.array_images import ArrayImages
from vae_runner.datasets.photos.celeba import CelebA
from vae_runner.datasets.photos.celeba_hq import CelebA_HQ
from vae_runner.datasets.photos.image_folder import SimpleImageFolder
from vae_runner.datasets.published.cars3d import Cars3D
from vae_runner.datasets.published.mpi3d import MPI3D
from vae_runner.datasets.published.smallnorb import SmallNORB
from vae_runner.datasets.reading.listing import make_dataset
from vae_runner.datasets.scenes.shapes3d import Shapes3D
from vae_runner.datasets.split import SplitConfig, Subset, split
from vae_runner.datasets.sprites.dsprites import dSprites
from vae_runner.datasets.torch_images import TorchImages
from vae_runner.datasets.torchvision_sets import TorchvisionImages

__all__ = ["MPI3D", "ArrayImages", "Cars3D", "CelebA", "CelebA_HQ", "Shapes3D", "SimpleImageFolder", "SmallNORB"]
__all__ += ["SplitConfig", "Subset", "TorchImages", "TorchvisionImages", "dSprites", "make_dataset", "split"]
