"""How fast photographs become batches: decoding, reading the prepared store, and training from it.

    python benchmarks/decoding.py [--images 20000] [--work DIR] [--parts decoding,store,training,limited]

Decoding is measured against the usual pipeline (Pillow opens and converts to RGB; torchvision's CenterCrop, Resize and
ToTensor) on photographs that are made here: 1/f noise with discs, blurred as by a lens, as JPEGs of 178x218 (quality
93) and of 1024x1024 (quality 85). The candidates take turns, each in a process of its own with one thread, since what a
picture of 3 MB costs depends on what else a process keeps in memory; the usual pipeline is there a second time, with
the memory that it frees kept (`keep_freed_memory`), as in a process that has held a large array before. The first
rounds are not counted, and each ratio is that of one round. Decoding is counted in the processor's time, reading and
training, which may wait for the disk, in that of the clock.

`limited` trains in a control group whose memory, this process and all that the system keeps of the store for it, is
half of the store's size (Linux, as root). `--work` keeps the folder with the images and the store for a second call.
"""

import argparse
import contextlib
import itertools
import math
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from photographs import photographs
from PIL import Image
from simplejpeg import decode_jpeg
from torch import Tensor
from torchvision import transforms
from turns import compare, compare_processes

from vae_runner.architectures import ConvDecoder, ConvEncoder
from vae_runner.auto_encoder import VAE
from vae_runner.datasets import CelebA, SplitConfig, split
from vae_runner.datasets.reading.imaging import Recipe
from vae_runner.datasets.split import Subset
from vae_runner.divergence import SimpleNormalUnitNormalKL
from vae_runner.engine import Engine, EngineConfig
from vae_runner.engine.machine.allocator import keep_freed_memory
from vae_runner.latent_space import NormalSpace
from vae_runner.likelihood import Gaussian
from vae_runner.objective import Objective
from vae_runner.state import posterior_key

__all__ = ["main"]

BATCH = 64
IN_A_ROW, STEPS = 20, 10  # batches that are read, and steps that are made, in one round
SIZES = {"178x218, crop 148": ((178, 218), 93, 148, 64), "1024x1024": ((1024, 1024), 85, None, 16)}
GROUPS = Path("/sys/fs/cgroup")


