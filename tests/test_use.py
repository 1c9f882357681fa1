"""`vae-use`: encode, sample, reconstruct, interpolate and export."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

import vae_runner
from vae_runner.architectures import MLPDecoder, MLPEncoder
from vae_runner.auto_encoder import VAE
from vae_runner.cli import redraw
from vae_runner.cli import run as vae_train
from vae_runner.cli.evaluating import evaluate
from vae_runner.cli.process import own_share
from vae_runner.cli.using import use
from vae_runner.datasets.split import Subset
from vae_runner.distributions import SimpleExponential
from vae_runner.errors import UserError
from vae_runner.experiment.saved_run.images import as_batch
from vae_runner.experiment.saved_run.saved import SavedRun
from vae_runner.experiment.using.code_table import CodeTable, collected, of_subset, read_codes
from vae_runner.experiment.using.drawn_codes import of_mixture, of_prior
from vae_runner.experiment.using.exporting import Decoder, Encoder, export, safetensors_bytes
from vae_runner.experiment.using.placing import picture_names
from vae_runner.latent_frame import AlignedNormalSpace
from vae_runner.latent_space import ExponentialSpace, GammaSpace, LatentSpace, NormalSpace, UniformSpace, WeibullSpace
from vae_runner.likelihood import Bernoulli

TESTS = Path(__file__).parent
OWN = ["trust=true", "engine.device=cpu"]  # the data set is the tests' own
SMALL = [f"--config-dir={TESTS / 'conf'}", "engine.steps=8", "engine.batch_size=16", "engine.precision=fp32"]
SMALL += ["engine.device=cpu", "engine.progress=false", "visualisation=[data]", "divergence=beta"]

Use = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with one normal latent space, on bars with known factors."""
    path = tmp_path_factory.mktemp("run") / "first"
    assert vae_train([*SMALL, "dataset=bars", f"hydra.run.dir={path}"]) == 0
    return path


@pytest.fixture(scope="module")
def run(folder: Path) -> SavedRun:
    return vae_runner.load(folder, device="cpu", trust=True)


@pytest.fixture
def vae_use(folder: Path, inside: Path, capfd: pytest.CaptureFixture[str]) -> Use:
    """vae_use(verb, ...) -> exit code, lines of output and of errors, in an empty folder of its own."""

    def call(verb: str, *arguments: str) -> tuple[int, list[str], list[str]]:
        capfd.readouterr()
        code = use.run([verb, str(folder), *arguments, *OWN])
        output, errors = capfd.readouterr()
        return code, output.splitlines(), errors.splitlines()

    return call


@pytest.fixture
def photos(inside: Path) -> Path:
    """Four images, one of another size in colour, one of a lower folder; and what is none."""
    random = np.random.default_rng(0)
    (inside / "photos/more").mkdir(parents=True)
    for name in ("a.png", "b.png", "more/c.png"):
        Image.fromarray(random.integers(0, 256, (16, 16), dtype=np.uint8)).save(inside / "photos" / name)
    Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(inside / "photos/large.jpg")
    (inside / "photos/notes.txt").write_text("no image")
    return inside / "photos"


def test_codes_of_files_are_those_of_the_posteriors_by_name(vae_use: Use, run: SavedRun, photos: Path) -> None:
    code, output, errors = vae_use("encode", "photos", "out=codes.npz")
    assert (code, errors) == (0, [])
    found = np.load("codes.npz")
    assert found["names"].tolist() == ["a.png", "b.png", "large.jpg", "more/c.png"]
    posterior = run.model.posteriors(run._as_batch([photos / name for name in found["names"]]))[0]
    np.testing.assert_allclose(found["mean"], posterior.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["scale"], (0.5 * posterior.logvar).exp(), rtol=1e-5, atol=1e-6)
    assert output[1:] == [
        "4 images encoded: codes.npz",
        "1 of 4 images had another size (40x30): the centre square resized to 16x16; 1 of 4 images had colours: made "
        "gray; as with the run's own images",
    ]


