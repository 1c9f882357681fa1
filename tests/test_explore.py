"""explore.html: the decoder that runs in it is the trained one, whatever its layers; and what it knows."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy_decoder import decode
from odd_decoders import Every, Own
from torch import nn
from toy import Bars

import vae_runner
from vae_runner import architectures, latent_space, likelihood
from vae_runner.auto_encoder import VAE, evaluating
from vae_runner.cli import run as vae_train
from vae_runner.cli.redraw import run as vae_redraw
from vae_runner.cli.report import run as vae_report
from vae_runner.drawing.explorer.explorer_page import explorer, known_of
from vae_runner.drawing.palette import PAGE_LIGHT
from vae_runner.errors import UserError
from vae_runner.latent_frame import AlignedNormalSpace
from vae_runner.layers import accelerate
from vae_runner.report.explorers import renew_explorer, write_explorers
from vae_runner.visualisation.exploring.code_mixture import mixture_of
from vae_runner.visualisation.exploring.number_words import MAPS, PAIRS
from vae_runner.visualisation.exploring.page_content import Shown, content, decoder_of

PACKAGE = Path(__file__).parent.parent / "vae_runner"
GRAY, COLOUR = (1, 16, 16), (3, 17, 12)
DECODERS = {
    "broadcast": lambda shape: architectures.BroadcastDecoder(6, shape, width=6),
    "conv": lambda shape: architectures.ConvDecoder(6, shape, hidden=(16,), channels=(6, 5)),
    "mlp": lambda shape: architectures.MLPDecoder(6, shape, hidden=(12, 8)),
    "linear": lambda shape: architectures.LinearDecoder(6, shape),
    "resnet": lambda shape: architectures.ResNetDecoder(6, shape, width=8),
}


def vae(decoder: nn.Module, shape=GRAY, noise=None, spaces=None) -> VAE:
    encoder = architectures.MLPEncoder(shape, (8,))
    with torch.no_grad():
        for parameter in decoder.parameters():  # biases and last layers of blocks start at 0, and would hide a mistake
            parameter += 0.1 * torch.randn_like(parameter)
    model = VAE(encoder, spaces or [latent_space.NormalSpace(dims=6)], decoder, noise or likelihood.Bernoulli())
    return model.eval().requires_grad_(False)


def largest_error(model: VAE, program: dict) -> float:
    """Of the program's numbers against torch's, in 255ths."""
    codes = torch.randn(3, sum(model.latent_dims), generator=torch.Generator().manual_seed(1))
    wanted = model.likelihood.mean(model.raw(codes)).numpy()
    found = np.stack([decode(program, code.numpy()) for code in codes])
    return 255 * float(np.abs(wanted - found).max())


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("shape", [GRAY, COLOUR], ids=["gray", "colour"])
@pytest.mark.parametrize("name", DECODERS)
def test_the_steps_of_every_decoder_make_its_images(name: str, shape: tuple[int, int, int]) -> None:
    model = vae(DECODERS[name](shape), shape, likelihood.Gaussian() if name == "linear" else None)
    assert largest_error(model, decoder_of(model)) < 0.01


@pytest.mark.parametrize("kind", [Own, Every])
def test_layers_that_only_a_decoder_of_ones_own_has_are_known_too(kind: type[nn.Module]) -> None:
    decoder = kind().eval()
    model = vae(decoder, tuple(decoder(torch.zeros(1, 6)).shape[1:]), likelihood.Gaussian())
    program = decoder_of(model)
    assert kind is Own or {*MAPS, *PAIRS} <= {step.get("name") for step in program["steps"]}
    assert largest_error(model, program) < 0.01


@pytest.mark.parametrize("nonlinearity", ["relu", "leaky_relu", "elu", "gelu", "silu", "tanh"])
def test_every_non_linearity_is_known(nonlinearity: str) -> None:
    model = vae(architectures.MLPDecoder(6, GRAY, (8,), nonlinearity=nonlinearity))
    assert largest_error(model, decoder_of(model)) < 0.01


@pytest.mark.parametrize("per", ["image", "channel", "pixel"])
def test_the_mean_of_levels_is_that_of_the_likelihood(per: str) -> None:
    noise = likelihood.DiscretizedLogistic(num_channels=3, per=per)
    shape = (3 * noise.channels_per_channel, 8, 8)
    model = vae(architectures.MLPDecoder(6, shape, (8,)), (3, 8, 8), noise)
    assert largest_error(model, decoder_of(model)) < 0.01


def test_a_turned_frame_closed_latents_and_several_spaces_are_part_of_the_steps() -> None:
    turned = AlignedNormalSpace(dims=4, open=3)
    turned.frame.copy_(torch.linalg.qr(torch.randn(4, 4)).Q)
    model = vae(architectures.MLPDecoder(9, GRAY, (8,)), spaces=[turned, latent_space.GammaSpace(dims=5)])
    assert largest_error(model, decoder_of(model)) < 0.01
    turned.frame.copy_(torch.eye(4))
    assert largest_error(model, decoder_of(model)) < 0.01  # of the frame that it has now


def test_layers_that_were_made_faster_are_written_as_they_were_and_stay_fast() -> None:
    model = vae(architectures.ConvDecoder(6, GRAY, (16,), (6, 5)))
    before = [step["op"] for step in decoder_of(model)["steps"]]
    assert accelerate(model)
    fast = [type(module) for module in model.modules()]
    program = decoder_of(model)
    assert [step["op"] for step in program["steps"]] == before
    assert [type(module) for module in model.modules()] == fast
    assert largest_error(model, program) < 0.01


def test_weights_of_many_numbers_take_two_bytes_and_are_within_one_255th() -> None:
    model = vae(architectures.MLPDecoder(6, GRAY, (128, 200)))
    program = decoder_of(model)
    kinds = {one["size"]: one["kind"] for one in program["constants"]}
    assert kinds[200 * 128] == "f2"
    assert kinds[200] == "f4"
    assert largest_error(model, program) < 1


class Odd(nn.Module):
    def __init__(self, does) -> None:
        super().__init__()
        self.layer, self.does = nn.Linear(6, 256), does

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.does(self.layer(z)).view(-1, 1, 16, 16)


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        (lambda y: y.cumsum(1), r"^decoder \(Odd\): cumsum is not known$"),
        (lambda y: y + torch.randn_like(y), r"^decoder \(Odd\): randn_like draws at random$"),
        (lambda y: y if y.sum() > 0 else -y, r"^decoder \(Odd\): sum is not known$"),
        (lambda y: y if y[0, 0] > 0 else -y, r"^decoder \(Odd\): _local_scalar_dense is not known$"),
        (lambda y: (y[:, :128].mul_(2), y)[1], r"^decoder \(Odd\): view reads what was overwritten in place$"),
        (lambda y: torch.div(y, 2.0, rounding_mode="floor"), r"^decoder \(Odd\): div is not known in this form$"),
        (lambda y: torch.zeros(1, 256), "do not depend on its codes"),
    ],
)
def test_what_the_page_does_not_know_is_refused_by_name(does, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        decoder_of(vae(Odd(does)))
    assert "\n" not in str(caught.value)


def test_a_layer_deep_inside_is_named() -> None:
    class Sorted(nn.Module):
        def forward(self, y):
            return y.sort(1).values

    decoder = nn.Sequential(nn.Linear(6, 256), Sorted(), nn.Unflatten(1, GRAY))
    with pytest.raises(UserError, match=r"^decoder\.1 \(Sorted\): sort is not known$"):
        decoder_of(vae(decoder))


class Counting(nn.Module):
    """Changes a number of its own when it has used it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 256)
        self.register_buffer("factor", torch.ones(1))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        y = self.layer(z) * self.factor
        self.factor.add_(1)
        y = y + self.factor
        self.factor.sub_(1)
        return y.view(-1, *GRAY)