def main() -> None:
    """Measure the parts that are asked for, and print a table of each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=20_000, help="images of the store")
    parser.add_argument("--work", type=Path, help="folder to keep the images and the store in; default: none is kept")
    parser.add_argument("--parts", default="decoding,store,training,limited", help="which of these, with commas")
    given = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as a training does
    parts = {"decoding": decoding, "store": store, "training": training, "limited": limited}
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
        textbook = partial(on_all, Usual(crop), files)
        ways = {"the usual pipeline": (textbook, count, False), "... its memory kept": (textbook, count, True)}
        for decoding, channels in itertools.product(("fast", "exact"), (3, 1)):
            recipe = Recipe(64, channels, crop, decoding=decoding)
            label = decoding if channels == 3 else f"{decoding}, gray"
            ways[label] = (partial(on_all, partial(ours, recipe), files), count, False)
        scaled = partial(only_scaled, -(-64 * min(size) // (crop or min(size))))
        compare_processes(ways | {"libjpeg-turbo alone, scaled": (partial(on_all, scaled, files), count, False)})


def store(work: Path, images: int) -> None:
    """Batches from the prepared store, against a batch decoded by one thread."""
    data = faces(work, images)
    order = batches(len(data))
    rate("in order, all of them, checked", data, iter(torch.arange(len(data)).split(BATCH)))
    rate("in random order", data, itertools.islice(order, 300))
    live = faces(work, images, store=False, workers=1).limited(40 * BATCH, 0)
    positions = batches(len(live))
    ways = {
        "decoding a batch": (lambda: live.gather(next(positions)), BATCH),
        "one from the store": (lambda: data.gather(next(order)), BATCH),
        f"{IN_A_ROW} in a row": (lambda: [data.gather(next(order)) for _ in range(IN_A_ROW)], IN_A_ROW * BATCH),
    }
    compare(ways)
    evict(work)
    rate("in random order, none of it in memory before", data, itertools.islice(order, 20))


def rate(name: str, data: CelebA, order: Iterator[Tensor]) -> None:
    """How many images a second come in batches of that order."""
    began = time.perf_counter()
    count = sum(len(data.gather(indices)) for indices in order)
    print(f"  {name}: {count / (time.perf_counter() - began):,.0f} images/s")


def training(work: Path, images: int) -> None:
    """Steps of a small convolutional model from the store, against steps on one batch over and over."""
    engine, train = small_engine(work, images)
    one, all_in_memory = partial(steps, engine, Repeated(train)), partial(steps, engine, train)

    def from_disk() -> None:
        evict(work)
        all_in_memory()

    count = STEPS * BATCH
    compare({"one batch repeated": (one, count), "from the store": (all_in_memory, count)})
    compare({"one batch repeated": (one, count), "not in memory before": (from_disk, count)})


def limited(work: Path, images: int) -> None:
    """The same in half of the memory that the store would take."""
    limit = images * math.prod(faces(work, images).image_shape) // 2
    with control_group(limit) as group:
        if group is None:
            print("  no control group can be made here")
            return
        print(f"  all in {limit / 1e6:,.0f} MB")
        evict(work)
        process = multiprocessing.get_context("spawn").Process(target=train_within, args=(group, work, images))
        process.start()
        process.join()
    if process.exitcode:
        print(f"  the training alone needs more than that (exit code {process.exitcode}): give --images 200000")


def train_within(group: Path, work: Path, images: int) -> None:
    """Join the group, and compare in there."""
    (group / "cgroup.procs").write_text(str(os.getpid()))
    torch.set_num_threads(1)
    keep_freed_memory()
    engine, train = small_engine(work, images)
    before, began = bytes_read(), engine.step
    count = STEPS * BATCH
    one, all_of_them = partial(steps, engine, Repeated(train)), partial(steps, engine, train)
    compare({"one batch repeated": (one, count), "from the store": (all_of_them, count)})
    wanted = (engine.step - began) / 2 * BATCH * math.prod(train.data.image_shape)
    print(f"  read from the disk: {(bytes_read() - before) / wanted:.0%} of what was trained on")


@contextlib.contextmanager
def control_group(limit: int) -> Iterator[Path | None]:
    """A group of processes that have so many bytes of memory; None where none can be made."""
    second = (GROUPS / "cgroup.controllers").exists()  # version 2
    group = (GROUPS if second else GROUPS / "memory") / f"vae-bench-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.max" if second else "memory.limit_in_bytes")).write_text(str(limit))
    except OSError:
        group = None
    try:
        yield group
    finally:
        if group:
            group.rmdir()


def bytes_read() -> int:
    """What this process has had read from the disk."""
    return int(Path("/proc/self/io").read_text().split("\nread_bytes: ")[1].split()[0])


def steps(engine: Engine, source: Subset) -> None:
    engine.train = source
    for _ in range(STEPS):
        engine.train_step()


def evict(work: Path) -> None:
    """Let the system forget all pixels that it keeps in memory: the next ones come from the disk."""
    for file in (work / "cache").glob("*/pixels.u8"):
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


def small_engine(work: Path, images: int) -> tuple[Engine, Subset]:
    """An engine on the store, every block of which has been checked, and its training set."""
    train, validation, _ = split(faces(work, images), SplitConfig(validation=BATCH))
    for positions in torch.arange(len(train)).split(BATCH):
        train.batch(positions)
    shape = train.data.image_shape
    model = VAE(ConvEncoder(shape), [NormalSpace(10)], ConvDecoder(10, shape), Gaussian(0.1))
    objective = Objective(model, [SimpleNormalUnitNormalKL(posterior_key(0))])
    optimizer = torch.optim.Adam(objective.parameters(), lr=5e-4)
    return Engine(EngineConfig(steps=1_000_000, batch_size=BATCH), objective, optimizer, train, validation), train


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


class Usual:
    """The textbook's way."""

    def __init__(self, crop: int | None) -> None:
        cut = [transforms.CenterCrop(crop)] if crop else []
        self.transform = transforms.Compose([*cut, transforms.Resize(64), transforms.ToTensor()])

    def __call__(self, file: Path) -> Tensor:
        with open(file, "rb") as opened:
            return self.transform(Image.open(opened).convert("RGB"))


def ours(recipe: Recipe, file: Path) -> np.ndarray:
    with open(file, "rb") as opened:
        return recipe.decode(opened, file.name)


def only_scaled(least: int, file: Path) -> np.ndarray:
    """No less than fast decoding has to do: its shorter side at least so many pixels."""
    return decode_jpeg(file.read_bytes(), min_width=least, min_height=least)


def on_all(decode: Callable[[Path], object], files: list[Path]) -> None:
    for file in files:
        decode(file)


def batches(count: int) -> Iterator[Tensor]:
    """Random batches without end."""
    generator = torch.Generator().manual_seed(0)
    while True:
        yield torch.randint(count, (BATCH,), generator=generator)


if __name__ == "__main__":
    main()