def test_a_table_in_csv_has_the_numbers_of_the_arrays(vae_use: Use, photos: Path) -> None:
    for out in ("codes.csv", "codes.npz"):
        assert vae_use("encode", "photos/a.png", "photos/more", f"out={out}")[0] == 0
    with Path("codes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = np.load("codes.npz")
    assert [row["name"] for row in rows] == ["photos/a.png", "photos/more/c.png"] == found["names"].tolist()
    for column in ("mean", "scale"):
        numbers = [[float(row[f"{column}_{index}"]) for index in range(10)] for row in rows]
        np.testing.assert_allclose(numbers, found[column], rtol=1e-7)


def test_codes_of_a_part_have_its_factors_and_indices(vae_use: Use, run: SavedRun) -> None:
    assert vae_use("encode", "part=validation", "out=codes.npz")[0] == 0
    found, subset = np.load("codes.npz"), run.data[1]
    assert found["names"].tolist() == [str(index) for index in subset.indices.tolist()]
    assert found["factor_names"].tolist() == ["height", "width", "place", "shade"]  # of kind there is one alone
    expected = subset.data.grid.values_of(subset.data.grid_indices(subset.indices))[:, 1:]
    np.testing.assert_array_equal(found["factors"], expected)
    assert vae_use("encode", "validation", "out=word.npz")[0] == 0  # there is no file of that name
    np.testing.assert_array_equal(np.load("word.npz")["mean"], found["mean"])


def test_a_file_that_is_no_image_is_told_in_a_line_and_the_others_are_used(vae_use: Use, photos: Path) -> None:
    (photos / "broken.png").write_bytes(b"not an image")
    code, output, errors = vae_use("encode", "photos", "out=codes.npz")
    assert (code, output[1]) == (1, "4 images encoded: codes.npz")
    assert errors == [
        "warning: cannot read broken.png: not an image",
        "vae-use: error: 1 of 5 images could not be read",
    ]
    assert "broken.png" not in np.load("codes.npz")["names"]
    code, _, errors = vae_use("encode", "photos/broken.png", "out=none.csv")
    assert (code, errors[-1]) == (2, "vae-use: error: there is no image to encode")
    code, _, errors = vae_use("reconstruct", "photos/broken.png", "out=none")
    assert (code, errors[-1]) == (2, "vae-use: error: none of the images can be read")
    assert sorted(os.listdir()) == ["codes.npz", "photos"]


def pixels(file: Path) -> Tensor:
    return torch.from_numpy(np.asarray(Image.open(file)).copy())


def as_pixels(images: Tensor) -> Tensor:
    return (images[:, 0] * 255).round().to(torch.uint8)


def test_samples_are_those_of_the_seed_and_decode_again_from_their_codes(vae_use: Use, run: SavedRun) -> None:
    assert vae_use("sample", "n=3", "seed=5", "out=first")[0] == 0
    assert sorted(os.listdir("first")) == ["0.png", "1.png", "2.png", "codes.npz"]
    expected = as_pixels(run.sample(3, seed=5))
    assert vae_use("sample", "codes=first/codes.npz", "out=again")[0] == 0
    for number in range(3):
        assert torch.equal(pixels(Path(f"first/{number}.png")), expected[number])
        assert torch.equal(pixels(Path(f"again/{number}.png")), expected[number])
    for out in ("codes.csv", "codes.npz"):
        assert vae_use("encode", "part=validation", f"out={out}")[0] == 0
        assert vae_use("sample", f"codes={out}", f"out={out}.d")[0] == 0
    whole = as_pixels(run.reconstruct(run.data[1].batch(torch.arange(len(run.data[1])))))
    width = len(str(len(whole) - 1))
    assert torch.equal(pixels(Path("codes.npz.d", f"{7:0{width}d}.png")), whole[7])
    assert torch.equal(pixels(Path("codes.csv.d", f"{7:0{width}d}.png")), whole[7])


def test_a_code_that_is_typed_is_decoded(vae_use: Use, run: SavedRun) -> None:
    code = [0.25, -1.5, *(0.1 * place for place in range(sum(run.model.latent_dims) - 2))]
    typed = ",".join(f"{number:.5g}" for number in code)
    assert vae_use("sample", f"codes={typed}", "out=one")[0] == 0
    assert torch.equal(pixels(Path("one/0.png")), as_pixels(run.decode(torch.tensor([code])))[0])
    assert vae_use("sample", f"codes=[{typed}]; {typed}", "out=two")[0] == 2  # brackets are around all or nothing
    assert vae_use("sample", f"codes={typed}; {typed}", "out=both")[0] == 0
    assert torch.equal(pixels(Path("both/1.png")), pixels(Path("one/0.png")))


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("1,2,3", "codes=1,2,3: 3 numbers, and a code of the model has 10"),
        ("1", "codes=1: 1 numbers, and a code of the model has 10"),
        ("0,0,0,0,0,0,0,0,0,nan", "codes=0,0,0,0,0,0,0,0,0,nan: has numbers that are not finite"),
        ("0,0,0,0,0,0,0,0,0,1e999", "codes=0,0,0,0,0,0,0,0,0,1e999: has numbers that are not finite"),
    ],
)
def test_a_code_that_is_none_of_the_model_is_refused_in_a_line(vae_use: Use, typed: str, reason: str) -> None:
    code, _, errors = vae_use("sample", f"codes={typed}", "out=one")
    assert (code, errors[-1]) == (2, f"vae-use: error: {reason}")