def test_a_constant_has_the_value_that_it_had_where_it_was_used() -> None:
    model = vae(Counting())
    assert largest_error(model, decoder_of(model)) < 0.01


def unpacked(text: str, kind: str = "<f2") -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind).astype(float)


def test_the_mixture_has_the_mean_and_the_covariance_of_the_codes() -> None:
    codes = torch.randn(400, 3) @ torch.randn(3, 3) + torch.tensor([1.0, -2.0, 0.5])
    found = mixture_of(
        vae(architectures.LinearDecoder(3, GRAY), spaces=[latent_space.NormalSpace(dims=3)]).priors(), codes
    )
    weights, means = np.array(found["weights"]), unpacked(found["means"]).reshape(-1, 3)
    lower = unpacked(found["lower"]).reshape(-1, 3, 3)
    assert np.allclose(weights @ means, codes.mean(0), atol=0.01)
    apart = means - weights @ means  # the covariance is that within the components, and that of their means
    covariance = np.einsum("k,kij,klj->il", weights, lower, lower) + np.einsum("k,ki,kl->il", weights, apart, apart)
    assert np.allclose(covariance, np.cov(codes.T.numpy(), bias=True), atol=0.02)
    assert mixture_of([torch.distributions.Gamma(1.0, 1.0)], codes) is None
    assert mixture_of([torch.distributions.Normal(0.0, 1.0)], codes[:199]) is None


