"""How fast photographs become batches: decoding, reading the prepared store, and training from it.

    python benchmarks/decoding.py [--images 20000] [--work DIR] [--parts decoding,store,training]

Decoding is measured against the usual pipeline (Pillow opens and converts to RGB; torchvision's CenterCrop, Resize and
ToTensor) on photographs that are made here: 1/f noise with discs, blurred as by a lens, as JPEGs of 178x218 (quality
93) and of 1024x1024 (quality 85). The candidates take turns in rounds in one process on one thread, the first rounds
are not counted, and each ratio is that of one round, so that what else the machine does falls on all of them alike.
Decoding is counted in the processor's time, reading and training, which may wait for the disk, in that of the clock.

`--work` keeps the folder with the images and the store, for a second call in less memory, or with a cold disk cache.
"""

import argparse
import contextlib
import itertools
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor
from torchvision import transforms

from vae_runner.architectures import ConvDecoder, ConvEncoder
from vae_runner.auto_encoder import VAE
from vae_runner.datasets import CelebA, SplitConfig, split
from vae_runner.datasets.imaging import Recipe
from vae_runner.datasets.split import Subset
from vae_runner.divergence import SimpleNormalUnitNormalKL
from vae_runner.engine import Engine, EngineConfig
from vae_runner.latent_space import NormalSpace
from vae_runner.likelihood import Gaussian
from vae_runner.objective import Objective
from vae_runner.state import posterior_key

__all__ = ["main"]

BATCH = 64
ROUNDS, BURN_IN = 30, 4
SIZES = {"178x218, crop 148": ((178, 218), 93, 148, 64), "1024x1024": ((1024, 1024), 85, None, 16)}


def main() -> None:
    """Measure the parts that are asked for, and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=20_000, help="images of the store")
    parser.add_argument("--work", type=Path, help="folder to keep the images and the store in; default: none is kept")
    parser.add_argument("--parts", default="decoding,store,training", help="which of these, with commas")
    given = parser.parse_args()
    torch.set_num_threads(1)
    parts = {"decoding": decoding, "store": store, "training": training}
    with contextlib.ExitStack() as stack:
        work = given.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in given.parts.split(","):
            print(f"\n{name}")
            parts[name](work, given.images)
    print(f"\nlargest resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


def decoding(work: Path, _: int) -> None:
    """Each way to decode, against the usual pipeline."""
    for name, (size, quality, crop, count) in SIZES.items():
        files = photographs(work / f"jpeg{size[0]}", count, size, quality)
        print(f"{name} to 64x64: {np.mean([file.stat().st_size for file in files]) / 1000:.0f} kB a file")
        ways = {"the usual pipeline": usual(crop)}
        for decoding in ("fast", "exact"):
            ways[decoding] = ours(Recipe(64, 3, crop, decoding=decoding))
            ways[f"{decoding}, gray"] = ours(Recipe(64, 1, crop, decoding=decoding))
        compare({way: on_all(decode, files) for way, decode in ways.items()}, count, time.process_time)


def store(work: Path, images: int) -> None:
    """A batch from the prepared store, against the same batch decoded by one thread."""
    data = faces(work, images)
    order = batches(len(data))
    rate("in order, all of them, checked", data, iter(torch.arange(len(data)).split(BATCH)))
    rate("in random order", data, itertools.islice(order, 300))
    live = faces(work, images, store=False, workers=1).limited(40 * BATCH, 0)
    positions = batches(len(live))
    ways = {
        "decoding a batch": lambda: live.gather(next(positions)),
        "from the store": lambda: data.gather(next(order)),
    }
    compare(ways, BATCH, time.perf_counter)
    evict(work)
    rate("in random order, none of it in memory before", data, itertools.islice(order, 20))


def rate(name: str, data: CelebA, order: Iterator[Tensor]) -> None:
    """How many images a second come in batches of that order."""
    began = time.perf_counter()
    count = sum(len(data.gather(indices)) for indices in order)
    print(f"  {name}: {count / (time.perf_counter() - began):,.0f} images/s")


def training(work: Path, images: int) -> None:
    """Steps of a small convolutional model from the store, against steps on one batch over and over."""
    train, validation = split(faces(work, images), SplitConfig(validation=BATCH))
    engine = small_engine(train, validation)
    repeated = Repeated(train)

    def steps(source: Subset, count: int = 10) -> None:
        engine.train = source
        for _ in range(count):
            engine.train_step()

    def from_disk() -> None:
        evict(work)
        steps(train)

    train.batch(torch.arange(len(train)))  # checked
    one = {"one batch repeated": lambda: steps(repeated)}
    compare(one | {"from the store": lambda: steps(train)}, 10 * BATCH, time.perf_counter)
    compare(one | {"not in memory before": from_disk}, 10 * BATCH, time.perf_counter)


def evict(work: Path) -> None:
    """Let the system forget all pixels that it keeps in memory: the next ones come from the disk."""
    for file in work.rglob("pixels.u8"):
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


class Repeated(Subset):
    """The first batch, whatever is asked for."""

    def __init__(self, train: Subset) -> None:
        super().__init__(train.data, train.indices)
        self.images = train.batch(torch.arange(BATCH))

    def batch(self, positions: Tensor) -> Tensor:
        return self.images

    def expect(self, positions: Tensor) -> None:
        pass


def small_engine(train: Subset, validation: Subset) -> Engine:
    shape = train.data.image_shape
    model = VAE(ConvEncoder(shape), [NormalSpace(10)], ConvDecoder(10, shape), Gaussian(0.1))
    objective = Objective(model, [SimpleNormalUnitNormalKL(posterior_key(0))])
    optimizer = torch.optim.Adam(objective.parameters(), lr=5e-4)
    return Engine(EngineConfig(steps=1_000_000, batch_size=BATCH), objective, optimizer, train, validation)


def faces(work: Path, count: int, **settings: bool | int) -> CelebA:
    """So many small photographs, 64 of them under many names, as CelebA would be."""
    originals = photographs(work / "jpeg178", 64, *SIZES["178x218, crop 148"][:2])
    folder = work / f"faces{count}"
    if not folder.exists():
        folder.mkdir()
        for number in range(count):
            os.link(originals[number % len(originals)], folder / f"{number:06d}.jpg")
    began = time.perf_counter()
    data = CelebA(folder, cache_dir=work / "cache", **settings)
    listed = time.perf_counter() - began
    data.gather(torch.arange(1))
    print(
        f"  start with {count:,} files: listed in {listed:.2f} s, first image after {time.perf_counter() - began:.2f} s"
    )
    return data


def photographs(folder: Path, count: int, size: tuple[int, int], quality: int) -> list[Path]:
    """JPEGs of 1/f noise, as natural images have it, with discs."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number:06d}.jpg" for number in range(count)]
    for number, file in enumerate(files):
        if not file.exists():
            photograph(number, *size).save(file, quality=quality)
    return files