def test_reconstructions_have_the_names_of_their_images(vae_use: Use, run: SavedRun, photos: Path) -> None:
    code, output, _ = vae_use("reconstruct", "photos", "out=again")
    assert (code, output[1]) == (0, "4 images reconstructed: again")
    expected = as_pixels(run.reconstruct([photos / "a.png", photos / "more/c.png"]))
    assert torch.equal(pixels(Path("again/a.png")), expected[0])
    assert torch.equal(pixels(Path("again/more/c.png")), expected[1])


@pytest.mark.parametrize("interpolation", ["linear", "spherical"])
def test_a_way_begins_and_ends_with_the_reconstructions(
    interpolation: str, vae_use: Use, run: SavedRun, photos: Path
) -> None:
    arguments = ["photos/a.png", "photos/large.jpg", "steps=5", f"interpolation={interpolation}", "out=way"]
    code, output, errors = vae_use("interpolate", *arguments)
    assert (code, errors, output[1:4]) == (0, [], ["way/strip.png", "way/frames", "way/way.gif"])
    ends = as_pixels(run.reconstruct([photos / "a.png", photos / "large.jpg"]))
    frames = [pixels(Path(f"way/frames/{number}.png")) for number in range(5)]
    assert (frames[0].int() - ends[0].int()).abs().max() <= 1
    assert (frames[-1].int() - ends[1].int()).abs().max() <= 1
    with Image.open("way/way.gif") as movie:
        assert movie.n_frames == 8  # there and back
    codes = np.array(json.loads(Path("way/strip.json").read_text())["codes"][0])
    a, b = codes[0], codes[-1]
    angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    middle = (a + b) / 2 if interpolation == "linear" else (a + b) * np.sin(angle / 2) / np.sin(angle)
    np.testing.assert_allclose(codes[2], middle, atol=1e-5)


