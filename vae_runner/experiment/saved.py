"""A saved run in Python: its model, its config, and what one does with them.

run = vae_runner.load("outputs/latest")
codes = run.encode(images);  images = run.decode(codes);  images = run.sample(16);  run.traverse().save("walk.png")
"""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from vae_runner.auto_encoder import VAE, Sample, as_sample, as_tuple
from vae_runner.callbacks.pictures import picture_images, spoiled
from vae_runner.checkpoint import BrokenCheckpointError, load_checkpoint
from vae_runner.corruption import Corruption
from vae_runner.datasets.split import Subset
from vae_runner.engine import choose_device
from vae_runner.errors import UserError
from vae_runner.experiment.assemble import build_corruption, build_data, build_objective
from vae_runner.experiment.check import check
from vae_runner.experiment.folder import shown
from vae_runner.experiment.probe import check_images, check_model
from vae_runner.experiment.resume import saved_config
from vae_runner.randomness import isolated, seed_for
from vae_runner.state import DEVICE, MODEL, STEP, State, X
from vae_runner.visualisation import Grid, LatentWalker, LinSpaceWalker

__all__ = ["SavedRun", "load"]

Checkpoint = Literal["best", "last", "previous"]


class SavedRun:
    """A trained model, ready to be used: in evaluation mode, its weights need no gradients.

    folder        where it was trained
    config        its whole config, plain containers
    model         the `VAE`; `model.posteriors(images)` and `model.priors()` are distributions
    step          the optimiser step that the weights are of
    image_shape   (channels, height, width) of the images that it knows
    device        where the model is, and what it returns

    Images are float32 in [0, 1], (B, C, H, W) or one of them, (C, H, W). Codes are (B, D), and a tuple of such tensors
    for a model with several latent spaces.
    """

    def __init__(
        self, folder: Path, config: dict[str, Any], model: VAE, step: int, image_shape: tuple[int, int, int]
    ) -> None:
        self.folder, self.config, self.step, self.image_shape = folder, config, step, image_shape
        self.model = model.eval().requires_grad_(False)

    def __repr__(self) -> str:
        latents = " + ".join(f"{space.dims} {space.family}" for space in self.model.spaces)
        shape = "x".join(map(str, self.image_shape))
        return f"SavedRun({shown(self.folder)}, step {self.step:,}, images {shape}, {latents} latents)"

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @cached_property
    def data(self) -> tuple[Subset, Subset]:
        """The (training, validation) images of the run, read or rendered when first asked for."""
        train, validation = build_data(self.config["dataset"])
        for subset in (train, validation):
            check_images(subset, self.config)
        return train.to(self.device), validation.to(self.device)

    @cached_property
    def corruption(self) -> Corruption:
        """What made the model's input from the clean images in training."""
        return build_corruption(self.config)

    def images(self, count: int = 256) -> Tensor:
        """The validation images that the run's pictures show, the set's own choice first: (`count` or fewer, C, H, W).

        Raises `ValueError` for a count below 1.
        """
        if count < 1:
            raise ValueError(f"count must be 1 or more, got {count}")
        return picture_images(self.data[1], count)

    @torch.no_grad()
    def encode(self, images: Tensor, sample: bool = False) -> Sample:
        """Returns the mean of q(z|x) of each image, or a `sample` of it (from torch's generator)."""
        images = self._as_batch(images)
        return self.model.encode(images) if sample else as_sample(self.model.codes(images))

    @torch.no_grad()
    def decode(self, codes: Sample) -> Tensor:
        """Returns the images (B, C, H, W) of these codes."""
        parts = [part.to(self.device, torch.float32) for part in as_tuple(codes)]
        wanted = self.model.latent_dims
        if [part.shape[1:] for part in parts] != [(dims,) for dims in wanted]:
            given = ", ".join(str(tuple(part.shape)) for part in parts)
            raise ValueError(f"codes are {' and '.join(f'(B, {dims})' for dims in wanted)}, got {given}")
        return self.model.decode(as_sample(parts))

    def reconstruct(self, images: Tensor) -> Tensor:
        """Returns the images decoded from the means of their posteriors, (B, C, H, W)."""
        return self.decode(self.encode(images))

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Returns `n` images decoded from draws of the prior, (n, C, H, W); the same seed gives the same."""
        with isolated(seed_for(seed, "samples"), self.device):
            codes = [prior.sample((n,)) for prior in self.model.priors()]
        return self.model.decode(as_sample(codes))

    def traverse(self, images: Tensor | None = None, **arguments: Any) -> Grid:
        """Returns the grid of a `LinSpaceWalker` through the codes of `images` (default: the run's own pictures').

        `arguments` are those of `LinSpaceWalker`; unless given, all dimensions are walked from the first image, in 11
        steps from -2 to 2. `Grid.images` has the decoded images; `Grid.save(file)` draws them.
        """
        chosen = {"lin_start": -2.0, "lin_end": 2.0, "lin_steps": 11, "dims_to_walk": None, "same_image": True}
        return self.draw(LinSpaceWalker(**{**chosen, **arguments}), images)

    @torch.no_grad()
    def draw(self, walker: LatentWalker, images: Tensor | None = None) -> Grid:
        """Returns the grid of any walker, made from `images` (default: the run's own pictures'), which are clean."""
        batch = self.images() if images is None else self._as_batch(images)
        walker.prepare(self.model, self.data[1].data)
        with isolated(0, self.device):
            state: State = {X: batch, MODEL: self.model, STEP: self.step, DEVICE: self.device}
            return walker({**state, **spoiled(batch, self.corruption)})

    def _as_batch(self, images: Tensor) -> Tensor:
        batch = images[None] if images.dim() == 3 else images
        if tuple(batch.shape[1:]) != self.image_shape:
            raise ValueError(f"the model knows images (B, {', '.join(map(str, self.image_shape))}), got {images.shape}")
        return batch.to(self.device, torch.float32)


def load(run: str | Path, checkpoint: Checkpoint = "best", device: str = "auto", trust: bool = False) -> SavedRun:
    """The documented `vae_runner.load`, which see."""
    folder = Path(run).expanduser()
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{run}: no run there (no config.yaml); give the folder of a run")
    here = {"engine.device": str(choose_device(device)), "engine.threads": None}  # those of the training's machine
    cfg = saved_config(folder, here, trust)
    config, problems = check(cfg, to_train=False)
    if problems:
        raise UserError("\n".join(problems))
    try:
        content = load_checkpoint(folder / "checkpoints" / f"{checkpoint}.pt")
    except BrokenCheckpointError as error:
        raise UserError(str(error)) from error
    image_shape = tuple(content["image_shape"])
    objective = build_objective(config, image_shape, config["seed"])
    objective.load_state_dict(content["objective"])
    check_model(objective.model, image_shape, config)
    return SavedRun(folder, config, objective.model.to(choose_device(device)), content["step"], image_shape)
