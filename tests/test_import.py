"""`vae-use import`: weights of disentangling-vae, made in its layout by an independent net, as a run of ours."""

import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from photos import write_photos
from torch import Tensor, nn

import vae_runner
from vae_runner.cli import redraw
from vae_runner.cli import run as vae_train
from vae_runner.cli.evaluating import evaluate
from vae_runner.cli.using import use
from vae_runner.errors import UserError
from vae_runner.experiment.checking.check import check
from vae_runner.experiment.importing.disentangling_vae import read_peer, settings_of, steps_of
from vae_runner.experiment.importing.imported_run import imported_model
from vae_runner.torch_file import OddFileError, read_old_torch_file

SHAPES = [(1, 64, 64), (3, 64, 64), (1, 32, 32), (3, 32, 32)]
SPECS = {"model_type": "Burgess", "latent_dim": 10, "loss": "betaB", "dataset": "dsprites", "rec_dist": "bernoulli"}
SPECS |= {"epochs": 30, "batch_size": 64, "lr": 5e-4, "seed": 1234, "reg_anneal": 100000}
SPECS |= {"betaH_B": 4, "betaB_initC": 0, "betaB_finC": 25, "betaB_G": 1000, "factor_G": 6.4, "lr_disc": 1e-4}
SPECS |= {"btcvae_A": 1, "btcvae_B": 6.4, "btcvae_G": 1}
HALVING = {"kernel_size": 4, "stride": 2, "padding": 1}


class Theirs(nn.Module):
    """The net as that project describes it, in plain torch; its log variances go far beyond +-10."""

    def __init__(self, shape: tuple[int, int, int] = (1, 64, 64), dims: int = 10) -> None:
        super().__init__()
        self.dims, large = dims, shape[1] == 64
        self.encoder, self.decoder = nn.Module(), nn.Module()
        self.down = ["conv1", "conv2", "conv3"] + ["conv_64"] * large
        self.up = ["convT_64"] * large + ["convT1", "convT2", "convT3"]
        for name in self.down:
            channels = shape[0] if name == "conv1" else 32
            self.encoder.add_module(name, nn.Conv2d(channels, 32, **HALVING))
        for name in self.up:
            channels = shape[0] if name == "convT3" else 32
            self.decoder.add_module(name, nn.ConvTranspose2d(32, channels, **HALVING))
        for part, widths in ((self.encoder, (512, 256, 256)), (self.decoder, (dims, 256, 256, 512))):
            for number in range(1, len(widths)):
                part.add_module(f"lin{number}", nn.Linear(widths[number - 1], widths[number]))
        self.encoder.add_module("mu_logvar_gen", nn.Linear(256, 2 * dims))
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1)
        with torch.no_grad():
            self.encoder.mu_logvar_gen.bias.mul_(300)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for name in self.down:
            x = torch.relu(getattr(self.encoder, name)(x))
        x = x.reshape(len(x), -1)
        x = torch.relu(self.encoder.lin2(torch.relu(self.encoder.lin1(x))))
        mean, logvar = self.encoder.mu_logvar_gen(x).view(-1, self.dims, 2).unbind(-1)
        return mean, logvar

    def decode(self, z: Tensor) -> Tensor:
        for number in (1, 2, 3):
            z = torch.relu(getattr(self.decoder, f"lin{number}")(z))
        z = z.view(len(z), 32, 4, 4)
        for name in self.up[:-1]:
            z = torch.relu(getattr(self.decoder, name)(z))
        return torch.sigmoid(self.decoder.convT3(z))


def written(
    folder: Path, shape: tuple[int, int, int] = (1, 64, 64), old: bool = True, specs: dict[str, Any] | None = None
) -> Theirs:
    """Write model.pt and specs.json, as that project does; returns the net."""
    torch.manual_seed(5)
    net = Theirs(shape)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), folder / "model.pt", _use_new_zipfile_serialization=not old)
    (folder / "specs.json").write_text(json.dumps({**SPECS, "img_size": list(shape), **(specs or {})}, indent=4))
    return net


