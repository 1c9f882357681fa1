"""Weights of disentangling-vae (by Dubois et al., github.com/YannDubs/disentangling-vae): what they are called there,
and where they go.

`model.pt` is a state dict of the net of Burgess et al. 2018 (arXiv 1804.03599), and `specs.json` beside it says of what
images and by which loss. Layer by layer it is `architecture=conv`:

    encoder   conv1 conv2 conv3 [conv_64] lin1 lin2       conv_64 of 64x64 images alone; 32x32 have three convolutions
    head      mu_logvar_gen: rows mu_0, log variance_0, mu_1, ...; ours has all mu before all log variances
    decoder   lin1 lin2 lin3 [convT_64] convT1 convT2 convT3, and a sigmoid, which is `likelihood=bernoulli`'s

Their log variance is what the head puts out, without a bound: `distribution.logvar_limit=null`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vae_runner.errors import UserError
from vae_runner.foreign import LARGE, json_object, number, read_bytes, whole
from vae_runner.runs.words import and_more, shown
from vae_runner.text import plain
from vae_runner.torch_file import OddFileError, read_old_torch_file, read_torch_file

__all__ = ["Peer", "own_weights", "read_peer", "settings_of", "steps_of"]

WEIGHTS, SPECS = "model.pt", "specs.json"
HEAD = "encoder.mu_logvar_gen"
ENCODER, DECODER = ("conv1", "conv2", "conv3", "lin1", "lin2"), ("lin1", "lin2", "lin3", "convT1", "convT2", "convT3")
# Of each loss the option of ours, and of its settings the names in specs.json.
LOSSES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "VAE": ("kl", {}),
    "betaH": ("beta", {"divergence.beta": "betaH_B"}),
    "betaB": (
        "capacity",
        {
            "divergence.capacity.start": "betaB_initC",
            "divergence.capacity.end": "betaB_finC",
            "divergence.capacity.steps": "reg_anneal",
            "divergence.gamma": "betaB_G",
        },
    ),
    "factor": ("factor", {"divergence.gamma": "factor_G", "divergence.lr": "lr_disc"}),
    "btcvae": (
        "beta_tc",
        {"divergence.alpha": "btcvae_A", "divergence.beta": "btcvae_B", "divergence.gamma": "btcvae_G"},
    ),
}
COUNTS = ("divergence.capacity.steps", "engine.batch_size", "engine.epochs", "seed")
TRAINING = {"engine.batch_size": "batch_size", "engine.epochs": "epochs", "optimizer.lr": "lr", "seed": "seed"}
# Their data sets that are ours too, and all images of each, on which they train.
IMAGES = {"dsprites": 737_280, "celeba": 202_599}
DATA: Mapping[str, tuple[str, ...]] = {
    "dsprites": ("dataset=dsprites", "dataset.test=0"),
    "celeba": ("dataset=celeba", "dataset.split=all", "dataset.crop=null", "dataset.fit=stretch", "dataset.test=0"),
}


@dataclass(frozen=True)
class Peer:
    """What was read: the files, the weights by their names there, `specs.json`, and what a look at that has told."""

    file: Path
    specs_file: Path
    weights: Mapping[str, Tensor]
    specs: Mapping[str, Any]
    image_shape: tuple[int, int, int]
    latent_dim: int


def read_peer(place: Path, specs: Path | None = None) -> Peer:
    """Read `model.pt`, or that of a folder, and `specs.json` beside it unless another file is named; no code in them is
    run. Raises `UserError` where they are not whole, or of another layout.
    """
    file = place / WEIGHTS if place.is_dir() else place
    specs_file = file.parent / SPECS if specs is None else specs
    weights = _read_weights(file)
    about = _read_specs(specs_file)
    shape, latent_dim = _sizes(about, specs_file)
    peer = Peer(file, specs_file, weights, about, shape, latent_dim)
    _check_layout(peer)
    return peer


def _read_weights(file: Path) -> dict[str, Tensor]:
    try:
        data = read_bytes(file, LARGE)
    except OSError as error:
        raise UserError(f"{shown(file)} cannot be read: {error.strerror}") from error
    try:
        content = read_torch_file(data) if data.startswith(b"PK") else read_old_torch_file(data)
    except OddFileError as error:
        raise UserError(f"{shown(file)} {error}") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise UserError(f"{shown(file)} is not a state dict: tensors by name")
    return {name: value for name, value in content.items() if isinstance(value, Tensor)}


def _read_specs(file: Path) -> dict[str, Any]:
    try:
        text = read_bytes(file, LARGE).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UserError(
            f"{shown(file)} cannot be read: {reason}; it has img_size and latent_dim, and lies beside the weights, "
            "or specs=FILE says where"
        ) from error
    found = json_object(text)
    if found is None:
        raise UserError(f"{shown(file)} is not a JSON object")
    return found


def _sizes(specs: Mapping[str, Any], file: Path) -> tuple[tuple[int, int, int], int]:
    """The images' shape and the number of latents. Raises `UserError` where the layout has no such."""
    kind, size, dims = (specs.get(name) for name in ("model_type", "img_size", "latent_dim"))
    if kind is not None and str(kind).lower() != "burgess":
        raise UserError(f"{shown(file)} has model_type={plain(kind, 40)}; only Burgess is known here")
    sizes = size if isinstance(size, list) and all(type(length) is int for length in size) else []
    if len(sizes) != 3 or sizes[0] not in (1, 3) or sizes[1:] not in ([32, 32], [64, 64]):
        raise UserError(
            f"{shown(file)} has img_size={plain(size, 40)}; expected [channels, height, width], 1 or 3 channels, "
            "32x32 or 64x64"
        )
    if type(dims) is not int or not 0 < dims <= 100_000:
        raise UserError(f"{shown(file)} has latent_dim={plain(dims, 40)}; expected a number of latents")
    return (sizes[0], sizes[1], sizes[2]), dims