def test_what_is_there_is_replaced_only_where_that_is_said(vae_use: Use, photos: Path) -> None:
    Path("codes.npz").write_text("mine")
    Path("full").mkdir()
    Path("full/0.png").write_text("mine")
    for arguments in (["encode", "photos", "out=codes.npz"], ["sample", "n=1", "out=full"]):
        code, output, errors = vae_use(*arguments)
        assert (code, output, len(errors)) == (2, [], 1)
        assert "already" in errors[0]
        assert "overwrite=true" in errors[0]
    assert Path("codes.npz").read_text() == Path("full/0.png").read_text() == "mine"
    assert vae_use("encode", "photos", "out=codes.npz", "overwrite=true")[0] == 0
    assert vae_use("sample", "n=1", "out=full", "overwrite=true")[0] == 0
    assert len(np.load("codes.npz")["names"]) == 4
    assert pixels(Path("full/0.png")).shape == (16, 16)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["encode", "out=c.npz"], "which images? give files or folders, or part= (test, validation, train, all)"),
        (["encode", ".", "part=train", "out=c.npz"], "which images? give files or a folder, or part=..., not both"),
        (["encode", "nowhere.png", "out=c.npz"], "nowhere.png: no such file or folder"),
        (["encode", "part=valid", "out=c.npz"], "part: expected one of test, validation, train, all, got 'valid'"),
        (["encode", "part=train"], "where to? give out=codes.npz, or .csv"),
        (["encode", "part=train", "out=c.txt"], "out=c.txt: codes go into a file that ends in .npz or .csv"),
        (["encode", "part=train", "out=c.npz", "n=3"], "n cannot be set for encode; it takes part, out, overwrite"),
        (["sample", "out=d", "n=0"], "n: expected a whole number from 1 to 10,000,000, got '0'"),
        (["sample", "out=d", "n=many"], "n: expected a whole number from 1 to 10,000,000, got 'many'"),
        (["sample", "out=d", "temperature=-1"], "temperature: expected a number from 0 to 100, got '-1'"),
        (["sample", "out=d", "temperature=nan"], "temperature: expected a number from 0 to 100, got 'nan'"),
        (["sample", "out=d", "components=3"], "components: of a mixture; give from=mixture"),
        (["sample", "out=d", "codes=c.npz", "n=3"], "codes are decoded as they are, and n would change nothing"),
        (["sample", "out=d", "codes=c.npz"], "codes=c.npz: cannot be read: No such file or directory"),
        (["sample", "cat.png", "out=d"], "sample takes no images; what is cat.png?"),
        (["sample", "out=d", "from=mixture", "components=5000"], "components=5000: only "),
        (["interpolate", "a.png", "out=d"], "interpolate goes from one image to another: give two files, not 1"),
        (["export", "out=model.pt"], "out=model.pt: a model goes into a file that ends in .onnx, .pt2, .safetensors"),
        (["export", "--onnx", "out=m.pt2"], "no option called '--onnx'; settings are written without dashes"),
        (["encode", "part=train", "out=/dev/null/c.npz"], "out: /dev/null is not a folder"),
        (["sample", "out=/dev/null"], "out=/dev/null is not a folder"),
    ],
)  # fmt: skip
def test_mistakes_get_one_line_and_leave_nothing(vae_use: Use, inside: Path, arguments: list[str], line: str) -> None:
    code, _, errors = vae_use(*arguments)
    assert (code, len(errors)) == (2, 1), errors
    assert errors[0].startswith(f"vae-use: error: {line}")
    assert list(inside.iterdir()) == []