@pytest.fixture
def taken(compose: Callable[..., DictConfig]) -> Callable[..., Any]:
    """taken(folder) -> the model of ours, and its config."""

    def make(folder: Path, *dataset: str) -> Any:
        peer = read_peer(folder)
        settings, _ = settings_of(peer, dataset)
        config, problems = check(compose(*settings), to_train=False)
        assert problems == []
        return imported_model(peer, config)[0], config

    return make


@pytest.mark.parametrize("old", [True, False], ids=["before torch 1.6", "zip"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_codes_and_pixels_are_those_of_the_net_that_the_weights_are_of(
    shape: tuple[int, int, int], old: bool, taken: Callable[..., Any], tmp_path: Path
) -> None:
    theirs = written(tmp_path, shape, old)
    ours, _ = taken(tmp_path, "dataset=toy")
    x, z = torch.rand(6, *shape), torch.randn(6, 10)
    with torch.no_grad():
        mean, logvar = theirs.encode(x)
        (posterior,) = ours.posteriors(x)
        assert logvar.min() < -10
        assert logvar.max() > 10
        scale = float(logvar.abs().max())
        torch.testing.assert_close(posterior.mean, mean, rtol=1e-5, atol=1e-6 * scale)
        torch.testing.assert_close(posterior.logvar, logvar, rtol=1e-5, atol=1e-6 * scale)
        torch.testing.assert_close(ours.decode(z), theirs.decode(z), rtol=1e-5, atol=1e-6)


def test_the_kl_is_that_of_the_unbent_log_variance(taken: Callable[..., Any], tmp_path: Path) -> None:
    theirs = written(tmp_path)
    ours, _ = taken(tmp_path, "dataset=toy")
    x = torch.rand(4, 1, 64, 64)
    with torch.no_grad():
        mean, logvar = (part.double() for part in theirs.encode(x))
        prior = torch.distributions.Normal(torch.zeros(()).double(), 1.0)
        expected = torch.distributions.kl_divergence(torch.distributions.Normal(mean, (logvar / 2).exp()), prior)
        found = torch.distributions.kl_divergence(ours.posteriors(x)[0], ours.priors()[0])
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("VAE", {"beta": 1.0}),
        ("betaH", {"beta": 4}),
        ("betaB", {"gamma": 1000, "capacity.start": 0, "capacity.end": 25, "capacity.steps": 100000}),
        ("factor", {"gamma": 6.4, "lr": 1e-4}),
        ("btcvae", {"alpha": 1, "beta": 6.4, "gamma": 1}),
    ],
)
def test_the_config_says_how_the_weights_were_trained(
    loss: str, expected: dict[str, float], taken: Callable[..., Any], tmp_path: Path
) -> None:
    written(tmp_path, specs={"loss": loss})
    _, config = taken(tmp_path)
    for name, value in expected.items():
        node = config["divergence"]
        for key in name.split("."):
            node = node[key]
        assert node == value, name
    assert (config["optimizer"]["lr"], config["engine"]["epochs"], config["engine"]["batch_size"]) == (5e-4, 30, 64)
    assert (config["dataset"]["_target_"], config["dataset"]["test"]) == ("vae_runner.datasets.dSprites", 0)


def test_what_is_null_in_the_specs_is_not_set(taken: Callable[..., Any], tmp_path: Path) -> None:
    written(tmp_path, specs={"seed": None, "epochs": None})
    _, config = taken(tmp_path)
    assert (config["seed"], config["engine"]["epochs"], config["engine"]["steps"]) == (0, None, 10_000)
    assert steps_of(read_peer(tmp_path)) == 0


def test_steps_are_epochs_of_all_images(tmp_path: Path) -> None:
    written(tmp_path)
    assert steps_of(read_peer(tmp_path)) == 345_600  # 737,280 / 64 * 30
    (tmp_path / "model.pt").rename(tmp_path / "model-9.pt")
    assert steps_of(read_peer(tmp_path / "model-9.pt")) == 115_200


