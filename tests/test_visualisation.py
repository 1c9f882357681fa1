import inspect
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import pictures_of
from copying import make_state, run
from PIL import Image
from torch import Tensor

from vae_runner.auto_encoder import AutoEncoderBase
from vae_runner.callbacks.pictures import Pictures, picture_images
from vae_runner.datasets.split import Subset
from vae_runner.drawing.grid import png
from vae_runner.drawing.layout import GAP, LARGEST, MARGIN
from vae_runner.errors import UserError
from vae_runner.paths import config_dir
from vae_runner.state import MODEL, Y_PRED, State, X, state_key
from vae_runner.visualisation import (
    CodePathWalker,
    DataViewer,
    Grid,
    ImagePathWalker,
    LatentWalker,
    LinSpaceWalker,
    RandomWalker,
    ReconstructionPairs,
    ReconstructionViewer,
    draw,
)


@pytest.mark.parametrize(
    ("walker", "documented"),
    [
        (LatentWalker, {"same_image": ..., "row_size": ...}),
        (ReconstructionViewer, {"row_size": 8, "recon_key": Y_PRED}),
        (LinSpaceWalker, {"lin_start": -1, "lin_end": 1, "lin_steps": 8, "dims_to_walk": (0,), "zero_init": False,
                          "same_image": False}),
        (RandomWalker, {"var": 1, "num_images": 32, "uniform": False, "row_size": 8}),
        (CodePathWalker, {"num_steps": ..., "p1": ..., "p2": ...}),
        (ImagePathWalker, {"num_steps": ..., "im1": ..., "im2": ...}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_the_documented_arguments_come_first_in_their_order_with_their_defaults(
    walker: type, documented: dict[str, object]
) -> None:
    given = {name: parameter.default for name, parameter in inspect.signature(walker).parameters.items()}
    assert list(given)[: len(documented)] == list(documented)
    assert {name: given[name] for name in documented} == {
        name: inspect.Parameter.empty if default is ... else default for name, default in documented.items()
    }
    assert [name for name in given if name not in documented and given[name] is inspect.Parameter.empty] == []


def test_reconstruction_pairs_show_each_row_over_its_reconstructions() -> None:
    state = make_state(images=5)
    grid = run(ReconstructionPairs(num_images=5, row_size=3), state)
    x, blank = state[X], torch.ones(1, 1, 2, 2)
    torch.testing.assert_close(grid.images, torch.cat([x[:3], x[:3], x[3:], blank, x[3:], blank]))
    assert list(grid.row_labels) == ["input", "output"] * 2


def test_viewers_show_what_is_in_the_state() -> None:
    state = make_state()
    state[Y_PRED] = state[X] / 2
    assert torch.equal(run(DataViewer(num_images=4), state).images, state[X][:4])
    assert torch.equal(run(ReconstructionViewer(), state).images, state[X] / 2)


def test_a_walker_of_ones_own_overrides_vis(tmp_path: Path) -> None:
    class Mean(LatentWalker):
        def vis(self, state: State) -> Tensor:
            return state[self.data_key].mean(0, keepdim=True)

    state, source, key = make_state(), state_key("source"), state_key("mean")
    state[source] = torch.zeros(3, 1, 2, 2)
    buffer = io.BytesIO()
    walker = Mean(False, 8).for_data(source).to_key(key).to_file(tmp_path / "new" / "mean.png").on_train()
    assert walker.phase == "train"
    walker(state)
    assert torch.equal(state[key], torch.zeros(1, 1, 2, 2))
    with Image.open(tmp_path / "new/mean.png") as picture:
        assert picture.size == (2 * LARGEST + 2 * MARGIN,) * 2
    walker.to_file(buffer).on_val()(state)
    assert walker.phase == "validation"
    assert buffer.getvalue() == (tmp_path / "new/mean.png").read_bytes()


def test_a_file_has_the_format_of_its_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    grid = Grid(torch.rand(2, 3, 8, 8), 2)
    for name, kind in (("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.webp", "WEBP"), ("a", "PNG")):
        grid.save(f"~/{name}")
        with Image.open(tmp_path / "home" / name) as picture:
            assert (picture.format, picture.size) == (kind, draw(grid).size)
    for name in ("a.xyz", "a.txt"):
        with pytest.raises(UserError, match=rf"^cannot write a picture as \.\w+: .*{name}; take \.png$"):
            grid.save(tmp_path / name)
        assert not (tmp_path / name).exists()


def test_a_grid_without_images_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        Grid(torch.empty(0, 1, 8, 8), 2)


@pytest.mark.parametrize("make", [png, draw, Grid.encode])
def test_an_absurdly_large_picture_is_refused_before_it_is_drawn(make: Callable[[Grid], object]) -> None:
    images = torch.zeros(1, 1, 1, 1)
    line = "images: 20,000 x 1 images make a picture of 8,002 x 80,040,000 pixels, more than 150 million"
    with pytest.raises(UserError, match=f"^{line}; take fewer images$"):
        make(Grid(images.expand(20_000, 1, 4000, 8000), 1))
    with pytest.raises(UserError, match=r"^scale=20000: 1 x 1 images .*; take fewer images or scale=1$"):
        make(Grid(images, 1, scale=20_000))


def pixels_of(grid: Grid) -> np.ndarray:
    """The part of the picture that holds the images."""
    return np.asarray(draw(grid))[MARGIN:-MARGIN, MARGIN:-MARGIN]


def test_the_range_is_fixed_and_never_stretched() -> None:
    # W1: the original stretched each picture to its own minimum and maximum
    gray = pixels_of(Grid(torch.full((1, 1, 8, 8), 0.5), 1))
    assert np.unique(gray).tolist() == [128]
    over = pixels_of(Grid(torch.tensor([-1.0, 2.0]).view(2, 1, 1, 1).expand(-1, -1, 8, 8), 2))
    assert set(np.unique(over[:, : 8 * LARGEST])) == {0}
    assert set(np.unique(over[:, 8 * LARGEST + GAP :])) == {255}


def test_column_labels_wider_than_the_images_are_left_out_rather_than_overlap() -> None:
    def blocks(label: str) -> list[int]:
        """The widths of the dark runs above the images, gaps within a label closed."""
        grid = Grid(torch.ones(12, 1, 4, 4), 12, column_labels=[label] * 12)  # images of 16 pixels
        above = grid.encode().details["layout"]["top"] - 1
        columns = np.flatnonzero((np.asarray(draw(grid))[:above, :, 0] < 250).any(0))
        return [len(run) for run in np.split(columns, np.flatnonzero(np.diff(columns) > 3) + 1)]

    assert len(blocks("0")) == 12
    assert len(blocks("0000")) in (4, 6)  # about 36 pixels for a step of 18
    assert len(set(blocks("0000"))) == 1


def test_small_images_are_enlarged_by_whole_pixels() -> None:
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    shown = pixels_of(Grid(image, 1))
    assert shown.shape == (8 * LARGEST, 8 * LARGEST, 3)
    expected = (image[0] * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(shown[::LARGEST, ::LARGEST], expected)
    assert np.array_equal(shown[LARGEST - 1 :: LARGEST, LARGEST - 1 :: LARGEST], expected)


def test_what_is_not_finite_is_magenta_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 2, 3] = torch.nan
    shown = pixels_of(Grid(image, 1, title=""))
    assert shown[2 * LARGEST, 3 * LARGEST].tolist() == [255, 0, 255]
    assert (shown == [255, 0, 255]).all(2).sum() == LARGEST**2
    assert "1 pixels are not finite" in caplog.text


def test_fewer_images_than_columns_make_a_narrower_grid() -> None:
    # W3
    assert pixels_of(Grid(torch.zeros(3, 1, 8, 8), 8)).shape[1] == 3 * 8 * LARGEST + 2 * GAP


def test_the_same_grid_gives_the_same_bytes() -> None:
    state = make_state()
    assert png(run(LinSpaceWalker(), state)) == png(run(LinSpaceWalker(), state))


@pytest.mark.slow
def test_pictures_come_with_their_details(tmp_path: Path, experiment) -> None:
    engine = experiment("engine.picture_every=8", folder=tmp_path)
    engine.run()
    names = {"data", "reconstruction", "traversal", "samples", "kl", "scatter"}
    assert {path.stem for path in (tmp_path / "grids").glob("*.png")} == names | {"schedule", "curves"}
    assert {path.stem for path in (tmp_path / "grids/history").glob("*.png")} == {
        f"{name}-{step:07d}" for name in names for step in (8, 12)
    }
    details = json.loads((tmp_path / "grids/traversal.json").read_text())
    assert details["step"] == 12
    assert details["range"] == [0, 1]
    assert len(details["codes"][0]) == 10 * 11
    assert (tmp_path / "grids/traversal.png").read_bytes() == (
        tmp_path / "grids/history/traversal-0000012.png"
    ).read_bytes()


def test_a_walker_that_draws_at_random_disturbs_nothing_and_draws_the_same_again(tmp_path: Path, experiment) -> None:
    class Noise(LatentWalker):
        def vis(self, state: State) -> Tensor:
            assert not state[MODEL].training
            return torch.rand(4, 1, 8, 8)

    engine = experiment()
    pictures = Pictures(tmp_path, {"noise": Noise(False, 4)}, every=1)
    before = torch.random.get_rng_state()
    pictures.write(engine)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert engine.objective.model.training
    first = (tmp_path / "noise.png").read_bytes()
    torch.rand(3)
    pictures.write(engine)
    assert (tmp_path / "noise.png").read_bytes() == first


@pytest.mark.parametrize("family", sorted(file.stem for file in (config_dir() / "distribution").glob("*.yaml")))
def test_every_walker_shows_codes_of_every_family_s_prior(family: str, tmp_path: Path, experiment) -> None:
    walkers = "visualisation=[traversal,samples,random,path,codes]"
    engine = experiment(walkers, f"distribution={family}", folder=tmp_path)
    pictures_of(engine).write(engine)
    for name in ("traversal", "samples", "random", "path", "codes"):
        shown = json.loads((tmp_path / f"grids/{name}.json").read_text())["codes"]
        for prior, codes in zip(engine.objective.model.priors(), shown, strict=True):
            assert torch.isfinite(torch.tensor(codes)).all()
            assert prior.support.check(torch.tensor(codes)).all(), name


def test_walkers_find_what_the_model_and_those_before_them_made_of_their_split(tmp_path: Path, experiment) -> None:
    class Halved(LatentWalker):
        def vis(self, state: State) -> Tensor:
            return state[Y_PRED] / 2

    class Seen(LatentWalker):
        def vis(self, state: State) -> Tensor:
            seen.append((state[X], state[Y_PRED], state.get(key)))
            return state[X]

    engine, key, seen = experiment(), state_key("halved"), []
    walkers = {"halved": Halved(False, 8).to_key(key), "seen": Seen(False, 8), "other": Seen(False, 8).on_train()}
    Pictures(tmp_path, walkers, every=1).write(engine)
    validation, train = seen
    assert torch.equal(validation[0], picture_images(engine.validation, 256))
    assert torch.equal(validation[2], validation[1] / 2)
    assert torch.equal(train[0], picture_images(engine.train, 256))
    assert train[1].shape == train[0].shape
    assert train[2] is None


def test_a_walker_of_ones_own_that_is_too_large_ends_the_run_in_one_line(experiment, tmp_path: Path) -> None:
    class Huge(LatentWalker):
        def vis(self, state: State) -> Tensor:
            return state[X][:1].expand(1_000_000, -1, -1, -1)

    with pytest.raises(UserError, match=r"^visualisation\.mine\.images: 1,000,000 x 1 images make a picture of .*$"):
        Pictures(tmp_path, {"mine": Huge(False, 1)}, every=1).write(experiment())
    assert not list(tmp_path.iterdir())


class Numbered:
    """Image i is the number i; 3, 5 and 8 are its showcase."""

    def factors(self, indices: Tensor) -> dict[str, Tensor]:
        return {}

    def showcase(self) -> list[int]:
        return [8, 3, 5]

    def gather(self, indices: Tensor) -> Tensor:
        return indices.view(-1, 1, 1, 1)


class Known(Numbered):
    def factors(self, indices: Tensor) -> dict[str, Tensor]:
        return {"number": indices}


HELD = torch.tensor([0, 3, 4, 8, 9, 11])


@pytest.mark.parametrize(("data", "first"), [(Numbered(), [8, 3]), (Known(), [8, 3, 5])])
def test_pictures_show_the_showcase_first_and_then_the_split(data: Numbered, first: list[int]) -> None:
    subset = Subset(data, HELD)
    everything = picture_images(subset, 1000).flatten().tolist()
    assert everything[: len(first)] == first
    assert sorted(everything) == sorted({*HELD.tolist(), *first})
    assert sorted(everything[len(first) :]) != everything[len(first) :]
    for count in range(1, len(everything)):
        assert picture_images(subset, count).flatten().tolist() == everything[:count]


def test_a_picture_is_gray_where_its_images_are_and_in_colour_where_a_pixel_is_not_finite() -> None:
    images = torch.linspace(0, 1, 2 * 8 * 8).reshape(2, 1, 8, 8)
    spoilt = images.clone()
    spoilt[1, 0, 0, 0] = torch.nan
    read = []
    for shown in (images, images.expand(-1, 3, -1, -1), spoilt):
        grid = Grid(shown, 1, title="a title", caption="words below", row_labels=["dim", "row"], dimmed=[0])
        with Image.open(io.BytesIO(png(grid))) as picture:
            read.append((picture.mode, np.asarray(picture.convert("RGB"))))
    (gray, pixels), (colour, same), (marked, other) = read
    assert (gray, colour, marked) == ("L", "RGB", "RGB")
    assert (pixels == same).all()  # text and fading included
    changed = (pixels != other).any(-1)
    assert (changed == (other == (255, 0, 255)).all(-1)).all()
    assert changed.any()


class Normalised(AutoEncoderBase):
    """A model that training mode changes, and that has a part of its own in evaluation mode."""

    def __init__(self) -> None:
        super().__init__(4)
        self.code = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 4), torch.nn.BatchNorm1d(4))
        self.image = torch.nn.Sequential(torch.nn.Linear(4, 256), torch.nn.BatchNorm1d(256))
        self.image[1].eval()

    def encode(self, x: Tensor, state: State | None = None) -> Tensor:
        return self.code(x)

    def decode(self, sample: Tensor, state: State | None = None) -> Tensor:
        if self.fails:
            raise ArithmeticError("in the middle")
        return self.image(sample).sigmoid().reshape(-1, 1, 16, 16)

    fails = False


@pytest.mark.parametrize(
    "walker",
    [
        LinSpaceWalker(), RandomWalker(), ReconstructionViewer(), CodePathWalker(3, None, None),
        ImagePathWalker(3, torch.zeros(2, 1, 16, 16), torch.ones(2, 1, 16, 16)),
    ],
    ids=lambda walker: type(walker).__name__,
)  # fmt: skip
@pytest.mark.parametrize("fails", [False, True])
def test_a_walker_called_by_hand_moves_nothing_of_the_model_and_keeps_no_graph(
    walker: LatentWalker, fails: bool
) -> None:
    model = Normalised()
    images = torch.rand(6, 1, 16, 16)
    state = {X: images, MODEL: model, Y_PRED: model(images)}
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    model.fails = fails
    if fails and not isinstance(walker, ReconstructionViewer):
        with pytest.raises(ArithmeticError):
            walker(state)
    else:
        made = state_key("made")
        assert not walker.to_key(made)(state).images.requires_grad
        assert not state[made].requires_grad
    assert torch.is_grad_enabled()
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