class Factors(Bars):
    """A number, an angle and a class of five images."""

    def factors(self, indices: torch.Tensor) -> dict[str, torch.Tensor]:
        turns = 2 * torch.pi * torch.tensor([0.5, 64.5, 128.5, 192.5, 255.5]) / 256
        known = {"size": torch.tensor([3.0, 5.0, 4.0, 3.5, 3.0]), "angle": torch.stack([turns.cos(), turns.sin()], 1)}
        return {**known, "shape": torch.tensor([2, 0, 1, 2, 2])}


def test_a_factor_is_a_byte_for_each_image_on_the_map() -> None:
    model = vae(architectures.LinearDecoder(6, GRAY))
    with evaluating(model):
        made = content(model, decoder_of(model), Shown(Factors(), torch.arange(5), 2))
    found = {one["name"]: (one["kind"], unpacked(one["levels"], "u1").tolist()) for one in made["map"]["factors"]}
    assert found == {
        "size": ("values", [0, 255, 128, 64, 0]),
        "angle": ("circle", [0, 64, 128, 192, 255]),
        "shape": ("classes", [2, 0, 1, 2, 2]),
    }
    assert made["map"]["factors"][0]["ends"] == [3, 5]


NAMES = ("</script><script>alert(1)</script>", "<!-- <b>&amp;", '"\\ \u2028 \ud800')


@pytest.mark.parametrize("name", NAMES)
def test_names_are_text_of_the_page_and_never_markup(name: str) -> None:
    known = {"name": name, "latents": [{"factor": name}]}
    page = explorer([known])
    assert known_of(page) == [known]
    text = page.decode()
    assert len(re.findall(r"<script\b", text)) == len(re.findall(r"</script>", text)) == 2
    assert "<b>" not in text


def test_the_page_allows_itself_its_own_script_and_nothing_from_outside() -> None:
    text = explorer([{"name": "run"}]).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert policy[1].startswith("default-src 'none'; ")
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("content", [b"", b"<html></html>", b'<script type="application/json" id="known">[1</script>'])
def test_of_a_file_that_is_no_such_page_nothing_is_known(content: bytes) -> None:
    assert known_of(content) == []


def test_what_the_page_knows_is_json_that_every_browser_reads() -> None:
    page = explorer([{"name": "run", "nats": None}])
    found = re.search(rb'id="known">(.*?)</script>', page, re.DOTALL)
    assert found
    json.loads(found[1], parse_constant=lambda text: pytest.fail(text))


NEEDED = {"about": [], "step": 5, "program": {}, "spaces": [], "latents": [], "start": {}, "map": {}, "draws": []}


def test_a_page_is_made_anew_of_what_is_in_it_and_other_files_stay_as_they_are(tmp_path: Path) -> None:
    file, run = tmp_path / "explore.html", {"name": "run", **NEEDED}
    assert not renew_explorer(tmp_path)
    for other in (b"mine", explorer([{"name": "run"}]), explorer([run, run])):
        file.write_bytes(other)
        assert not renew_explorer(tmp_path)
        assert file.read_bytes() == other
    file.write_bytes(explorer([run]).replace(b"padding", b"margin"))  # of an older version
    assert renew_explorer(tmp_path)
    assert file.read_bytes() == explorer([run])


def test_a_sweep_sets_six_runs_side_by_side_and_one_alone_has_no_page(tmp_path: Path) -> None:
    folders = [tmp_path / f"job{number}" for number in range(8)]
    for folder in folders:
        folder.mkdir()
        (folder / "explore.html").write_bytes(explorer([{"name": "as it was", **NEEDED}]))
    (folders[1] / "explore.html").unlink()
    jobs = [(folder, folder.name) for folder in folders]
    assert write_explorers(tmp_path, jobs, "beta")
    found = known_of((tmp_path / "explore.html").read_bytes())
    assert [run["name"] for run in found] == ["job0", "job2", "job3", "job4", "job5", "job6"]
    assert not write_explorers(tmp_path, jobs[:2], "beta")
    assert not (tmp_path / "explore.html").exists()
    (tmp_path / "explore.html").write_bytes(b"its own")
    (tmp_path / "config.yaml").write_text("seed: 0")  # the folder is a run's
    assert not write_explorers(tmp_path, jobs, "beta")
    assert (tmp_path / "explore.html").read_bytes() == b"its own"


COLOURED = re.compile(r"#[0-9a-fA-F]{3}|\b(?:rgb|hsl)a?\((?!\$)")