def photograph(seed: int, width: int, height: int) -> Image.Image:
    generator = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    phases = np.exp(2j * np.pi * generator.random((3, *frequency.shape)))
    spectrum = (0.8 * phases[:1] + 0.2 * phases) / np.maximum(frequency, 1 / width) ** 1.2  # little colour
    noise = np.fft.irfft2(spectrum, (height, width))
    levels = np.clip(128 + 40 * (noise - noise.mean()) / noise.std(), 0, 255).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(levels.transpose(1, 2, 0)))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, radius = generator.random(3) * [width, height, 0.15 * width]
        colour = tuple(generator.integers(0, 256, 3).tolist())
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return image.filter(ImageFilter.GaussianBlur(0.5))


def usual(crop: int | None) -> Callable[[Path], Tensor]:
    """The textbook's way."""
    cut = [transforms.CenterCrop(crop)] if crop else []
    transform = transforms.Compose([*cut, transforms.Resize(64), transforms.ToTensor()])

    def decode(file: Path) -> Tensor:
        with open(file, "rb") as opened:
            return transform(Image.open(opened).convert("RGB"))

    return decode


def ours(recipe: Recipe) -> Callable[[Path], np.ndarray]:
    def decode(file: Path) -> np.ndarray:
        with open(file, "rb") as opened:
            return recipe.decode(opened, file.name)

    return decode


def on_all(decode: Callable[[Path], object], files: list[Path]) -> Callable[[], None]:
    def work() -> None:
        for file in files:
            decode(file)

    return work


def batches(count: int) -> Iterator[Tensor]:
    """Random batches without end."""
    generator = torch.Generator().manual_seed(0)
    while True:
        yield torch.randint(count, (BATCH,), generator=generator)


def compare(candidates: Mapping[str, Callable[[], object]], images: int, clock: Callable[[], float]) -> None:
    """Run the candidates in turn, and print for each: time an image, images a second, speed relative to the first."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(BURN_IN + ROUNDS):
        for name, work in candidates.items():
            began = clock()
            work()
            seconds[name].append((clock() - began) / images)
    first = np.array(next(iter(seconds.values()))[BURN_IN:])
    for name, all_rounds in seconds.items():
        each = np.array(all_rounds[BURN_IN:])
        low, middle, high = np.percentile(each, (25, 50, 75)) * 1e3
        ratios = " ".join(f"{value:.2f}" for value in np.percentile(first / each, (25, 50, 75)))
        print(f"  {name:20s} {middle:7.3f} ms ({low:.3f} to {high:.3f})  {1e3 / middle:9,.0f} images/s  ratio {ratios}")


if __name__ == "__main__":
    main()
