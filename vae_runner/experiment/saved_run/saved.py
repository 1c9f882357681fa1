"""A saved run in Python: its model, its config, and what one does with them.

run = vae_runner.load("outputs/latest")
codes = run.encode(images);  images = run.decode(codes);  images = run.sample(16);  run.traverse().save("walk.png")
"""

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from vae_runner.auto_encoder import VAE, Sample, as_sample
from vae_runner.callbacks.pictures import LazyState, picture_images, spoiled
from vae_runner.corruption import Corruption
from vae_runner.datasets.base import ImageData
from vae_runner.datasets.split import Parts, Subset
from vae_runner.errors import ImagesError, UserError
from vae_runner.experiment.assemble import build_corruption, build_data
from vae_runner.experiment.checking.probe import check_images
from vae_runner.experiment.provenance import describe_data
from vae_runner.experiment.saved_run.images import Images, as_batch, recipe_of
from vae_runner.experiment.saved_run.resume import compare_data
from vae_runner.experiment.scoring.evaluation import LeftOut, evaluate, known_scores
from vae_runner.experiment.scoring.other_data import OtherData
from vae_runner.experiment.scoring.records import Record
from vae_runner.experiment.scoring.subject import Codes, Part, Settings, Subject
from vae_runner.experiment.using.code_table import CodeTable, collected, of_subset
from vae_runner.experiment.using.log_columns import Columns, log_columns
from vae_runner.foreign import dig, read_json, whole
from vae_runner.randomness import isolated, seed_for
from vae_runner.runs.names import ENVIRONMENT
from vae_runner.runs.words import shown
from vae_runner.state import DEVICE, MODEL, STEP, State, X
from vae_runner.visualisation import Grid, ImagePathWalker, LatentWalker, LinSpaceWalker
from vae_runner.visualisation.walking.code_paths import Interpolation

__all__ = ["SavedRun", "Split"]

log = logging.getLogger(__name__)

Split = Literal["train", "validation", "test", "all"]