def _layers(shape: tuple[int, int, int]) -> tuple[list[str], list[str]]:
    """Of encoder and decoder the layers in the order of use, without the head."""
    encoder, decoder = list(ENCODER), list(DECODER)
    if shape[1] == 64:
        encoder.insert(3, "conv_64")
        decoder.insert(3, "convT_64")
    return [f"encoder.{name}" for name in encoder], [f"decoder.{name}" for name in decoder]


def _expected(shape: tuple[int, int, int], dims: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each tensor's name and shape: 32 channels, kernels of 4x4, layers of 256."""
    wide, flat = 256, 32 * 4 * 4
    sizes: dict[str, tuple[int, ...]] = {"encoder.conv1": (32, shape[0], 4, 4), "decoder.convT3": (32, shape[0], 4, 4)}
    sizes |= {"encoder.lin1": (wide, flat), "decoder.lin1": (wide, dims), "decoder.lin3": (flat, wide)}
    sizes |= {HEAD: (2 * dims, wide)}
    encoder, decoder = _layers(shape)
    for layer in [*encoder, HEAD, *decoder]:
        weight = sizes.get(layer, (32, 32, 4, 4) if "conv" in layer else (wide, wide))
        yield f"{layer}.weight", weight
        yield f"{layer}.bias", (weight[1] if "convT" in layer else weight[0],)


def _check_layout(peer: Peer) -> None:
    """Raises `UserError` for the first tensor that is not there, not of its shape, or not of finite numbers."""
    for name, size in _expected(peer.image_shape, peer.latent_dim):
        value = peer.weights.get(name)
        if value is None:
            raise UserError(
                f"{shown(peer.file)} has no {name}: these are no weights of disentangling-vae's Burgess net for "
                f"{'x'.join(map(str, peer.image_shape))} images, as {shown(peer.specs_file)} says"
            )
        if tuple(value.shape) != size:
            given, wanted = ("x".join(map(str, one)) for one in (value.shape, size))
            raise UserError(
                f"{shown(peer.file)} has {name} of {given}, expected {wanted}: {shown(peer.specs_file)} says "
                f"img_size={list(peer.image_shape)}, latent_dim={peer.latent_dim}"
            )
        if not value.is_floating_point() or not value.isfinite().all():
            raise UserError(f"{shown(peer.file)} has values in {name} that are no finite numbers")


def own_weights(peer: Peer, names: Sequence[str]) -> tuple[dict[str, Tensor], str]:
    """Returns the weights by the names that they have in a `VAE` of ours, of whose state dict `names` are; and a line
    about tensors for which there is no use, or nothing.
    """
    encoder, decoder = _layers(peer.image_shape)
    ours = {part: [n for n in names if n.startswith(f"{part}.") and n.endswith(".weight")] for part in PARTS}
    theirs = dict(zip(PARTS, (encoder, [HEAD], decoder), strict=True))
    found, used = dict[str, Tensor](), set[str]()
    for part in PARTS:
        for name, layer in zip(ours[part], theirs[part], strict=True):
            for kind in ("weight", "bias"):
                value = peer.weights[f"{layer}.{kind}"].to(torch.float32)
                used.add(f"{layer}.{kind}")
                is_head = part == "head"
                own = torch.cat([value[0::2], value[1::2]]) if is_head else value.clone()
                found[f"{name.removesuffix('weight')}{kind}"] = own
    left = sorted(plain(name, 60) for name in peer.weights.keys() - used)
    return found, f"{shown(peer.file)}: not taken: {and_more(left, 6)}: the net has no such" if left else ""


PARTS = ("encoder", "head", "decoder")


def settings_of(peer: Peer, dataset: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the settings of `vae-train` that come next to how the weights were trained, and lines about what is not
    as it was there. `dataset` are those of the data, where the user has given any: dataset=OPTION and its settings.

    Raises `UserError` where nobody says which images.
    """
    settings, notes = ["architecture=conv", "distribution=normal", "distribution.logvar_limit=null"], list[str]()
    settings += [f"distribution.dims={peer.latent_dim}", "likelihood=bernoulli"]
    settings += ["optimizer=adam", "lr_schedule=constant"]
    loss = peer.specs.get("loss")
    option, named = LOSSES.get(loss, ("kl", {})) if isinstance(loss, str) else ("kl", {})
    settings.append(f"divergence={option}")
    if loss not in LOSSES:
        notes.append(f"{shown(peer.specs_file)} names no loss that is known here: the run's config has divergence=kl")
    for setting, name in {**named, **TRAINING}.items():
        if peer.specs.get(name) is not None:  # of which their seed may be none
            settings.append(f"{setting}={_number(peer, setting, name)}")
    if peer.specs.get("epochs") is not None:
        settings.append("engine.steps=null")
    if (noise := peer.specs.get("rec_dist", "bernoulli")) != "bernoulli":
        notes.append(
            f"trained with rec_dist={plain(noise, 40)}: decoded pixels are its own, -log p(x|z) is bernoulli's"
        )
    return [*settings, *_data(peer, dataset)], notes


def _number(peer: Peer, setting: str, name: str) -> str:
    """A figure of specs.json, as it is typed."""
    value = peer.specs[name]
    known = whole(value) if setting in COUNTS else number(value)
    if known is None or known != known or abs(known) > 1e30:
        raise UserError(f"{shown(peer.specs_file)} has {name}={plain(value, 40)}; expected a number")
    return repr(known)


def _data(peer: Peer, given: Sequence[str]) -> list[str]:
    """The settings of the images: as specs.json says, or as given; of the size that the net has."""
    name = str(peer.specs.get("dataset"))
    chosen = any(re.match(r"dataset=", one) for one in given)
    if not chosen and name not in DATA:
        raise UserError(
            f"{shown(peer.specs_file)} has dataset={plain(name, 40)}, which no option here reads as it did; say which "
            "images are to be taken, such as dataset=folder dataset.root=DIR"
        )
    settings = [*([] if chosen else DATA[name]), *given]
    option = next(one.partition("=")[2] for one in reversed(settings) if one.startswith("dataset="))
    if option in ("folder", "celeba", "celeba_hq"):
        names = {one.partition("=")[0] for one in given}
        sizes = {"dataset.image_size": peer.image_shape[1], "dataset.channels": peer.image_shape[0]}
        settings += [f"{setting}={size}" for setting, size in sizes.items() if setting not in names]
    return settings


def steps_of(peer: Peer) -> int:
    """Returns how many steps the weights are of, as far as specs.json tells; 0 where it does not.

    `model-9.pt` is of the end of epoch 9, which is the tenth.
    """
    epochs, batch = (whole(peer.specs.get(name)) for name in ("epochs", "batch_size"))
    count = IMAGES.get(str(peer.specs.get("dataset")))
    if not epochs or not batch or not count:
        return 0
    if part := re.fullmatch(r"model-(\d{1,6})", peer.file.stem):
        epochs = int(part[1]) + 1
    return epochs * -(-count // batch)