@pytest.mark.parametrize("file", sorted((PACKAGE / "drawing/explorer").glob("*.[cj]s*")), ids=lambda file: file.name)
def test_style_and_scripts_of_the_page_have_their_colours_from_the_palette(file: Path) -> None:
    text = file.read_text()
    assert not COLOURED.search(text)
    named = re.findall(r"var\(--(\w+)\)", text) + re.findall(r'colour\("(\w+)"\)', text)
    assert set(named) <= {*PAGE_LIGHT, "shape"}
    assert file.suffix == ".js" or len(named) > 20


SMALL = [f"--config-dir={Path(__file__).parent / 'conf'}", "dataset=bars", "engine.steps=8", "engine.batch_size=16"]
SMALL += ["engine.precision=fp32", "engine.device=cpu", "engine.progress=false", "visualisation=[explore]"]


@pytest.mark.slow
def test_a_run_ends_with_a_page_of_its_best_weights_which_its_report_leads_to(inside: Path, capfd) -> None:
    too_fast = ["optimizer.lr=0.1", "lr_schedule=constant", "engine.validate_every=1"]  # so that the last are not best
    assert vae_train([*SMALL, *too_fast, "evaluation=none", "hydra.run.dir=run"]) == 0
    assert "try it " in capfd.readouterr().out
    page = Path("run/explore.html").read_bytes()
    (known,) = known_of(page)
    run = vae_runner.load("run", "best", device="cpu", trust=True)
    code = torch.linspace(-1, 1, sum(run.model.latent_dims))
    assert np.abs(decode(known["program"], code.numpy()) - run.decode(code[None])[0].numpy()).max() < 1 / 255
    assert (known["name"], known["step"]) == ("run", run.step)
    assert run.step < 8
    starts = torch.tensor(known["start"]["codes"])
    images = run.data[1].data.gather(torch.tensor(known["start"]["indices"]))
    assert torch.allclose(starts, run.encode(images), atol=1e-4)
    assert {factor["name"] for factor in known["map"]["factors"]} == {"height", "width", "place", "shade"}
    assert 'href="explore.html"' in Path("run/report.html").read_text()

    Path("run/explore.html").unlink()
    assert vae_report(["run"]) == 0
    assert 'href="explore.html"' not in Path("run/report.html").read_text()
    assert vae_report(["run", "explore=true", "trust=true"]) == 0
    (again,) = known_of(Path("run/explore.html").read_bytes())
    assert again["program"] == known["program"]
    assert 'href="explore.html"' in Path("run/report.html").read_text()
    assert vae_report(["run"]) == 0


@pytest.mark.slow
def test_a_page_that_would_be_too_large_is_told_in_a_line(inside: Path, capfd) -> None:
    assert vae_train([*SMALL, "evaluation=none", "visualisation.explore.megabytes=0.001", "hydra.run.dir=run"]) == 0
    told = [line for line in capfd.readouterr().out.splitlines() if "explore" in line]
    assert len(told) == 1
    reason = r"visualisation\.explore\.megabytes=0\.001: the decoder alone takes [\d.]+; megabytes=(\d+) makes the page"
    need = re.fullmatch(rf"no explore\.html: {reason}", told[0])
    assert need
    assert not Path("run/explore.html").exists()
    assert vae_report(["run"]) == 0
    told = [line for line in capfd.readouterr().out.splitlines() if line.startswith("no ")]
    assert told == ["no explore.html: vae-report run explore=true makes it, or says why there is none"]
    assert vae_report(["run", "explore=true", "trust=true"]) == 2
    assert re.search(reason, capfd.readouterr().err)
    enough = ["visualisation=[explore]", f"visualisation.explore.megabytes={need[1]}", "trust=true"]
    assert vae_redraw(["run", *enough, "engine.device=cpu"]) == 0
    Path("run/explore.html").unlink()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["explore=maybe"], "explore: expected true or false, got explore=maybe"),
        (["trust=true"], "trust=true is for explore=true: nothing else builds what a config names"),
        (["explore=true", "format=pdf"], "explore=true makes a page, and format=... files for a paper: one at a time"),
        (["explore=true"], "explore=true is for the folder of one run; vae-report RUN explore=true for each"),
    ],
)
def test_a_page_is_asked_for_of_one_run(inside: Path, capfd, arguments: list[str], line: str) -> None:
    Path("runs/a").mkdir(parents=True)
    Path("runs/a/config.yaml").write_text("seed: 0")
    assert vae_report(["runs", *arguments]) == 2
    assert line in capfd.readouterr().err