class SavedRun:
    """A trained model, ready to be used: in evaluation mode, its weights need no gradients.

    folder        where it was trained
    config        its whole config, plain containers
    model         the `VAE`; `model.posteriors(images)` and `model.priors()` are distributions
    step          the optimiser step that the weights are of
    checkpoint    the name of the file that they are from: best, last or previous
    image_shape   (channels, height, width) of the images that it knows
    device        where the model is, and what it returns

    Images are given as `images.as_batch` takes them: tensors or arrays of floats in [0, 1] or of uint8, PIL images,
    paths of files, or lists of these; they are returned as float32 in [0, 1], (B, C, H, W). Codes are (B, D), and a
    tuple of such tensors for a model with several latent spaces.
    """

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        model: VAE,
        step: int,
        image_shape: tuple[int, int, int],
        checkpoint: str | None = None,
    ) -> None:
        self.folder, self.config, self.step, self.image_shape = folder, config, step, image_shape
        self.checkpoint = checkpoint
        self.model = model.eval().requires_grad_(False)

    def __repr__(self) -> str:
        latents = " + ".join(f"{space.dims} {space.family}" for space in self.model.spaces)
        shape = "x".join(map(str, self.image_shape))
        return f"SavedRun({shown(self.folder)}, step {self.step:,}, images {shape}, {latents} latents)"

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @cached_property
    def data(self) -> Parts:
        """The (train, validation, test) images of the run, read or rendered when first asked for; `test` is empty where
        none were set aside.

        Raises `ImagesError` where they are not there; where they are not those of the training, a warning says so.
        """
        try:
            parts = build_data(self.config["dataset"])
        except UserError as error:
            hint = "; in Python: load(RUN, root=DIR)" if "dataset.root" in str(error) else ""
            raise ImagesError(f"{error}{hint}") from error
        try:
            for subset in filter(len, parts):
                check_images(subset, self.config)
        except UserError as error:
            raise ImagesError(str(error)) from error
        before = dig(read_json(self.folder / ENVIRONMENT), "data")
        try:
            compare_data(before, describe_data(parts))
        except UserError as error:
            log.warning("%s", str(error).partition(";")[0])
        return Parts(*(subset.to(self.device) for subset in parts))

    @property
    def about_data(self) -> ImageData:
        """What pictures ask of the whole data set before they are drawn; its images are read where they are needed."""
        return _NotedData(self)  # type: ignore[return-value]

    @cached_property
    def corruption(self) -> Corruption:
        """What made the model's input from the clean images in training."""
        return build_corruption(self.config)

    def subset(self, split: Split = "validation") -> Subset:
        """The images of a part of the data: it has a length, `[index]`, is looped over, and given to a `DataLoader`.

        Raises `ValueError` where there is no part of that name, `ImagesError` where the images are not there.
        """
        parts = self.data
        if split == "all":
            data, where = parts.train.data, parts.train.indices.device
            return Subset(data, torch.arange(len(data), device=where))
        known = [name for name in Parts._fields if len(getattr(parts, name))]
        if split not in known:
            raise ValueError(f"split must be one of {', '.join([*known, 'all'])}, got {split!r}")
        return getattr(parts, split)

    def images(self, count: int = 256, split: Split = "validation") -> Tensor:
        """The images that the run's pictures show of a part of the data, the set's own choice first: (`count` or fewer,
        C, H, W).

        Raises `ValueError` for a count below 1.
        """
        if count < 1:
            raise ValueError(f"count must be 1 or more, got {count}")
        return picture_images(self.subset(split), count)

    @cached_property
    def metrics(self) -> dict[str, Columns]:
        """The run's log as columns, by kind of record: `metrics["validation"]["neg_elbo"]` beside `["step"]`."""
        return log_columns(self.folder)

    def encode_all(self, split: Split = "validation") -> CodeTable:
        """Returns `names`, `mean`, `scale` and factors of all images of a part of the data, read batch by batch."""
        return collected(of_subset(self.model, self.subset(split), self.device))

    @torch.no_grad()
    def encode(self, images: Images, sample: bool = False) -> Sample:
        """Returns the mean of q(z|x) of each image, or a `sample` of it (from torch's generator).

        Raises `ValueError` where they are no images that the model knows, `UserError` where a file cannot be read.
        """
        batch = self._as_batch(images)
        return self.model.encode(batch) if sample else as_sample(self.model.codes(batch))

    @torch.no_grad()
    def decode(self, codes: Sample | np.ndarray | Sequence[Any]) -> Tensor:
        """Returns the images (B, C, H, W) of these codes, tensors or arrays.

        Raises `ValueError` where they are no codes of the model, or not finite.
        """
        wanted = self.model.latent_dims
        kind = f"codes are {' and '.join(f'(B, {dims})' for dims in wanted)}"
        is_one = isinstance(codes, (Tensor, np.ndarray)) or (isinstance(codes, list) and len(wanted) == 1)
        try:
            parts = [torch.as_tensor(part).to(self.device, torch.float32) for part in ([codes] if is_one else codes)]
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"{kind}, tensors or arrays of numbers, got a {type(codes).__name__}") from error
        if [part.shape[1:] for part in parts] != [(dims,) for dims in wanted] or len({len(part) for part in parts}) > 1:
            raise ValueError(f"{kind}, got {', '.join(str(tuple(part.shape)) for part in parts)}")
        if not all(part.isfinite().all() for part in parts):
            raise ValueError(f"{kind}, and finite; some of these numbers are not")
        return self.model.decode(as_sample(parts))

    def reconstruct(self, images: Images) -> Tensor:
        """Returns the images decoded from the means of their posteriors, (B, C, H, W)."""
        return self.decode(self.encode(images))

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Returns `n` images decoded from draws of the prior, (n, C, H, W); the same seed gives the same.

        Raises `ValueError` for a number below 1.
        """
        if n < 1:
            raise ValueError(f"n must be 1 or more, got {n}")
        with isolated(seed_for(seed, "samples"), self.device):
            codes = [prior.sample((n,)) for prior in self.model.priors()]
        return self.model.decode(as_sample(codes))

    def interpolate(self, first: Images, last: Images, steps: int = 9, interpolation: Interpolation = "linear") -> Grid:
        """Returns the grid of the images decoded between the codes of two images, which stand at its ends.

        `interpolation` is linear, or spherical where the priors cover the whole line. Raises as `encode`, and
        `UserError` where there is no such way.
        """
        start, end = self._as_batch(first), self._as_batch(last)
        walker = ImagePathWalker(steps, start, end, interpolation=interpolation)
        known: State = {MODEL: self.model, STEP: self.step, DEVICE: self.device, X: start}
        with isolated(0, self.device), torch.no_grad():
            return walker(known)

    def traverse(self, images: Images | None = None, **arguments: Any) -> Grid:
        """Returns the grid of a `LinSpaceWalker` through the codes of `images` (default: the run's own pictures').

        `arguments` are those of `LinSpaceWalker`; unless given, all dimensions are walked from the first image, in 11
        steps from -2 to 2. `Grid.images` has the decoded images; `Grid.save(file)` draws them.
        """
        chosen = {"lin_start": -2.0, "lin_end": 2.0, "lin_steps": 11, "dims_to_walk": None, "same_image": True}
        return self.draw(LinSpaceWalker(**{**chosen, **arguments}), images)

    @torch.no_grad()
    def draw(self, walker: LatentWalker, images: Images | None = None) -> Grid:
        """Returns the grid of any walker, made from `images` (default: the run's own pictures'), which are clean.

        A walker that looks at no images needs none.
        """
        walker.prepare(self.model, self.about_data)
        known: State = {MODEL: self.model, STEP: self.step, DEVICE: self.device}
        given = None if images is None else self._as_batch(images)

        def seen() -> State:
            batch = self.images() if given is None else given
            return {X: batch, **spoiled(batch, self.corruption)}

        state = LazyState(known, seen) if given is None else known | seen()
        with isolated(0, self.device):
            return walker(state)

    def evaluate(
        self,
        scores: Sequence[str] | str | None = None,
        part: Part | None = None,
        codes: Codes = "mean",
        samples: int = 10_000,
        k: int = 64,
        seed: int = 0,
        jobs: int | None = None,
        inception: str | None = None,
        dataset: ImageData | None = None,
    ) -> dict[str, Record]:
        """Returns the record of each score by its name, as `vae-evaluate` writes it into evaluation.json.

        scores    names, see docs/evaluation.md; None: all but those that take minutes
        part      the images: test, validation, train, or all of the data set; None: test, else validation
        codes     of an image: the posterior's mean, or a sample of it
        samples   draws of images; k: samples of each by which log p(x) is estimated
        jobs      processes for trees; None: as many as there are cores
        inception file of a network of features, for fid, precision and recall
        dataset   other images than the run's, of the same shape: all of the set's; None: the run's own

        What cannot be made, as it needs factors that the data set does not state, is left out, with a warning. Raises
        `UserError` for a name that is none, or images of another shape, `ValueError` for settings out of their ranges.
        """
        names, found = known_scores(scores, inception is not None), {}
        other = None if dataset is None else OtherData.of(dataset, self.device)
        if other:
            other.check(self.image_shape)
        settings = Settings(part, codes, samples, k, seed, jobs, inception)
        for one in evaluate(Subject(self, settings, other), names):
            if isinstance(one, LeftOut):
                log.warning("%s is left out: %s", one.name, one.reason)
            else:
                found[one[0]] = one[1]
        return found

    def _as_batch(self, images: Images) -> Tensor:
        batch = as_batch(images, self.image_shape, recipe_of(self.config["dataset"], self.image_shape))
        return batch.to(self.device)


class _NotedData:
    """The data set of a saved run, whose number of images is noted in its folder; all else is asked of itself."""

    def __init__(self, run: SavedRun) -> None:
        self._run, self.image_shape = run, run.image_shape

    def __len__(self) -> int:
        noted = whole(dig(read_json(self._run.folder / ENVIRONMENT), "data", "images"))
        return noted or len(self._run.data[1].data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run.data[1].data, name)
