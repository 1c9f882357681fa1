"""A trained model and the images of one part of its data, as scores look at them: codes, factors, draws.

Each score draws from a generator of its own, by (seed, name of the score): it is the same whatever else is computed.
Posteriors are computed once for each image, and kept with the run (`kept_codes`); a sample of one is drawn anew for
each draw of its image.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, cast, get_args

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_runner.auto_encoder import VAE, evaluating
from vae_runner.datasets.base import ImageData
from vae_runner.datasets.factors import FactoredImages
from vae_runner.datasets.split import Parts
from vae_runner.distributions import SimpleNormal
from vae_runner.errors import UserError
from vae_runner.evaluation import FeatureNet
from vae_runner.evaluation.score import Array
from vae_runner.experiment.scoring.kept_codes import CodeTable, digest_of, kept_file
from vae_runner.experiment.scoring.other_data import OtherData
from vae_runner.foreign import dig, read_json
from vae_runner.layers.accelerate import accelerate
from vae_runner.randomness import isolated, seed_for
from vae_runner.runs.names import ENVIRONMENT
from vae_runner.runs.score_names import on_data
from vae_runner.signature import enforced, positive

__all__ = ["BATCH", "Codes", "Part", "Settings", "Subject", "Trained"]

Part = Literal["test", "validation", "train", "all"]
Codes = Literal["mean", "sample"]
BATCH = 256  # images encoded at a time
NO_NETWORK = (
    "needs a network of features: evaluation.inception=FILE, torchvision's inception_v3 or a TorchScript module"
)


class Trained(Protocol):
    """What is asked of a saved run."""

    folder: Path
    config: dict[str, Any]
    model: VAE
    step: int
    checkpoint: str | None

    @property
    def device(self) -> torch.device:
        """Where the model is."""

    @property
    def data(self) -> Parts:
        """The parts of the data set that the run knows."""


@enforced
@dataclass(frozen=True)
class Settings:
    """Of all scores of one evaluation.

    part      the images: `test`, `validation`, `train`, or `all` of the data set; None: test where the run has such a
              part, else validation
    codes     of an image: the posterior's `mean`, or a `sample` of it
    samples   draws of images; half as many more where others are judged on
    k         samples of each image by which log p(x) is estimated
    seed      of all draws
    jobs      processes for trees; None: as many as there are cores
    inception file of a network of features: `evaluation.unsupervised.feature_net`
    """

    part: Part | None = None
    codes: Codes = "mean"
    samples: Annotated[int, positive] = 10_000
    k: Annotated[int, positive] = 64
    seed: int = 0
    jobs: Annotated[int, positive] | None = None
    inception: str | None = None

    def __post_init__(self) -> None:
        for name, choices in {"part": (None, *get_args(Part)), "codes": get_args(Codes)}.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(filter(None, choices))}, got {getattr(self, name)!r}"
                )


class Subject:
    """The codes (N, D) and the factors (N, K) of the images of a `part`, of the run's data or of others, by rows; where
    `is_kept`, codes that the run's folder has are used.

    Raises `UserError` where there is no such part.
    """

    def __init__(self, run: Trained, settings: Settings, other: OtherData | None = None, is_kept: bool = True) -> None:
        self.run, self.settings, self.model, self.other, self.is_kept = run, settings, run.model, other, is_kept
        parts = run.data if other is None else other.parts
        self.part: Part = settings.part or ("test" if len(parts.test) else "validation")
        subset = parts.train if self.part == "all" else getattr(parts, self.part)
        if not len(subset):
            raise UserError(f"part={self.part}: the run has set no images aside for it; part=validation has some")
        self.data: ImageData = subset.data
        everything = torch.arange(len(self.data), device=subset.indices.device)
        self.indices = everything if self.part == "all" else subset.indices
        self.dims = sum(run.model.latent_dims)
        if run.device.type == "cpu":
            accelerate(run.model)
            run.model.to(memory_format=torch.channels_last)

    def __len__(self) -> int:
        return len(self.indices)

    @cached_property
    def table(self) -> CodeTable:
        """The posteriors that are known, those that are kept with the run among them."""
        found = CodeTable(len(self), self.dims)
        if self.is_kept:
            found.read(self._file, self._mark)
        return found

    def keep(self) -> None:
        """Write the posteriors that are known into the run's folder."""
        self.table.write(self._file, self._mark)

    @cached_property
    def _file(self) -> Path:
        return kept_file(self.run.folder, self.part, self._images)

    @cached_property
    def _images(self) -> str:
        return digest_of(self._fingerprint, self.indices)

    @cached_property
    def _fingerprint(self) -> str:
        return self.data.fingerprint()

    @cached_property
    def _mark(self) -> dict[str, Any]:
        about = {"weights": digest_of(self.model), "images": self._images, "device": self.run.device.type}
        return {"checkpoint": self.run.checkpoint, "step": self.run.step, "part": self.part, **about}

    @cached_property
    def features(self) -> tuple[Array, Array]:
        """Features of images of the part (N, F), all of them or as many as `samples`, and of as many decoded draws of
        the prior. Raises `UserError` where no network of features is given.
        """
        if self.settings.inception is None:
            raise UserError(NO_NETWORK)
        net = FeatureNet.load(self.settings.inception, self.run.device)
        rows = self.some("features", self.settings.samples)
        images = np.concatenate([net(batch).numpy() for batch in self.images(rows)])
        with isolated(self.seed("features"), self.run.device), evaluating(self.model):
            draws = torch.cat([prior.sample((len(rows),)) for prior in self.model.priors()], 1)
            decoded = [net(self.model.likelihood.mean(self.model.raw(part))).numpy() for part in draws.split(BATCH)]
        return images, np.concatenate(decoded)

    @property
    def number_known(self) -> int:
        """Of how many images the mean is there."""
        return int(self.table.known.sum())

    @property
    def has_factors(self) -> bool:
        """Whether the images have factors, of which one at least varies."""
        return self.data.grid is not None and bool(self.data.grid.varying)

    def lacking(self) -> dict[str, int] | None:
        """How many combinations of the factors the data set has images of, where these are not all."""
        data = cast(FactoredImages, self.data)
        known = len(data.grid) if data.listed is None else len(data.listed.unique())
        return None if known == len(data.grid) else {"known": known, "all": len(data.grid)}

    @property
    def factor_names(self) -> tuple[str, ...]:
        """Of the factors that have more than one value in the whole grid."""
        grid = self.data.grid
        return () if grid is None else tuple(grid.names[place] for place in grid.varying)

    def kept_as(self, name: str) -> str:
        """The name of a score's record: 'mig', or 'mig@shapes3d' where it is of other data than the run's."""
        return on_data(name, None if self.other is None else self.other.name)

    def about_data(self) -> dict[str, Any]:
        """Which images these are: the data set's name, its mark, where it is from, and the mark of those looked at."""
        name = chosen_dataset(self.run) if self.other is None else self.other.name
        source = self.data.provenance.get("source")
        return {"name": name, "fingerprint": self._fingerprint, "source": source, "of_part": self._images}

    def seed(self, name: str) -> int:
        """The seed of a score."""
        return seed_for(self.settings.seed, f"evaluation/{name}")

    def rows(self, name: str) -> Array:
        """Rows drawn with replacement for a score, (samples,) int64."""
        return np.random.default_rng(self.seed(name)).integers(len(self), size=self.settings.samples)

    def two_rows(self, name: str) -> tuple[Array, Array]:
        """Rows to fit on, (samples,), and, of other images, rows to be judged on, (samples / 2,): a third of the part's
        images is kept for these. Raises `UserError` for fewer than three images.
        """
        if len(self) < 3:
            raise UserError(f"it needs three images or more, and the part has {len(self)}")
        generator, count = np.random.default_rng(self.seed(name)), self.settings.samples
        order = generator.permutation(len(self))
        kept, others = np.split(order, [len(self) // 3])
        return generator.choice(others, count), generator.choice(kept, max(count // 2, 1))

    def some(self, name: str, most: int) -> Array:
        """Rows of different images, at most so many, in an order of their own."""
        return np.random.default_rng(self.seed(name)).permutation(len(self))[:most]

    def factors(self, rows: Array) -> Array:
        """The classes of the factors that vary, (n, K) int64."""
        data = cast(FactoredImages, self.data)
        found = data.grid_indices(self.indices.cpu()[torch.from_numpy(rows)])
        return data.grid.classes_of(found)[:, list(data.grid.varying)].numpy()

    def codes(self, rows: Array, name: str) -> Array:
        """The codes of those rows, (n, D), as the settings say; latent spaces one behind the other."""
        if self.settings.codes == "sample":
            return self.samples(rows, name)
        self._know(rows)
        return self.table.means[rows]

    def samples(self, rows: Array, name: str) -> Array:
        """One sample of each row's posterior, (n, D)."""
        found = np.zeros((len(rows), self.dims), np.float32)
        with isolated(seed_for(self.settings.seed, f"codes/{name}"), self.run.device):
            for some, posteriors in self.posteriors(rows, by_place=True):
                found[some] = _joined(posterior.sample() for posterior in posteriors)
        return found

    def normals(self, rows: Array) -> tuple[Array, Array]:
        """Means and standard deviations of normal posteriors, (n, D) both. Raises `UserError` where they are others."""
        self._know(rows)
        if not self.table.has_scales:
            _, posteriors = next(self._encoded(rows[:1]))
            kinds = ", ".join(sorted({type(posterior).__name__ for posterior in posteriors}))
            raise UserError(f"it is of normal posteriors, and the run's are {kinds}")
        return self.table.means[rows], np.exp(self.table.logvars[rows] / 2)

    def images(self, rows: Array, at_once: int = BATCH) -> Iterator[Tensor]:
        """The images of those rows, (B, C, H, W) at a time."""
        for start in range(0, len(rows), at_once):
            chosen = torch.from_numpy(rows[start : start + at_once]).to(self.indices.device)
            yield self.data.gather(self.indices[chosen])

    @torch.no_grad()
    def posteriors(
        self, rows: Array, by_place: bool = False, at_once: int = BATCH
    ) -> Iterator[tuple[Array, tuple[Distribution, ...]]]:
        """Of a batch after the other, its rows, or the places of these in `rows`, and q(z|x) of each latent space."""
        self._know(rows)
        places = np.arange(len(rows)) if by_place else rows
        if not self.table.has_scales:
            for some, posteriors in self._encoded(rows, at_once):
                yield places[some], posteriors
            return
        for start in range(0, len(rows), at_once):
            chosen = rows[start : start + at_once]
            tables = (self.table.means, self.table.logvars)
            numbers = [torch.from_numpy(table[chosen]).to(self.run.device) for table in tables]
            pairs = zip(*(part.split(self.model.latent_dims, 1) for part in numbers), strict=True)
            yield places[start : start + at_once], tuple(SimpleNormal(mu, logvar) for mu, logvar in pairs)

    def _know(self, rows: Array) -> None:
        """Compute the posteriors of those rows that are not known."""
        missing = self.table.missing(rows)
        for some, posteriors in self._encoded(missing):
            are_normal = all(type(posterior) is SimpleNormal for posterior in posteriors)
            means = _joined(posterior.mean for posterior in posteriors)
            logvars = _joined(posterior.logvar for posterior in posteriors) if are_normal else None  # type: ignore[attr-defined]
            self.table.put(missing[some], means, logvars)

    @torch.no_grad()
    def _encoded(self, rows: Array, at_once: int = BATCH) -> Iterator[tuple[slice, tuple[Distribution, ...]]]:
        """The places of a batch of these rows, and what the encoder makes of their images."""
        for start, images in enumerate(self.images(rows, at_once)):
            yield slice(start * at_once, (start + 1) * at_once), self.model.posteriors(images)


def chosen_dataset(run: Trained) -> str:
    """The option that the run's data are, or the name of their class."""
    noted = dig(read_json(run.folder / ENVIRONMENT), "choices", "dataset")
    return str(noted or dig(run.config, "dataset", "_target_") or "").rpartition(".")[2]


def _joined(parts: Iterable[Tensor]) -> Array:
    return torch.cat(list(parts), 1).float().cpu().numpy()