SLIPS: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda f: cut(f / "model.pt", 20_000), r"model\.pt has a storage of 16384 elements, more .*: is it cut\?"),
    "short": (lambda f: cut(f / "model.pt", -9), r"model\.pt has a storage that is not as long .*: is it cut\?"),
    "early": (lambda f: cut(f / "model.pt", 300), r"model\.pt is not a file of torch's, or not all of it"),
    "empty": (lambda f: cut(f / "model.pt", 0), r"model\.pt is not a file of torch's, or not all of it"),
    "text": (lambda f: (f / "model.pt").write_text("weights"), r"model\.pt is not a file of torch's"),
    "whole net": (lambda f: torch.save(nn.Linear(1, 1), f / "model.pt"), r"holds more than numbers, texts and tensors"),
    "tensor": (lambda f: torch.save(torch.ones(1), f / "model.pt"), r"model\.pt is not a state dict"),
    "layout": (lambda f: torch.save({"fc.weight": torch.ones(1)}, f / "model.pt"), r"has no encoder\.conv1\.weight: "),
    "absent": (lambda f: (f / "model.pt").unlink(), r"model\.pt cannot be read: No such file"),
    "no specs": (lambda f: (f / "specs.json").unlink(), r"specs\.json cannot be read: No such file.*specs=FILE"),
    "no json": (lambda f: (f / "specs.json").write_text("{"), r"specs\.json is not a JSON object"),
    "size": (lambda f: written(f, specs={"img_size": [1, 28, 28]}), r"img_size=\[1, 28, 28\]; expected"),
    "no size": (lambda f: written(f, specs={"img_size": "64"}), r"img_size=64; expected \[channels"),
    "latents": (lambda f: written(f, specs={"latent_dim": 6}), r"mu_logvar_gen\.weight of 20x256, expected 12x256: "),
    "no latents": (lambda f: written(f, specs={"latent_dim": None}), r"latent_dim=None; expected a number"),
    "channels": (
        lambda f: written(f, specs={"img_size": [3, 64, 64]}),
        r"conv1\.weight of 32x1x4x4, expected 32x3x4x4",
    ),
    "small": (lambda f: written(f, (1, 32, 32), specs={"img_size": [1, 64, 64]}), r"has no encoder\.conv_64\.weight"),
    "model": (lambda f: written(f, specs={"model_type": "Higgins"}), r"model_type=Higgins; only Burgess"),
    "data": (lambda f: written(f, specs={"dataset": "mnist"}), r"dataset=mnist, which no option here reads"),
    "figure": (lambda f: written(f, specs={"lr": "fast"}), r"specs\.json has lr=fast; expected a number"),
    "nan": (lambda f: spoil(f / "model.pt"), r"values in encoder\.conv1\.bias that are no finite numbers"),
}


def cut(file: Path, length: int) -> None:
    file.write_bytes(file.read_bytes()[:length])


def spoil(file: Path) -> None:
    weights = torch.load(file)
    weights["encoder.conv1.bias"][3] = torch.nan
    torch.save(weights, file)


@pytest.mark.parametrize("slip", SLIPS)
def test_what_cannot_be_taken_is_told_in_one_line(slip: str, tmp_path: Path) -> None:
    written(tmp_path)
    change, expected = SLIPS[slip]
    change(tmp_path)
    with pytest.raises(UserError, match=expected) as told:
        settings_of(read_peer(tmp_path), [])
    assert "\n" not in str(told.value)


class Call:
    def __reduce__(self) -> Any:
        return os.mkdir, ("made-by-a-pickle",)


@pytest.mark.parametrize("old", [True, False])
def test_no_code_in_a_file_of_weights_is_run(old: bool, inside: Path) -> None:
    written(inside)
    torch.save({"encoder.conv1.weight": Call()}, "model.pt", _use_new_zipfile_serialization=not old)
    with pytest.raises(UserError, match=r"holds more than numbers, texts and tensors, and is not read"):
        read_peer(inside)
    assert not (inside / "made-by-a-pickle").exists()


def old_file(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def test_an_old_file_is_read_as_torch_reads_it_and_no_part_of_it_is() -> None:
    tied = torch.randn(3, 4)
    content = {
        "a": tied, "b": tied.t()[1:], "c": torch.arange(5), "d": torch.zeros(0), "e": torch.tensor(True),
        "f": [1, "text", None, 2.5], "g": torch.randn(2).half(), "p": nn.Parameter(torch.ones(2)),
    }  # fmt: skip
    data = old_file(content)
    found, expected = read_old_torch_file(data), torch.load(io.BytesIO(data))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value) if isinstance(value, Tensor) else found[name] == value
    for length in range(0, len(data), 7):
        with pytest.raises(OddFileError):
            read_old_torch_file(data[:length])
    with pytest.raises(OddFileError, match="goes on behind"):
        read_old_torch_file(data + b"x")


