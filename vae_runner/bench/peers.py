"""Programs of others that train the same net, each by its own loop: `vae-bench --against NAME`.

pythae (Chadebec et al. 2022, arXiv 2206.08309): its VAE around our encoder and decoder, in fp32 as torch comes, trained
by its BaseTrainer: a data loader that collates image by image, Adam, the loss read at each step. Its progress bar is
taken out, for it writes to the terminal.
"""

import importlib.util
import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sized
from typing import Any

import torch
from torch import Tensor, nn

from vae_runner.bench.programs import Bare
from vae_runner.errors import UserError
from vae_runner.latent_space import NormalSpace
from vae_runner.likelihood import Bernoulli

__all__ = ["PEERS", "Pythae", "check_peer"]

IMAGES = 4096  # that its loader draws from: it keeps them in memory, as floats


class Pythae(Bare):
    """pythae's trainer, one step after the other. Raises `UserError` where its VAE has no such parts."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        from pythae.data.datasets import BaseDataset
        from pythae.models import VAE, VAEConfig
        from pythae.trainers import BaseTrainer, BaseTrainerConfig
        from pythae.trainers.training_callbacks import ProgressBarCallback

        self._check()
        images = self.engine.train.batch(torch.arange(min(IMAGES, len(self.engine.train)))).cpu()
        shape, (dims,) = tuple(images.shape[1:]), self.model.latent_dims
        theirs = VAE(VAEConfig(input_dim=shape, latent_dim=dims, reconstruction_loss="bce"), *_networks(self.model))
        self.folder = tempfile.TemporaryDirectory()
        wanted = BaseTrainerConfig(
            output_dir=self.folder.name,
            per_device_train_batch_size=config["engine"]["batch_size"],
            learning_rate=self.optimizer.param_groups[0]["lr"],
            optimizer_cls="Adam",
            no_cuda=self.engine.device.type == "cpu",
        )
        self.trainer = BaseTrainer(theirs, BaseDataset(images, torch.zeros(len(images))), None, wanted)
        self.trainer.prepare_training()
        handler = self.trainer.callback_handler
        handler.callbacks = [one for one in handler.callbacks if not isinstance(one, ProgressBarCallback)]
        self.loader = self.trainer.train_loader
        self.drawn = itertools.chain.from_iterable(itertools.repeat(self.loader))

    def _check(self) -> None:
        if not isinstance(self.model.likelihood, Bernoulli):
            raise UserError("--against pythae: give likelihood=bernoulli; it has no other one in common with us")
        if not (len(self.model.spaces) == 1 and isinstance(self.model.spaces[0], NormalSpace)):
            raise UserError("--against pythae: give distribution=normal, which is all that its VAE has")

    def steps(self, count: int) -> None:
        self.trainer.train_loader = _Part(self.drawn, self.loader.dataset, count)
        self.trainer.train_step(1)

    def close(self) -> None:
        self.folder.cleanup()


class _Part:
    """So many of the batches that are drawn, as a loader of them."""

    def __init__(self, drawn: Iterator[Any], dataset: Sized, count: int) -> None:
        self.drawn, self.dataset, self.count = drawn, dataset, count

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self.drawn, self.count)

    def __len__(self) -> int:
        return self.count


def _networks(model: Any) -> tuple[nn.Module, nn.Module]:
    """The model's encoder and decoder, as pythae takes them: it wants log variances, and probabilities of pixels."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.head = model.encoder, model.head

        def forward(self, x: Tensor) -> Any:
            mean, log_variance = self.head(self.encoder(x)).chunk(2, dim=1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.decoder = model.decoder

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=torch.sigmoid(self.decoder(z)))

    return Encoder(), Decoder()


PEERS: Mapping[str, type[Bare]] = {"pythae": Pythae}


def check_peer(name: str) -> None:
    """Raises `UserError` where it is not installed, or cannot be imported."""
    if importlib.util.find_spec(name) is None:
        raise UserError(f"--against {name}: it is not installed; pip install 'vae_runner[{name}]'")
    try:
        importlib.import_module(f"{name}.trainers")
    except Exception as error:  # of a version of pydantic or torch that it does not go with
        raise UserError(f"--against {name}: it cannot be imported: {type(error).__name__}: {error}") from error