def test_a_verb_or_a_run_that_is_none_is_told(inside: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (["encod"], ["encode"], ["export", "nowhere", "out=m.pt2"], ["sample", "\x00", "out=d"]):
        assert use.run(arguments) == 2
    assert capfd.readouterr().err.splitlines() == [
        "vae-use: error: no verb called 'encod'; there are encode, sample, reconstruct, interpolate, export, import: "
        "vae-use encode outputs/latest ...",
        "vae-use: error: of which run? vae-use encode outputs/latest ...; --help says more",
        "vae-use: error: nowhere: no run there (no config.yaml); give the folder of a run",
        "vae-use: error: \\x00: no run there (no config.yaml); give the folder of a run",
    ]


@pytest.mark.parametrize("arguments", [["--help"], ["encode", "nowhere"], ["--version"], []])
def test_help_and_mistakes_import_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom vae_runner.cli.using import use\n"
        f"use.run({arguments!r})\nassert not {{'torch', 'numpy', 'hydra', 'sklearn'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_full_disk_is_told_in_a_line(vae_use: Use, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for arguments in (["encode", "photos", "out=codes.npz"], ["sample", "n=2", "out=samples"], ["export", "out=m.pt2"]):
        code, _, errors = vae_use(*arguments)
        assert code == 1
        assert errors[-1].startswith("vae-use: error: no space left on ")
    assert not Path("codes.npz").exists()
    assert not Path("m-encoder.pt2").exists()


@pytest.fixture
def mixed() -> VAE:
    """A model with a turned normal space and an exponential one."""
    torch.manual_seed(0)
    spaces: list[LatentSpace] = [AlignedNormalSpace(3), ExponentialSpace(2)]
    model = VAE(MLPEncoder((1, 8, 8), (16,)), spaces, MLPDecoder(5, (1, 8, 8), (16,)), Bernoulli())
    spaces[0].frame.copy_(torch.linalg.qr(torch.randn(3, 3))[0])
    return model.eval().requires_grad_(False)


class Dots(nn.Module):
    """Data of random images, by their index."""

    image_shape, grid = (1, 8, 8), None

    def __len__(self) -> int:
        return 300

    def gather(self, indices: Tensor) -> Tensor:
        return torch.rand(300, 1, 8, 8, generator=torch.Generator().manual_seed(1))[indices]

    def factors(self, indices: Tensor) -> dict[str, Tensor]:
        return {"kind": indices % 3, "angle": torch.zeros(len(indices), 2)}


def test_each_latent_space_has_its_columns_and_a_family_its_parameters(mixed: VAE) -> None:
    subset = Subset(Dots(), torch.arange(300))  # type: ignore[arg-type]
    table = collected(of_subset(mixed, subset, torch.device("cpu"), size=128))
    assert list(table.columns) == [
        "space0_mean", "space0_scale", "space1_mean", "space1_scale", "space1_exponential_lograte",
    ]  # fmt: skip
    first, second = mixed.posteriors(subset.batch(torch.arange(300)))
    assert isinstance(second, SimpleExponential)
    for name, expected in (("space0_mean", first.mean), ("space1_exponential_lograte", second.lograte)):
        np.testing.assert_allclose(table[name], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(table["space1_mean"], np.exp(-table["space1_exponential_lograte"]), rtol=1e-5)
    assert table["kind"].tolist() == [index % 3 for index in range(300)]
    assert "angle" not in table.factors


@pytest.mark.parametrize("ending", [".npz", ".csv"])
def test_codes_of_several_spaces_are_read_again(ending: str, mixed: VAE, inside: Path) -> None:
    subset = Subset(Dots(), torch.arange(9))  # type: ignore[arg-type]
    table = collected(of_subset(mixed, subset, torch.device("cpu")))
    table.save(f"codes{ending}")
    for number, part in enumerate(read_codes(Path(f"codes{ending}"), mixed.latent_dims)):
        np.testing.assert_allclose(part, table[f"space{number}_mean"], rtol=1e-6)
    with pytest.raises(UserError, match=r"space0_mean is float32 \(9, 3\), and the model has codes \(N, 4\)"):
        read_codes(Path(f"codes{ending}"), [4, 2])
    with pytest.raises(UserError, match=r"has no mean; it has space0_mean, space1_mean"):
        read_codes(Path(f"codes{ending}"), [5])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"name,mean_0\nx,abc\n", b"name,mean_0\nx\n", b"\x93NUMPY"])
@pytest.mark.parametrize("ending", [".npz", ".npy", ".csv", ".txt"])
def test_a_file_that_holds_no_codes_is_told_in_a_line(content: bytes, ending: str, inside: Path) -> None:
    file = inside / f"codes{ending}"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"^codes=.*codes\.\w+: ") as caught:
        read_codes(file, [1])
    assert "\n" not in str(caught.value)


