"""explore.html in a real browser: what it decodes, what it asks for, what it keeps, and what names do in it."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browsers import started
from odd_decoders import Every, Own
from torch import nn
from toy import Bars, Blobs

from vae_runner import architectures, latent_space, likelihood
from vae_runner.auto_encoder import VAE, evaluating
from vae_runner.drawing.explorer.explorer_page import explorer
from vae_runner.latent_frame import AlignedNormalSpace
from vae_runner.visualisation.exploring.compared_steps import compared
from vae_runner.visualisation.exploring.page_content import Shown, content, decoder_of
from vae_runner.visualisation.exploring.program import packed
from vae_runner.visualisation.picture import Past

pytestmark = pytest.mark.slow  # a browser is started

GRAY, COLOUR = (1, 16, 16), (3, 17, 12)
DIMS = 6
DECODERS: dict[str, Callable[[tuple[int, int, int]], nn.Module]] = {
    "broadcast": lambda shape: architectures.BroadcastDecoder(DIMS, shape),
    "conv": lambda shape: architectures.ConvDecoder(DIMS, shape),
    "conv_higgins": lambda shape: architectures.ConvDecoder(DIMS, shape, hidden=(256,), channels=(64, 32)),
    "mlp": lambda shape: architectures.MLPDecoder(DIMS, shape, hidden=(300, 300)),
    "linear": lambda shape: architectures.LinearDecoder(DIMS, shape),
    "resnet": lambda shape: architectures.ResNetDecoder(DIMS, shape),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started() as browser:
        yield browser


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """opened(content, ...) -> the page of these runs, on which nothing has gone wrong when the test is over."""
    faults: list[str] = []
    contexts = []

    def opens(*runs: dict[str, Any], **options: Any) -> Any:
        file = tmp_path / "explore.html"
        file.write_bytes(explorer(runs))
        contexts.append(browser.new_context(reduced_motion="reduce", **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
        page.goto(file.as_uri())
        page.wait_for_selector("canvas.stage[data-shown]")
        return page

    yield opens
    for context in contexts:
        context.close()
    assert faults == []


def vae(decoder: nn.Module, shape: tuple[int, int, int] = GRAY, noise: Any = None, spaces: Any = None) -> VAE:
    spaces = spaces or [latent_space.NormalSpace(dims=DIMS)]
    with torch.no_grad():
        for parameter in decoder.parameters():  # biases and last layers of blocks start at 0, and would hide a mistake
            parameter += 0.1 * torch.randn_like(parameter)
    return VAE(architectures.MLPEncoder(shape, (16,)), spaces, decoder, noise or likelihood.Bernoulli())


def known(model: VAE, data: Any, count: int = 40, starts: int = 8) -> dict[str, Any]:
    with evaluating(model):
        made = content(model, decoder_of(model), Shown(data, torch.arange(count), starts))
    return {"name": "run", "about": ["toy", "", "beta"], "step": 1200, **made}


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    """A run on bars with known factors, of a model that has learned nothing."""
    torch.manual_seed(0)
    return known(vae(architectures.MLPDecoder(DIMS, GRAY, (16,))), Bars(), 120)


def shown(page: Any, text: str) -> np.ndarray:
    """The pixels (H, W, 4) of a code, which is pasted into the page."""
    page.fill("textarea.code", text)
    page.wait_for_function("text => document.querySelector('canvas.stage').dataset.shown === text", arg=text)
    script = """canvas => [canvas.height, canvas.width,
        ...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"""
    height, width, *values = page.eval_on_selector("canvas.stage", script)
    return np.array(values).reshape(height, width, 4)


def text_of(code: torch.Tensor) -> str:
    return ",".join(f"{number:g}" for number in code.tolist())


def assert_alike(page: Any, model: VAE, codes: torch.Tensor) -> None:
    with evaluating(model):
        images = model.likelihood.mean(model.raw(codes)).clamp(0, 1)
    for code, image in zip(codes, images, strict=True):
        wanted = 255 * image.permute(1, 2, 0).expand(-1, -1, 3).numpy()
        found = shown(page, text_of(code))
        assert np.abs(found[..., :3] - wanted).max() <= 2
        assert (found[..., 3] == 255).all()


SAMPLE = ("conv", "resnet")  # in colour; the others' layers are the same


@pytest.mark.parametrize(
    ("name", "shape"),
    [pytest.param(name, GRAY, id=f"{name}-gray") for name in DECODERS]
    + [
        pytest.param(name, COLOUR, id=f"{name}-colour", marks=[] if name in SAMPLE else pytest.mark.exhaustive)
        for name in DECODERS
    ],
)
def test_the_page_decodes_as_torch_does(opened: Any, name: str, shape: tuple[int, int, int]) -> None:
    torch.manual_seed(1)
    channels, height, _ = shape
    data = Blobs(40, height, channels)
    data.images = data.images[..., : shape[2]].contiguous()
    model = vae(DECODERS[name](shape), shape, likelihood.Gaussian() if name == "linear" else None)
    codes = (8 * torch.randn(3, DIMS)).round() / 8 + 0.0  # no -0, which is written 0
    assert_alike(opened(known(model, data)), model, codes)


@pytest.mark.parametrize("kind", [Own, Every])
def test_the_page_runs_layers_that_only_a_decoder_of_ones_own_has(opened: Any, kind: type[nn.Module]) -> None:
    torch.manual_seed(3)
    decoder = kind().eval()
    shape = tuple(decoder(torch.zeros(1, DIMS)).shape[1:])
    data = Blobs(40, max(shape[1:]), shape[0])
    data.images = data.images[:, :, : shape[1], : shape[2]].contiguous()
    model = vae(decoder, shape, likelihood.Gaussian())
    assert_alike(opened(known(model, data)), model, (8 * torch.randn(3, DIMS)).round() / 8 + 0.0)


def test_turned_frames_other_families_and_classes_are_moved_and_decoded(opened: Any) -> None:
    torch.manual_seed(2)
    turned = AlignedNormalSpace(dims=3)
    turned.frame.copy_(torch.linalg.qr(torch.randn(3, 3)).Q)
    spaces = [turned, latent_space.WeibullSpace(dims=2), latent_space.CategoricalSpace(dims=3)]
    model = vae(architectures.MLPDecoder(8, GRAY, (16,)), spaces=spaces)
    page = opened(known(model, Bars()))
    assert_alike(page, model, torch.tensor([[0.5, -1, 2, 0.25, 3, 0, 1, 0], [1, 1, -0.5, 2, 0.5, 0, 0, 1]]))
    page.evaluate("""() => { const range = document.querySelector('input[data-latent="3"]');
        range.value = 1; range.dispatchEvent(new Event('input')); }""")
    page.click('.classes button[data-latent="5"]')
    page.wait_for_function("() => document.querySelector('canvas.stage').dataset.shown.endsWith(',1,0,0')")
    code = [float(part) for part in page.get_attribute("canvas.stage", "data-shown").split(",")]
    quantile = model.priors()[1].icdf(torch.special.ndtr(torch.tensor(1.0)))[0]
    assert code[3] == pytest.approx(float(quantile), rel=1e-3)
    assert page.get_attribute('.classes button[data-latent="5"]', "aria-pressed") == "true"


def test_latents_are_sorted_by_what_they_carry_and_dead_ones_folded_away(opened: Any, plain: dict[str, Any]) -> None:
    run = copy.deepcopy(plain)
    for latent, nats in zip(run["latents"], (0.3, 2.0, 0.01, 1.0, 0.0, 0.5), strict=True):
        latent.update(nats=nats, dead=nats < 0.05, factor=None, strength=None)
    run["latents"][1].update(factor="height", strength=0.9)
    page = opened(run)
    assert page.eval_on_selector_all(".sliders > .latent", "all => all.map(one => one.dataset.latent)") == list("1350")
    assert page.text_content(".sliders > .latent b") == "height"
    assert page.text_content("summary") == "2 latents carry next to nothing"
    assert not page.is_visible('.latent[data-latent="2"]')
    page.click("summary")
    assert page.is_visible('.latent[data-latent="2"]')


def test_keys_the_wheel_and_clicks_move_the_code(opened: Any, plain: dict[str, Any]) -> None:
    page = opened(plain, viewport={"width": 1300, "height": 900})
    first = page.get_attribute(".sliders .latent", "data-latent")
    read = f"() => Number(document.querySelector('canvas.stage').dataset.shown.split(',')[{first}])"

    def after(does: Callable[[], Any]) -> float:
        before = page.evaluate(read)
        does()
        page.wait_for_function(f"before => ({read})() !== before", arg=before)
        return page.evaluate(read) - before

    slider = page.locator(f'input[data-latent="{first}"]')
    slider.focus()
    assert after(lambda: page.keyboard.press("ArrowRight")) == pytest.approx(0.01, abs=0.011)
    slider.hover()
    assert after(lambda: page.mouse.wheel(0, -100)) > 0
    page.focus("canvas.stage")
    assert after(lambda: page.keyboard.press("ArrowLeft")) < 0
    page.focus("canvas.map")
    assert after(lambda: page.keyboard.press("ArrowRight")) > 0
    after(lambda: page.click("canvas.map", position={"x": 20, "y": 20}))
    after(lambda: page.click(".thumb >> nth=3"))
    start = ",".join(f"{value:.5g}" for value in plain["start"]["codes"][3])
    assert page.get_attribute("canvas.stage", "data-shown") == start
    after(lambda: page.click("text=Sample the prior"))
    page.click("text=Blend to")
    page.click(".thumb >> nth=5")
    middle = (np.array(plain["start"]["codes"][3]) + np.array(plain["start"]["codes"][5])) / 2
    near = "want => document.querySelector('canvas.stage').dataset.shown.split(',')"
    near += ".every((one, at) => Math.abs(one - want[at]) < 1e-3)"
    page.wait_for_function(near, arg=middle.tolist())


def test_draws_are_of_the_prior_of_what_was_kept_of_it_and_of_the_mixture(opened: Any, plain: dict[str, Any]) -> None:
    generator = np.random.default_rng(0)
    means, lower = generator.normal(size=(2, DIMS)), np.tril(generator.normal(size=(2, DIMS, DIMS)))
    rows = generator.normal(size=(4, DIMS))
    pack = lambda values: packed(torch.from_numpy(values))  # noqa: E731
    run, learned = copy.deepcopy(plain), copy.deepcopy(plain)
    run["mixture"] = learned["mixture"] = {"weights": [0.25, 0.75], "means": pack(means), "lower": pack(lower)}
    learned["draws"] = [pack(rows)]
    page = opened(run, learned)
    page.evaluate("Math.random = () => 0.5")
    noise = np.full(DIMS, -np.sqrt(2 * np.log(2)))  # Box & Muller's of two halves
    for text, wanted in (
        ("Sample the prior", (noise, rows[2])),
        ("Sample the codes", [means[1] + lower[1] @ noise] * 2),
    ):
        page.click(f"text={text}")
        near = "want => [...document.querySelectorAll('canvas.stage')].every((one, run) => one.dataset.shown.split(',')"
        near += ".every((part, at) => Math.abs(part - want[run][at]) < 0.01))"
        page.wait_for_function(near, arg=[code.tolist() for code in wanted])


def test_a_film_strip_is_saved_as_a_picture(opened: Any, plain: dict[str, Any]) -> None:
    page = opened(plain)
    with page.expect_download() as saved:
        page.click("text=Save PNG")
    assert saved.value.suggested_filename.endswith(".png")
    assert Path(saved.value.path()).read_bytes().startswith(b"\x89PNG")


def test_no_request_leaves_the_file(opened: Any, plain: dict[str, Any]) -> None:
    asked: list[str] = []
    page = opened(plain)
    page.context.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.wait_for_selector("canvas.stage[data-shown]")
    page.click(".thumb >> nth=2")
    page.wait_for_timeout(200)
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [page.url]


def test_a_thousand_moves_leave_the_memory_as_it_was(opened: Any, plain: dict[str, Any]) -> None:
    page = opened(plain)
    moves = """async count => {
        const range = document.querySelector('.sliders input');
        for (let move = 0; move < count; move++) {
            range.value = 3 * Math.sin(move);
            range.dispatchEvent(new Event('input'));
            await new Promise(requestAnimationFrame);
        }
    }"""
    inside = page.context.new_cdp_session(page)

    def used() -> float:
        inside.send("HeapProfiler.collectGarbage")
        return inside.send("Runtime.getHeapUsage")["usedSize"]

    page.evaluate(moves, 100)
    before = used()
    page.evaluate(moves, 1000)
    after = used()
    assert after - before < 1e6  # a leak of each image alone would be a megabyte


HOSTILE = ("</script><img src=x onerror=alert(1)>", "<b>bold</b>", '"><script>alert(1)</script>')


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_and_do_nothing(opened: Any, plain: dict[str, Any], name: str) -> None:
    run = copy.deepcopy(plain)
    run.update(name=name, about=[name])
    for latent in run["latents"]:
        latent.update(name=name, factor=name, strength=0.5)
    for factor in run["map"]["factors"]:
        factor.update(name=name, kind="classes", labels=[name] * 4)
    run["spaces"][0]["name"] = name
    page = opened(run)
    page.wait_for_timeout(300)
    assert page.text_content("h1") == name
    assert page.locator("script").count() == 2
    assert page.locator("b b, img[src=x]").count() == 0


def test_everything_that_is_used_has_a_name_and_fits_a_telephone(opened: Any, plain: dict[str, Any]) -> None:
    page = opened(plain, viewport={"width": 400, "height": 800}, color_scheme="dark")
    every = "input, select, textarea, button, canvas"
    named = "one => one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim()"
    unnamed = page.eval_on_selector_all(every, f"all => all.filter(one => !({named})(one)).map(one => one.outerHTML)")
    assert unnamed == []
    assert page.evaluate("document.documentElement.scrollWidth") == 400


def test_runs_side_by_side_start_from_the_same_image(opened: Any, plain: dict[str, Any]) -> None:
    torch.manual_seed(5)
    other = known(vae(architectures.ConvDecoder(DIMS, GRAY, (16,), (6, 5))), Bars())
    other["start"]["indices"] = [index + 2 for index in plain["start"]["indices"]]  # of which six are shared
    page = opened(plain, other)
    assert page.locator("canvas.stage").count() == 2
    assert page.locator(".thumb").count() == 6
    page.click(".thumb >> nth=1")
    chosen = (plain["start"]["codes"][3], other["start"]["codes"][1])
    wanted = [",".join(f"{value:.5g}" for value in code) for code in chosen]
    every = "want => [...document.querySelectorAll('canvas.stage')].every((one, at) => one.dataset.shown === want[at])"
    page.wait_for_function(every, arg=wanted)


def turn(page: Any, place: int, step: int) -> None:
    """Move the slider of steps, and wait until that step's image is there."""
    page.evaluate(
        """place => { const range = document.querySelector('.steps input');
        range.value = place; range.dispatchEvent(new Event('input')); }""",
        place,
    )
    page.wait_for_function("step => document.querySelector('canvas.stage').dataset.step === String(step)", arg=step)


def test_a_slider_of_steps_shows_the_same_image_or_the_same_code_by_the_weights_of_each(opened: Any) -> None:
    models = {}
    for step in (100, 1200, 3000):
        torch.manual_seed(step)
        models[step] = vae(architectures.MLPDecoder(DIMS, GRAY, (16,)))
    data, shown_ones, run = Bars(), Shown(Bars(), torch.arange(40), 8), known(models[1200], Bars(), 40)

    @contextlib.contextmanager
    def put_in(model: VAE, step: int) -> Iterator[None]:
        model.load_state_dict(models[step].state_dict())
        yield

    past = [Past(step, Path(), lambda model, step=step: put_in(model, step)) for step in (100, 3000)]
    other = copy.deepcopy(models[1200])
    with evaluating(other):
        steps, _ = compared(other, run, 1200, past, shown_ones, 1e9)
    page = opened({**run, "past": {"steps": steps, "line": "<b>some</b> are left out"}})
    assert page.text_content(".steps .quiet") == "<b>some</b> are left out"
    assert page.text_content(".steps output") == "step 1,200, reported"
    page.click(".thumb >> nth=3")

    def code_at(step: int) -> torch.Tensor:
        with evaluating(models[step]):
            return models[step].codes(data.gather(torch.tensor([3])))[0][0]

    def is_there(code: torch.Tensor) -> None:
        near = "want => document.querySelector('canvas.stage').dataset.shown.split(',')"
        page.wait_for_function(near + ".every((one, at) => Math.abs(one - want[at]) < 1e-3)", arg=code.tolist())

    for place, step in ((0, 100), (2, 3000), (1, 1200), (2, 3000)):
        turn(page, place, step)
        is_there(code_at(step))  # the image's, by this step's encoder
        with evaluating(models[step]):
            nats = [latent["nats"] for latent in known(models[step], data, 40)["latents"]]
        order = page.eval_on_selector_all(".sliders .latent", "all => all.map(one => Number(one.dataset.latent))")
        assert order[0] == int(np.argmax(nats))
        assert page.is_enabled("text=Copy as command") == (step == 1200)
    code = (8 * torch.randn(1, DIMS)).round() / 8 + 0.0
    for place, step in ((2, 3000), (0, 100)):
        turn(page, place, step)
        assert_alike(page, models[step], code)
        assert page.get_attribute("text=Same code", "aria-pressed") == "true"
    turn(page, 1, 1200)
    is_there(code[0])  # it stays
    page.click("text=Same image")
    is_there(code_at(1200))
    page.click("text=Same code")
    turn(page, 0, 100)
    is_there(code_at(1200))
    page.focus(".steps input")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('canvas.stage').dataset.step === '1200'")
