"""The verbs of `vae-use`, each with a loaded run: what comes out is written batch by batch, and told in lines."""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from vae_runner.auto_encoder import as_sample
from vae_runner.cli.process.own_share import own_share
from vae_runner.cli.using.wish import Wish
from vae_runner.console import warnings_to_stderr
from vae_runner.drawing.encoded import Drawing
from vae_runner.drawing.movie import Movie
from vae_runner.drawing.paint import to_pixels
from vae_runner.engine import choose_device
from vae_runner.errors import UserError
from vae_runner.experiment.saved_run.images import recipe_of
from vae_runner.experiment.saved_run.loading import load
from vae_runner.experiment.saved_run.saved import SavedRun
from vae_runner.experiment.using.code_table import BATCH, CodeTable, encoded, of_subset, read_codes, written
from vae_runner.experiment.using.drawn_codes import COMPONENTS, IMAGES, of_mixture, of_prior
from vae_runner.experiment.using.exporting import about_run, export, export_files
from vae_runner.experiment.using.given_images import GivenImages
from vae_runner.experiment.using.placing import new_files, new_folder, picture_names, write_pictures
from vae_runner.experiment.using.typed_codes import is_typed, typed_codes
from vae_runner.files import write_atomically, write_json
from vae_runner.output import to_stderr, to_stdout
from vae_runner.runs.words import plural, shown
from vae_runner.visualisation import Grid

__all__ = ["do"]

SAMPLES = 64
MILLISECONDS = 80  # of a frame
T = TypeVar("T")


def do(wish: Wish) -> int:
    """Do what is wished; returns the exit code, 1 where some images could not be read."""
    with own_share(), warnings_to_stderr():
        if wish.verb in ("encode", "export"):
            files = export_files(wish.out) if wish.verb == "export" else [wish.out]
            new_files(files, wish.overwrite)
        else:
            new_folder(wish.out, wish.overwrite)
        device = "cpu" if wish.verb == "export" else wish.text("engine.device", "auto")
        choose_device(device)
        trust, root = wish.given.get("trust") == "true", wish.given.get("dataset.root")
        run = load(wish.folder, wish.given.get("checkpoint"), device, trust, root)  # type: ignore[arg-type]
        to_stdout(f"{shown(wish.folder)}: {run.checkpoint} checkpoint, step {run.step:,}")
        return DOING[wish.verb](wish, run)


def _encode(wish: Wish, run: SavedRun) -> int:
    given = _given(wish, run)
    tables = _tables_of(given, run) if given else of_subset(run.model, run.subset(_part(wish)), run.device)
    total = len(given) if given else len(run.subset(_part(wish)))
    done = sum(len(table) for table in _watched(written(tables, wish.out), total, len))
    to_stdout(f"{plural(done, 'image')} encoded: {shown(wish.out)}")
    return _told(given)


def _tables_of(given: GivenImages, run: SavedRun) -> Iterator[CodeTable]:
    for places, images in given.batches(BATCH):
        with torch.no_grad():
            columns = encoded(run.model, images.to(run.device))
        yield CodeTable(np.array([given.names[place] for place in places]), columns)


def _sample(wish: Wish, run: SavedRun) -> int:
    codes = _codes(wish, run)
    count, several = len(codes[0]), len(codes) > 1
    prefixes = [f"space{number}_" if several else "" for number in range(len(codes))]
    names = [f"{number:0{len(str(count - 1))}d}" for number in range(count)]
    files = [f"{name}.png" for name in names]
    columns = {f"{prefix}codes": part.cpu().numpy() for prefix, part in zip(prefixes, codes, strict=True)}
    CodeTable(np.array(files), columns).save(wish.out / "codes.npz")
    starts = range(0, count, BATCH)
    for start in _watched(starts, count, lambda start: min(BATCH, count - start)):
        with torch.no_grad():
            images = run.model.decode(as_sample(part[start : start + BATCH].to(run.device) for part in codes))
        for _ in write_pictures(wish.out, files[start : start + BATCH], images):
            pass
    to_stdout(f"{plural(count, 'image')} and their codes: {shown(wish.out)}")
    return 0


def _codes(wish: Wish, run: SavedRun) -> tuple[Tensor, ...]:
    """The codes (N, D) of each latent space that are to be decoded."""
    if "codes" in wish.given:
        given, file = wish.given["codes"], Path(wish.given["codes"]).expanduser()
        if is_typed(given) and not file.exists():
            return typed_codes(given, run.model.latent_dims)
        return read_codes(file, run.model.latent_dims)
    n, seed, temperature = wish.whole("n", SAMPLES), wish.whole("seed", 0), wish.temperature
    if wish.text("from", "prior") == "prior":
        return of_prior(run.model, n, seed, run.device, temperature)
    components, images = wish.whole("components", COMPONENTS), wish.whole("images", IMAGES)
    train = run.subset("train")
    to_stdout(f"a mixture of {components} Gaussians, fitted to codes of {min(images, len(train)):,} training images")
    return of_mixture(run.model, train, n, seed, run.device, temperature, components, images)