def test_a_name_that_a_spreadsheet_would_run_is_a_text(inside: Path) -> None:
    CodeTable(np.array(["=cmd()"]), {"mean": np.zeros((1, 1), np.float32)}).save("codes.csv")
    assert Path("codes.csv").read_text().splitlines() == ["name,mean_0", "'=cmd(),0"]


def normal_model(dims: int = 2) -> VAE:
    torch.manual_seed(0)
    ends = MLPEncoder((1, 8, 8), (16,)), MLPDecoder(dims, (1, 8, 8), (16,))
    return VAE(ends[0], [NormalSpace(dims)], ends[1], Bernoulli()).eval().requires_grad_(False)


def test_a_temperature_scales_the_deviations_from_the_mean(mixed: VAE) -> None:
    cpu = torch.device("cpu")
    whole, half = of_prior(mixed, 50, 3, cpu), of_prior(mixed, 50, 3, cpu, temperature=0.5)
    torch.testing.assert_close(half[0], whole[0] / 2)
    torch.testing.assert_close(half[1], 1 + (whole[1] - 1) / 2)  # the mean of Exponential(1) is 1
    with pytest.raises(UserError, match="temperature=2 leaves what the prior covers; take 1 or less"):
        of_prior(mixed, 5, 0, cpu, temperature=2)
    with pytest.raises(UserError, match="from=mixture: Gaussians would leave what the prior covers"):
        of_mixture(mixed, Subset(Dots(), torch.arange(300)), 5, 0, cpu)  # type: ignore[arg-type]


def test_a_mixture_of_one_gaussian_has_the_mean_and_covariance_of_the_codes() -> None:
    """With one component, the fit is exact: the moments of the samples of q that it is fitted to."""
    model, cpu, count = normal_model(), torch.device("cpu"), 200_000
    subset = Subset(Dots(), torch.arange(300))  # type: ignore[arg-type]
    (drawn,) = of_mixture(model, subset, count, 0, cpu, components=1)
    (again,) = of_mixture(model, subset, count, 0, cpu, components=1)
    assert torch.equal(drawn, again)
    q = model.posteriors(subset.batch(torch.arange(300)))[0]
    variance = q.variance.mean(0) + q.mean.var(0)
    tolerance = 4 * (variance / 300).sqrt()  # the codes are one draw of each of 300 images
    assert ((drawn.mean(0) - q.mean.mean(0)).abs() < tolerance).all()
    assert ((drawn.var(0) / variance - 1).abs() < 4 * (2 / 300) ** 0.5).all()
    (cold,) = of_mixture(model, subset, count, 0, cpu, temperature=0.5, components=1)
    torch.testing.assert_close(cold.std(0) / drawn.std(0), torch.full((2,), 0.5), atol=1e-4, rtol=0)


def test_two_images_never_share_the_name_of_a_picture() -> None:
    names = ["a.jpg", "a.png", "a.gif", "x/a.jpg", "/abs/b.png", "../../c.png", "", "..", "a.png.png", "\x00"]
    found = picture_names(names)
    assert len(set(found)) == len(names)
    assert not [name for name in found if ".." in Path(name).parts or Path(name).is_absolute()]
    assert found[:4] == ["a.png", "a.png.png", "a.gif.png", "x/a.png"]


