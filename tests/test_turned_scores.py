"""What decodes goes through the frame of latents that were turned: a score is that of the net with the turn in it."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from gridded import Squares
from test_feature_scores import Means, saved
from test_kept_codes import Trained, model_of, scores_of, subject_of
from torch import nn

from vae_runner.auto_encoder import VAE
from vae_runner.experiment.scoring.catalogue import CATALOGUE
from vae_runner.latent_frame import AlignedNormalSpace
from vae_runner.latent_space.families import NormalSpace

DECODING = ["rate_distortion", "log_px", "reconstruction", "fid", "precision", "recall"]
ENCODING = [name for name in CATALOGUE if name not in DECODING and not name.startswith("dci")]
DIMS = 5

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")


@torch.no_grad()
def turned() -> tuple[VAE, VAE]:
    """A model whose frame was turned, and a plain one that has the turn in its weights."""
    model = model_of(AlignedNormalSpace(DIMS))
    rotation = torch.linalg.qr(torch.randn(DIMS, DIMS, generator=torch.Generator().manual_seed(1)))[0]
    model.head.weight[:DIMS] *= 20  # so that codes say much of images, and a wrong frame is seen
    model.spaces[0].frame.copy_(rotation)
    folded = model_of(NormalSpace(DIMS))
    folded.encoder, folded.decoder = copy.deepcopy(model.encoder), copy.deepcopy(model.decoder)
    folded.head.load_state_dict(model.head.state_dict())
    folded.head.weight[:DIMS] = rotation @ model.head.weight[:DIMS]
    folded.head.bias[:DIMS] = rotation @ model.head.bias[:DIMS]
    first = next(layer for layer in folded.decoder.modules() if isinstance(layer, nn.Linear))
    first.weight.copy_(first.weight @ rotation.T)
    return model, folded


def figures_of(folder: Path, model: VAE, names: list[str], **settings: Any) -> dict[str, Any]:
    file = saved(Means(), folder / "means.pt")
    subject = subject_of(Trained(folder, model), part="all", samples=200, inception=str(file), **settings)
    found = scores_of(subject, names)
    return {name: [one["value"], *(one.get("others", {}).values())] for name, one in found.items()}


def test_the_two_nets_are_the_same(tmp_path: Path) -> None:
    model, folded = turned()
    images = Squares().gather(torch.arange(48))
    codes = model.codes(images)[0]
    torch.testing.assert_close(codes, folded.codes(images)[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.raw(codes), folded.raw(codes), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model.decoder(codes), folded.raw(codes), atol=0.01)  # without the frame it is another


@pytest.mark.parametrize("codes", ["mean", "sample"])
def test_scores_that_decode_are_those_of_the_net_that_has_the_turn_in_its_weights(tmp_path: Path, codes: str) -> None:
    model, folded = turned()
    found, expected = (figures_of(tmp_path, one, DECODING, codes=codes) for one in (model, folded))
    assert list(found) == DECODING
    for name in DECODING:
        assert found[name] == pytest.approx(expected[name], rel=2e-4, abs=1e-5), name


@pytest.mark.slow
def test_scores_of_codes_are_those_of_the_net_that_has_the_turn_in_its_weights(tmp_path: Path) -> None:
    model, folded = turned()
    found, expected = (figures_of(tmp_path, one, ENCODING) for one in (model, folded))
    for name in ENCODING:
        assert found[name] == pytest.approx(expected[name], rel=0.02, abs=0.02), name  # a code may fall in another bin