def _reconstruct(wish: Wish, run: SavedRun) -> int:
    given = _given(wish, run)
    names = picture_names(given.names_of_results) if given else []
    batches = given.batches(BATCH) if given else _own_batches(run, _part(wish))
    total = len(given) if given else len(run.subset(_part(wish)))
    done = 0
    for places, images in _watched(batches, total, lambda batch: len(batch[0])):
        files = [names[place] if given else f"{place}.png" for place in places]
        done += sum(1 for _ in write_pictures(wish.out, files, run.reconstruct(images)))
    if not done:
        raise UserError("none of the images can be read")
    to_stdout(f"{plural(done, 'image')} reconstructed: {shown(wish.out)}")
    return _told(given)


def _own_batches(run: SavedRun, part: Any) -> Iterator[tuple[list[int], Tensor]]:
    """The run's own images, and their indices in the data set."""
    subset = run.subset(part)
    for positions in torch.arange(len(subset), device=subset.indices.device).split(BATCH):
        yield subset.indices[positions].tolist(), subset.batch(positions)


def _interpolate(wish: Wish, run: SavedRun) -> int:
    given = GivenImages(wish.places, run.image_shape, recipe_of(run.config["dataset"], run.image_shape))
    if len(given) != 2:
        raise UserError(f"interpolate goes from one image to another: these places hold {len(given)}")
    ends = [images for _, images in given.batches(2)]
    if given.bad:
        raise UserError("there is no way between images that cannot be read")
    first, last = torch.cat(ends)
    grid = run.interpolate(first, last, wish.whole("steps", 9), wish.text("interpolation", "linear"))  # type: ignore[arg-type]
    for file in _strip(wish, grid):
        to_stdout(shown(file))
    return _told(given)


def _strip(wish: Wish, grid: Grid) -> Iterator[Path]:
    """The files of a way between two images: the strip, its frames, and these as a moving picture, there and back."""
    out, steps = wish.out, grid.columns - 2
    between = grid.images[1:-1]  # the two images themselves stand at the ends
    names = [f"frames/{number:0{len(str(steps - 1))}d}.png" for number in range(steps)]
    encoded_grid = grid.encode()
    write_atomically(out / "strip.png", encoded_grid.files[".png"])
    write_json(out / "strip.json", encoded_grid.details)
    yield out / "strip.png"
    for _ in write_pictures(out, names, between):
        pass
    yield out / "frames"
    kind = wish.text("format", "auto")
    if kind != "none":
        kind = ("gif" if between.shape[1] == 1 else "webp") if kind == "auto" else kind
        frames = [tile[None] for tile in to_pixels(between.float().cpu().numpy(), "the way")]
        texts = list(grid.column_labels[1:-1])
        there_and_back = [*frames, *frames[-2:0:-1]], [*texts, *texts[-2:0:-1]]
        movie: Drawing = Movie("way", kind, MILLISECONDS, *there_and_back, across=1)
        for ending, data in movie.encode().files.items():
            write_atomically(out / f"way{ending}", data)
            yield out / f"way{ending}"


def _export(wish: Wish, run: SavedRun) -> int:
    for file in export(run.model, run.image_shape, wish.out, about_run(run)):
        to_stdout(shown(file))
    return 0


DOING: dict[str, Callable[[Wish, SavedRun], int]] = {
    "encode": _encode,
    "sample": _sample,
    "reconstruct": _reconstruct,
    "interpolate": _interpolate,
    "export": _export,
}


def _part(wish: Wish) -> Any:
    return wish.given["part"]


def _given(wish: Wish, run: SavedRun) -> GivenImages | None:
    """The images of the places that were named; None where it is a part of the run's own."""
    if not wish.places:
        return None
    return GivenImages(wish.places, run.image_shape, recipe_of(run.config["dataset"], run.image_shape))


def _told(given: GivenImages | None) -> int:
    """Say what was done with the images; returns 1 where some could not be read."""
    if given is None:
        return 0
    if note := given.note():
        to_stdout(note)
    if given.bad:
        to_stderr(f"vae-use: error: {given.bad:,} of {plural(len(given), 'image')} could not be read")
    return 1 if given.bad else 0


def _watched(steps: Iterable[T], total: int, size: Callable[[T], int]) -> Iterator[T]:
    """Shows how far it is, where somebody looks on."""
    with tqdm(total=total, unit=" images", unit_scale=True, file=sys.stderr, disable=None) as bar:
        for step in steps:
            yield step
            bar.update(size(step))