@pytest.mark.parametrize("which", ["normal", "mixed"])
def test_an_exported_graph_gives_what_the_model_gives_for_any_number_of_inputs(
    which: str, mixed: VAE, inside: Path
) -> None:
    model = mixed if which == "mixed" else normal_model()
    files = list(export(model, (1, 8, 8), inside / "m.pt2", {}))
    assert [file.name for file in files] == ["m-encoder.pt2", "m-decoder.pt2"]
    encoder, decoder = (torch.export.load(file).module() for file in files)
    for count in (1, 7):
        images = torch.rand(count, 1, 8, 8)
        codes = torch.cat([torch.rand(count, dims) for dims in model.latent_dims], 1)
        expected = [part for q in model.posteriors(images) for part in (q.mean, q.stddev)]
        torch.testing.assert_close(list(encoder(images)), expected)
        torch.testing.assert_close(decoder(codes), model.decode(codes.split(model.latent_dims, 1)))


@pytest.mark.parametrize("space", [None, NormalSpace(5), WeibullSpace(5), UniformSpace(5), GammaSpace(5)])
def test_onnx_gives_what_torch_gives(space: LatentSpace | None, mixed: VAE, inside: Path) -> None:
    model = VAE(mixed.encoder, [space], mixed.decoder, Bernoulli()).eval() if space else mixed
    model.requires_grad_(False)
    files = list(export(model, (1, 8, 8), inside / "m.onnx", {}))
    encoder, decoder = (onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]) for file in files)
    images, codes = torch.rand(5, 1, 8, 8), torch.rand(5, sum(model.latent_dims))
    assert [output.name for output in encoder.get_outputs()] == Encoder(model).names()
    for found, expected in zip(encoder.run(None, {"images": images.numpy()}), Encoder(model)(images), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    (found,) = decoder.run(["images"], {"codes": codes.numpy()})
    np.testing.assert_allclose(found, Decoder(model)(codes), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("ending", "package"), [(".onnx", "onnxscript"), (".safetensors", "safetensors")])
def test_a_package_that_is_missing_is_named(
    vae_use: Use, monkeypatch: pytest.MonkeyPatch, ending: str, package: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else object())
    code, output, errors = vae_use("export", f"out=m{ending}")
    assert (code, output) == (2, [])
    assert errors == [
        f"vae-use: error: {ending} needs the package {package}: pip install 'vae_runner[export]'; .pt2 needs none"
    ]


def parsed_safetensors(data: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A reader by the published layout, which takes nothing on trust."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert data[8:9] == b"{"
    about, numbers = header.pop("__metadata__"), data[8 + length :]
    kinds = {"F32": torch.float32, "I64": torch.int64, "BOOL": torch.bool, "BF16": torch.bfloat16}
    ends = sorted(tuple(entry["data_offsets"]) for entry in header.values())
    assert [begin for begin, _ in ends] == [0, *(end for _, end in ends[:-1])]  # no gaps
    assert ends[-1][1] == len(numbers)
    found = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        part = bytearray(numbers[begin:end])
        flat = torch.frombuffer(part, dtype=kinds[entry["dtype"]]) if part else torch.empty(0)
        found[name] = flat.reshape(entry["shape"])
    return found, about


def test_safetensors_hold_all_weights_and_what_they_are_of(vae_use: Use, run: SavedRun) -> None:
    assert vae_use("export", "out=m.safetensors")[0] == 0
    found, about = parsed_safetensors(Path("m.safetensors").read_bytes())
    expected = run.model.state_dict()
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert torch.equal(value, expected[name]), name
    assert json.loads(about["image_shape"]) == [1, 16, 16]
    assert json.loads(about["config"])["distribution"]["dims"] == 10
    assert all(isinstance(value, str) for value in about.values())


def test_safetensors_hold_tensors_of_all_kinds() -> None:
    weights = {
        "scalar": torch.tensor(3, dtype=torch.int64), "part": torch.arange(12.0).view(3, 4).T,
        "half": torch.tensor([1.5, -2], dtype=torch.bfloat16), "yes": torch.tensor([True, False]),
    }  # fmt: skip
    weights["the same"] = weights["half"]  # shared weights are written twice
    found, about = parsed_safetensors(safetensors_bytes(weights, {"format": "pt", "step": 4}))
    assert about == {"format": "pt", "step": "4"}
    assert found.keys() == weights.keys()
    for name, value in found.items():
        assert torch.equal(value, weights[name]), name


def test_images_of_a_run_are_indexed_looped_over_and_given_to_a_loader(run: SavedRun) -> None:
    subset = run.subset("train")
    every = subset.batch(torch.arange(len(subset)))
    assert torch.equal(subset[3], every[3])
    assert torch.equal(subset[-1], every[-1])
    assert torch.equal(subset[2:9:3], every[2:9:3])
    assert torch.equal(subset[[4, 4, 0]], every[[4, 4, 0]])
    assert torch.equal(torch.stack(list(subset)), every)
    loaded = torch.cat(list(torch.utils.data.DataLoader(subset, batch_size=7)))  # type: ignore[arg-type]
    assert torch.equal(loaded, every)
    assert len(run.subset("all")) == len(run.data[0]) + len(run.data[1])
    with pytest.raises(IndexError):
        subset[len(subset)]
    with pytest.raises(ValueError, match="split must be one of train, validation, all, got 'tset'"):
        run.images(split="tset")  # type: ignore[arg-type]


def test_images_of_each_split_are_asked_for_by_name(run: SavedRun) -> None:
    among = {name: {image.numpy().tobytes() for image in run.subset(name)} for name in ("train", "validation")}
    for name, own in among.items():
        images = run.images(5, split=name)  # type: ignore[arg-type]
        others = [image for image in images if image.numpy().tobytes() in own]
        assert len(images) == 5
        assert len(others) >= 1  # the showcase may be of the other part
    assert torch.equal(run.images(5), run.images(5, split="validation"))


def test_the_log_is_read_as_columns(run: SavedRun, folder: Path) -> None:
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    validation = [record for record in records if record["split"] == "validation"]
    found = run.metrics["validation"]
    assert found["step"].tolist() == [0, 8]
    assert found["neg_elbo"].tolist() == [record["neg_elbo"] for record in validation]
    assert found["kl_dims"].tolist() == [record["kl_dims"] for record in validation]
    assert "split" not in found
    assert run.metrics["train"]["loss"].shape == run.metrics["train"]["step"].shape


def test_a_whole_part_is_encoded(run: SavedRun) -> None:
    table = run.encode_all("train")
    expected = run.encode(run.subset("train")[:])
    np.testing.assert_allclose(table["mean"], expected, rtol=1e-4, atol=1e-6)
    assert len(table) == len(table["shade"]) == len(run.data[0])


def test_pictures_show_themselves_in_a_notebook(run: SavedRun, inside: Path) -> None:
    grid = run.interpolate(run.images(1), run.images(2)[1:], steps=3)
    grid.save("way.png")
    assert grid._repr_png_() == Path("way.png").read_bytes()
    first, last = as_batch(grid.images[:1], (1, 16, 16), None), grid.images[-1:]
    assert torch.equal(torch.cat([first, last]), run.images(2))


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (use.run, ["sample", "RUN", "n=1", "--out", "drawn"]),
        (evaluate.run, ["RUN", "score=[active_units]"]),
        (redraw.run, ["RUN", "visualisation=[samples]", "--out", "drawn"]),
    ],
    ids=["vae-use", "vae-evaluate", "vae-redraw"],
)
def test_a_command_that_does_not_train_takes_its_share_of_the_machine(
    command: Callable[[list[str]], int],
    arguments: list[str],
    folder: Path,
    inside: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, threads, before = [], set(), torch.get_num_threads()
    monkeypatch.setattr(own_share, "_spare", lambda most: 3)
    monkeypatch.setattr(own_share, "keep_freed_memory", lambda: kept.append(True))
    with register_module_forward_pre_hook(lambda *_: threads.add(torch.get_num_threads())):
        assert command([str(folder) if one == "RUN" else one for one in arguments] + OWN) == 0
    assert (kept, threads) == ([True], {3})
    assert torch.get_num_threads() == before