def test_an_old_file_that_ends_with_an_empty_tensor_is_read_whole_or_not_at_all() -> None:
    data = old_file({"a": torch.zeros(0)})
    assert read_old_torch_file(data)["a"].shape == (0,)
    for length in range(len(data)):
        with pytest.raises(OddFileError):
            read_old_torch_file(data[:length])


def test_a_storage_that_is_said_to_be_huge_takes_no_memory() -> None:
    data = old_file({"a": torch.zeros(300)})
    place = data.index(b"M,\x01")  # 300, as a pickle writes it
    huge = data[:place] + pickle.dumps(1 << 40, 2)[2:-1] + data[place + 3 :]
    with pytest.raises(OddFileError, match="has a storage of 1099511627776 elements, more than"):
        read_old_torch_file(huge)


def lines(capfd: pytest.CaptureFixture[str], program: Any, *arguments: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = program(list(arguments))
    return code, *capfd.readouterr()


@pytest.mark.slow
def test_an_imported_model_is_a_run_for_every_command(inside: Path, capfd: pytest.CaptureFixture[str]) -> None:
    theirs = written(inside / "peer", (3, 32, 32), specs={"dataset": "mine"})
    photos = write_photos(inside / "photos", 32)
    data = ["dataset=folder", f"dataset.root={photos}", f"dataset.cache_dir={inside}", "dataset.validation=4"]
    code, output, errors = lines(capfd, use.run, "import", "peer/model.pt", "out=run", *data)
    assert (code, errors) == (0, "")
    assert "score it by: vae-evaluate run part=all" in output
    run = vae_runner.load("run", device="cpu")
    x = run.images(4)
    with torch.no_grad():
        mean, _ = theirs.encode(x)
        torch.testing.assert_close(run.encode(x), mean, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(run.decode(mean), theirs.decode(mean), rtol=1e-4, atol=1e-4)
    assert lines(capfd, use.run, "encode", "run", "part=all", "out=codes.npz")[0] == 0
    assert np.load("codes.npz")["mean"].shape[1] == 10
    assert lines(capfd, evaluate.run, "run", "score=[rate_distortion]", "part=all")[0] == 0
    assert "rate_distortion" in json.loads(Path("run/evaluation.json").read_text())
    assert lines(capfd, redraw.run, "run", "visualisation=[traversal,kl]")[0] == 0
    assert lines(capfd, vae_train, "resume=run")[::2] == (
        2,
        "vae-train: error: resume=run: it was imported, without the state of its optimiser, and cannot go on; "
        "init_from=run begins a new run with its weights\n",
    )
    settings = ["architecture=conv", "distribution=normal", "engine.steps=1", "engine.batch_size=4", "visualisation=[]"]
    settings.append("experiment=null")
    data.append("dataset.image_size=32")  # which the import had found in specs.json
    output = lines(capfd, vae_train, "init_from=run", *data, *settings, "evaluation=none", "engine.device=cpu")[1]
    assert "encoder 10 of 10, head 2 of 2, decoder 12 of 12 tensors" in output
    assert "init  distribution is NormalSpace and was NormalSpace(logvar_limit=null)" in output
    code, _, errors = lines(capfd, use.run, "import", "peer", "out=run", *data)
    assert (code, errors) == (2, "vae-use: error: out=run holds files already; name another folder, or " + OVER)


OVER = "overwrite=true, which replaces those of the same names\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["out=run"], ["which weights? give one file, or the folder that it is in: vae-use import model.pt out=RUN"]),
        (["model.pt"], ["where to? give out=RUN, a new folder"]),
        (
            ["model.pt", "out=run", "n=3"],
            ["n cannot be set for import; it takes out, specs, dataset and dataset.SETTING"],
        ),
        (["model.pt", "out=a", "out=b"], ["out is given twice"]),
    ],
)
def test_a_mistake_in_the_request_is_told_before_anything_is_read(
    arguments: list[str], expected: list[str], inside: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, _, errors = lines(capfd, use.run, "import", *arguments)
    assert (code, errors.splitlines()) == (2, [f"vae-use: error: {line}" for line in expected])
