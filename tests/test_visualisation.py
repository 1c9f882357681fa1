import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from vae_runner.auto_encoder import VAE
from vae_runner.callbacks.pictures import Pictures, picture_images
from vae_runner.datasets.split import Subset
from vae_runner.errors import UserError
from vae_runner.latent_space import NormalSpace
from vae_runner.likelihood import Gaussian
from vae_runner.state import MODEL, STEP, Y_PRED, State, X, state_key
from vae_runner.visualisation import (
    DataViewer,
    Grid,
    LatentWalker,
    LinSpaceWalker,
    PriorSampler,
    RandomWalker,
    ReconstructionPairs,
    ReconstructionViewer,
    draw,
)
from vae_runner.visualisation.grid import GAP, LARGEST, MARGIN, png


class Copy(nn.Module):
    """An encoder whose features are the first four pixels."""

    num_features = 4

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :4]


def make_state(*dims: int, images: int = 6) -> State:
    """A model whose posterior means are the pixels (1, 2, 2), and whose decoder puts the first four latents back."""
    dims = dims or (4,)
    vae = VAE(Copy(), [NormalSpace(size) for size in dims], nn.Identity(), Gaussian())
    with torch.no_grad():
        vae.head.weight.zero_()
        vae.head.bias.fill_(0.0)
        row = column = 0
        for size in dims:
            vae.head.weight[row : row + size, column : column + size] = torch.eye(size)
            row, column = row + 2 * size, column + size
    vae.decoder = nn.Unflatten(1, (1, 2, 2))
    x = torch.rand(images, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    return {X: x, MODEL: vae.eval(), STEP: 7}


@torch.no_grad()
def run(walker: LatentWalker, state: State) -> Grid:
    return walker(state)


def test_linspace_walks_each_dimension_from_the_encoded_images() -> None:
    state = make_state()
    grid = run(LinSpaceWalker(-1, 1, 5, dims_to_walk=[2, 0]), state)
    images = grid.images.view(2, 5, 4)  # dims, steps, pixels: the decoder copies the code
    for row, dim in enumerate([2, 0]):
        assert images[row, :, dim].tolist() == [-1, -0.5, 0, 0.5, 1]
        others = [other for other in range(4) if other != dim]
        expected = state[X][row].flatten()[others].expand(5, -1)  # each dimension has its own image
        torch.testing.assert_close(images[row][:, others], expected)
    assert grid.columns == 5
    assert [label.split()[0] for label in grid.row_labels] == ["z2", "z0"]
    assert list(grid.column_labels) == ["-1.00", "-0.50", "+0.00", "+0.50", "+1.00"]


def test_a_rounded_zero_has_no_minus() -> None:
    # linspace(-2, 2, 11) passes zero at -6e-8
    assert run(LinSpaceWalker(-2, 2, 11), make_state()).column_labels[5] == "+0.00"


def test_linspace_same_image_and_zero_init() -> None:
    state = make_state()
    same = run(LinSpaceWalker(dims_to_walk=[0, 1], same_image=True), state).images.view(2, 8, 4)
    torch.testing.assert_close(same[1, :, 0], state[X][0, 0, 0, 0].expand(8))
    zero = run(LinSpaceWalker(dims_to_walk=[0, 1], zero_init=True), state).images.view(2, 8, 4)
    assert zero[0, :, 1:].abs().max() == 0
    assert zero[1, :, [0, 2, 3]].abs().max() == 0


@pytest.mark.parametrize("images", [1, 2, 6])
@pytest.mark.parametrize("same_image", [False, True])
def test_linspace_works_for_any_number_of_images(images: int, same_image: bool) -> None:
    # W4: the original failed for a batch smaller than the number of dimensions
    grid = run(LinSpaceWalker(dims_to_walk=[0, 1, 2, 3], same_image=same_image), make_state(images=images))
    assert grid.images.shape == (32, 1, 2, 2)


def test_linspace_of_all_dimensions_puts_the_most_informative_first() -> None:
    state = make_state()
    state[X] = torch.tensor([0.1, 3.0, 0.5, 2.0]).view(1, 1, 2, 2)
    grid = run(LinSpaceWalker(dims_to_walk=None), state)
    assert grid.details["dims"] == [1, 3, 2, 0]
    # KL(N(m, 1) || N(0, 1)) = m^2 / 2
    assert grid.details["kl_nats"] == pytest.approx([0.005, 4.5, 0.125, 2.0])
    assert grid.row_labels[0].endswith("4.50 nats")


def test_linspace_refuses_a_dimension_that_is_not_there() -> None:
    with pytest.raises(UserError, match="4 is not one of the 4 latent dimensions"):
        run(LinSpaceWalker(dims_to_walk=[4]), make_state())


def test_linspace_refuses_a_space_that_is_not_there() -> None:
    with pytest.raises(UserError, match="there is no latent space 1, the model has 1"):
        run(LinSpaceWalker().for_space(1), make_state())


def test_walkers_vary_the_chosen_space_of_several() -> None:
    state = make_state(3, 1)
    grid = run(LinSpaceWalker(-1, 1, 2, dims_to_walk=[0]).for_space(1), state)
    images = grid.images.view(2, 4)
    assert images[:, 3].tolist() == [-1, 1]
    torch.testing.assert_close(images[:, :3], state[X][0].flatten()[:3].expand(2, -1))


def test_random_codes_have_the_variance_and_are_the_same_at_every_call() -> None:
    state = make_state()
    codes = run(RandomWalker(var=4, num_images=5000), state).images
    assert codes.var().item() == pytest.approx(4, rel=0.05)  # W5: the original's were (randn * 2 - 1) * var
    assert codes.mean().item() == pytest.approx(0, abs=0.05)
    assert torch.equal(codes, run(RandomWalker(var=4, num_images=5000), state).images)
    uniform = run(RandomWalker(var=4, num_images=5000, uniform=True), state).images
    assert uniform.min() >= -4
    assert uniform.max() < 4
    assert uniform.var().item() == pytest.approx(16 / 3, rel=0.05)
    per_dimension = run(RandomWalker(var=torch.tensor([1.0, 4.0, 9.0, 16.0]), num_images=20_000), state).images
    assert per_dimension.flatten(1).std(0).tolist() == pytest.approx([1, 2, 3, 4], rel=0.05)


def test_prior_samples_are_the_priors_and_the_same_at_every_call() -> None:
    state = make_state()
    state[MODEL].spaces[0].prior_mu.fill_(5.0)
    torch.manual_seed(1)
    first = run(PriorSampler(num_images=5000), state).images
    assert first.mean().item() == pytest.approx(5, abs=0.05)
    assert torch.equal(first, run(PriorSampler(num_images=5000), state).images)


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


def test_pictures_come_with_their_details(tmp_path: Path, experiment) -> None:
    engine = experiment("engine.picture_every=8", folder=tmp_path)
    engine.run()
    names = {path.stem for path in (tmp_path / "grids").glob("*.png")}
    assert names == {"data", "reconstruction", "traversal", "samples"}
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


def test_pictures_show_the_showcase_first_and_then_the_split(experiment) -> None:
    subset: Subset = experiment().validation
    images = picture_images(subset, 10)
    assert torch.equal(images[:3], subset.data.gather(torch.tensor([0, 1, 2])))
    held = subset.batch(torch.arange(len(subset))).flatten(1)
    assert all((image == held).all(1).any() for image in images[3:].flatten(1))
    assert torch.equal(picture_images(subset, 10), images)
    everything = picture_images(subset, 1000)
    assert len(everything) == 43
    assert torch.equal(everything[3:].flatten(1).sum(1).sort().values, held.sum(1).sort().values)
