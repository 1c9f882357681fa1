import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from copying import Space, codes, make_state, run
from PIL import Image
from torch import Tensor, nn
from torch.distributions import Distribution, Exponential, Gamma, Normal, StudentT, Uniform, Weibull
from toy import Blobs

from vae_runner.datasets import SimpleImageFolder
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.state import MODEL, STEP, X
from vae_runner.visualisation import CodePathWalker, Grid, ImagePathWalker
from vae_runner.visualisation.walking.references import read_image

Make = Callable[..., Engine]
P1, P2 = torch.tensor([[0.0, 1, 2, 3], [1, 1, 1, 1]]), torch.tensor([[4.0, 1, 0, -1], [0, 0.5, 0, 0]])


class Data(Blobs):
    """Blobs in the shape of the copying model's images."""

    def __init__(self, showcase: Sequence[int] = (0, 1, 2), channels: int = 1) -> None:
        super().__init__(count=20, size=2, channels=channels)
        self.images = torch.rand(20, channels, 2, 2, generator=torch.Generator().manual_seed(3))
        self.shown = list(showcase)

    def showcase(self) -> list[int]:
        return self.shown


def prepared(walker: ImagePathWalker, data: Data | None = None) -> Grid:
    state = make_state()
    walker.prepare(state[MODEL], data or Data())
    return run(walker, state)


def ends(grid: Grid, rows: int) -> tuple[Tensor, Tensor]:
    """The images at both ends of the rows of an image path, (rows, C, H, W)."""
    images = grid.images.unflatten(0, (rows, -1))
    return images[:, 0], images[:, -1]


def save(path: Path, pixels: Any, mode: str | None = None) -> str:
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    (image.convert(mode) if mode else image).save(path)
    return str(path)


def test_a_code_path_is_straight() -> None:
    grid = run(CodePathWalker(5, P1, P2), make_state())
    shown = codes(grid, 2, 5)
    for row in range(2):
        for step in range(5):
            torch.testing.assert_close(shown[row, step], P1[row] + (P2[row] - P1[row]) * step / 4)
    assert grid.columns == 5
    assert list(grid.column_labels) == ["0 %", "25 %", "50 %", "75 %", "100 %"]
    assert grid.details["codes"] == [shown.flatten(0, 1).tolist()]
    torch.testing.assert_close(CodePathWalker(5, P1, P2).vis(make_state()), grid.images)


@torch.no_grad()
def test_a_code_path_ends_exactly_at_its_codes(experiment: Make) -> None:
    # W6, with a convolutional decoder
    engine = experiment()
    model = engine.objective.model.eval()
    generator = torch.Generator().manual_seed(0)
    p1, p2 = (100 * torch.randn(5, 10, generator=generator) for _ in range(2))
    state = {X: engine.train.batch(torch.arange(3)), MODEL: model, STEP: 0}
    images = CodePathWalker(7, p1, p2).vis(state).unflatten(0, (5, 7))
    assert torch.equal(images[:, 0], model.decode(p1))
    assert torch.equal(images[:, -1], model.decode(p2))


def test_the_ends_are_exact_where_a_decoder_s_last_bit_follows_the_size_of_its_batch() -> None:
    # matrix products round differently for other sizes; here they do so visibly
    class Sized(nn.Unflatten):
        def forward(self, z: Tensor) -> Tensor:
            return super().forward(z + len(z))

    state = make_state()
    state[MODEL].decoder = Sized(1, (1, 2, 2))
    for walker in (CodePathWalker(5, P1, P2), ImagePathWalker(5, P1.view(2, 1, 2, 2), P2.view(2, 1, 2, 2))):
        shown = walker.vis(state).view(2, 5, 4)
        assert torch.equal(shown[:, 0], P1 + 2)
        assert torch.equal(shown[:, -1], P2 + 2)


@torch.no_grad()
def test_an_image_path_ends_exactly_at_the_decoded_means(experiment: Make) -> None:
    # W6
    engine = experiment()
    model = engine.objective.model.eval()
    im1, im2 = engine.train.batch(torch.arange(5)), engine.train.batch(torch.arange(5, 10))
    state = {X: engine.train.batch(torch.arange(3)), MODEL: model, STEP: 0}
    walker = ImagePathWalker(4, im1, im2)
    images = walker.vis(state).unflatten(0, (5, 4))
    assert torch.equal(images[:, 0], model.decode(model.posteriors(im1)[0].mean))
    assert torch.equal(images[:, -1], model.decode(model.posteriors(im2)[0].mean))
    shown = walker.grid(state).images.unflatten(0, (5, 6))
    assert torch.equal(shown[:, 1:-1], images)
    assert torch.equal(shown[:, 0], im1)
    assert torch.equal(shown[:, -1], im2)


@pytest.mark.parametrize(
    ("p1", "p2", "rows"),
    [
        (P1[0], P2[0], 1),
        ([0, 1, 2, 3], [4.0, 1, 0, -1], 1),
        ([[0, 1, 2, 3]], (P2[:1],), 1),
        (P1.tolist(), P2.tolist(), 2),
        (P1.double(), P2.tolist(), 2),
        (P1[0], P2, 2),
        (P1, P2[0].tolist(), 2),
    ],
    ids=["one", "list", "tuple", "lists", "float64", "one to many", "many to one"],
)
def test_codes_are_given_as_tensors_or_lists_one_or_many(p1: Any, p2: Any, rows: int) -> None:
    shown = codes(run(CodePathWalker(2, p1, p2), make_state()), rows, 2)
    first = P1[0] if len(torch.as_tensor(p1).shape) == 1 or len(p1) == 1 else P1
    torch.testing.assert_close(shown[:, 0], first.expand(rows, -1))
    last = P2[0] if rows == 1 or p2 == P2[0].tolist() else P2
    torch.testing.assert_close(shown[:, 1], last.expand(rows, -1))


@pytest.mark.parametrize(
    ("p1", "p2"),
    [
        ((P1[:, :3], P1[:, 3:]), [P2[:, :3], P2[:, 3:]]),
        ([P1[:, :3].tolist(), P1[:, 3:].tolist()], (P2[:, :3], P2[:, 3:].tolist())),
    ],
)
def test_codes_of_several_spaces_are_a_tensor_for_each(p1: Any, p2: Any) -> None:
    # W6: one contract with the other walkers
    state = make_state(Space(3), Space(1, Exponential(1.0)))
    shown = codes(run(CodePathWalker(3, p1, p2), state), 2, 3)
    torch.testing.assert_close(shown, torch.stack([P1, (P1 + P2) / 2, P2], 1))
    single = codes(run(CodePathWalker(3, [[0, 1, 2], [3]], p2), state), 2, 3)
    torch.testing.assert_close(single[:, 0], P1[0].expand(2, -1))


def test_a_code_path_in_one_space_leaves_the_others_with_the_images() -> None:
    state = make_state(Space(3), Space(1), images=2)
    shown = codes(run(CodePathWalker(3, [[5.0]], [[6], [7], [8]]).for_space(1), state), 3, 3)
    torch.testing.assert_close(shown[:, 0, 3], torch.tensor([5.0, 5, 5]))
    torch.testing.assert_close(shown[:, 2, 3], torch.tensor([6.0, 7, 8]))
    for row, image in enumerate([0, 1, 0]):
        torch.testing.assert_close(shown[row, :, :3], state[X][image].flatten()[:3].expand(3, -1))


@pytest.mark.parametrize(
    "prior",
    [
        Normal(3.0, 2.0), Exponential(2.0), Weibull(2.0, 1.5), Uniform(-1.0, 3.0),
        Uniform(torch.zeros(4), torch.tensor([1.0, 2, 3, 4])),
    ],
    ids=lambda prior: type(prior).__name__,
)  # fmt: skip
def test_codes_left_out_are_the_prior_s_quantiles(prior: Distribution) -> None:
    shown = codes(run(CodePathWalker(2, None, None), make_state(Space(4, prior))), 2)
    torch.testing.assert_close(prior.cdf(shown[0]), torch.full((4,), 0.05))
    torch.testing.assert_close(prior.cdf(shown[1]), torch.full((4,), 0.95))
    several = codes(run(CodePathWalker(2, None, None), make_state(Space(3), Space(1, Exponential(1.0)))), 2)
    torch.testing.assert_close(Normal(0.0, 1.0).cdf(several[0, :3]), torch.full((3,), 0.05))
    torch.testing.assert_close(several[:, 3], -torch.log(torch.tensor([0.95, 0.05])))


@pytest.mark.parametrize(
    ("p1", "line"),
    [
        ([[1, 2]], "p1: a code of 2 numbers, but the latent space has 4 dimensions"),
        ([1], "p1: a code of 1 numbers, but"),
        ([[1, 2, 3, 4], [1]], "p1: its codes are not of one length"),
        (P1[None], r"p1: expected one code or a list of codes, got shape \(1, 2, 4\)"),
        ((P1, P1), "p1: codes for 2 of 1 latent spaces"),
        (torch.zeros(3, 4), "p1 and p2: 3 and 2 codes; give as many for both, or one for one of them"),
        (torch.zeros(0, 4), "p1 and p2: 0 and 2 codes"),
    ],
)
def test_codes_that_do_not_fit_are_refused_before_training(p1: Any, line: str) -> None:
    state = make_state()
    with pytest.raises(UserError, match=line):
        CodePathWalker(3, p1, P2).prepare(state[MODEL], Data())


@pytest.mark.parametrize("prior", [Gamma(1.0, 1.0), StudentT(3.0)], ids=["Gamma", "StudentT"])
def test_quantiles_that_are_not_known_are_refused(prior: Distribution) -> None:
    with pytest.raises(UserError, match=r"p2: the prior .* has no icdf, so its quantiles are not known"):
        CodePathWalker(3, P1, None).prepare(make_state(Space(4, prior))[MODEL], Data())


def test_codes_of_one_space_do_not_do_for_two() -> None:
    with pytest.raises(UserError, match="p1: codes for 1 of 2 latent spaces; give a list with one for each"):
        run(CodePathWalker(3, P1, P2), make_state(Space(2), Space(2)))


@pytest.mark.parametrize("walker", [CodePathWalker, ImagePathWalker])
@pytest.mark.parametrize("num_steps", [1, 0])
def test_a_path_of_one_step_is_refused(walker: type, num_steps: int) -> None:
    # W6
    with pytest.raises(ValueError, match="num_steps must be at least 2, both ends of the path, got"):
        walker(num_steps, P1, P2)


@pytest.mark.parametrize("codes", [[], [[]], ["a"], [[1, True]]])
def test_codes_are_numbers(codes: list) -> None:
    with pytest.raises(ValueError, match="p2 must be a list of numbers, or of codes"):
        CodePathWalker(3, P1, codes)


def test_an_image_path_goes_straight_between_the_codes_of_its_images() -> None:
    state = make_state()
    im1, im2 = state[X][:2], state[X][2:4]
    grid = run(ImagePathWalker(3, im1, im2), state)
    rows = codes(grid, 2, 5)  # the decoder copies the code, the encoder the image
    first, last = im1.flatten(1), im2.flatten(1)
    torch.testing.assert_close(rows, torch.stack([first, first, (first + last) / 2, last, last], 1))
    assert list(grid.column_labels) == ["image", "0 %", "50 %", "100 %", "image"]
    assert grid.columns == 5
    single = run(ImagePathWalker(3, im1[0], im2), state)
    torch.testing.assert_close(
        codes(single, 2, 5)[1], torch.stack([first[0], first[0], (first[0] + last[1]) / 2, last[1], last[1]])
    )


def test_an_image_path_in_one_space_leaves_the_others_at_the_first_image() -> None:
    state = make_state(Space(3), Space(1))
    first, last = state[X][:2].flatten(1), state[X][2:4].flatten(1)
    shown = codes(run(ImagePathWalker(2, state[X][:2], state[X][2:4], space_id=1), state), 2, 4)
    torch.testing.assert_close(shown[:, 1], first)
    torch.testing.assert_close(shown[:, 2], torch.cat([first[:, :3], last[:, 3:]], 1))
    everything = codes(run(ImagePathWalker(2, state[X][:2], state[X][2:4]), state), 2, 4)
    torch.testing.assert_close(everything[:, 2], last)


def test_images_left_out_are_those_that_the_data_set_shows_each_to_the_next() -> None:
    images = Data().images
    start, end = ends(prepared(ImagePathWalker(2, None, None), Data(showcase=[4, 7, 9])), 3)
    assert torch.equal(start, images[[4, 7, 9]])
    assert torch.equal(end, images[[7, 9, 4]])
    start, end = ends(prepared(ImagePathWalker(2, 5, None), Data(showcase=[4, 7, 9])), 3)
    assert torch.equal(start, images[[5, 5, 5]])
    assert torch.equal(end, images[[7, 9, 4]])


def test_images_are_indices_of_the_data_set_or_files(tmp_path: Path) -> None:
    file = save(tmp_path / "a.png", [[0, 51], [102, 255]])
    expected = torch.tensor([[[0, 0.2], [0.4, 1]]])
    images = Data().images
    start, end = ends(prepared(ImagePathWalker(2, [3, file], [Path(file), 19])), 2)
    torch.testing.assert_close(start, torch.stack([images[3], expected]))
    torch.testing.assert_close(end, torch.stack([expected, images[19]]))
    start, end = ends(prepared(ImagePathWalker(2, 0, file)), 1)
    assert torch.equal(start, images[:1])
    torch.testing.assert_close(end, expected[None])


def test_files_get_the_channels_and_the_size_of_the_data(tmp_path: Path) -> None:
    chess = save(tmp_path / "chess.png", 255 * (np.indices((64, 64)).sum(0) % 2))
    gray = read_image(chess, (3, 16, 16), "im1")
    assert gray.shape == (3, 16, 16)
    torch.testing.assert_close(gray, torch.full((3, 16, 16), 0.5), atol=0.01, rtol=0)  # not 0 or 1: antialiased
    red = save(tmp_path / "red.png", np.tile([255, 0, 0], (8, 8, 1)))
    torch.testing.assert_close(read_image(red, (1, 4, 4), "im1"), torch.full((1, 4, 4), 0.299), atol=0.002, rtol=0)
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = 255
    assert read_image(save(tmp_path / "wide.png", wide), (1, 4, 4), "im1").min() == 1  # the centre, not the whole
    assert read_image(save(tmp_path / "high.png", wide.T), (1, 4, 4), "im1").min() == 1
    assert (
        read_image(save(tmp_path / "flat.png", wide[:4]), (1, 4, 24), "im1").tolist() == (wide[None, :4] / 255).tolist()
    )


def test_a_file_is_what_a_folder_of_images_makes_of_it(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    file = save(tmp_path / "noise.png", generator.integers(0, 256, (37, 50, 3)))
    data = SimpleImageFolder(tmp_path, image_size=16)
    assert torch.equal(read_image(file, data.image_shape, "im1"), data.gather(torch.tensor([0]))[0])


@pytest.mark.parametrize(
    ("im1", "line"),
    [
        (20, "im1: there is no image 20, the data set has 20: 0 to 19"),
        ([0, 99999999], "im1: there is no image 99999999"),
        ([-1], "im1: there is no image -1"),
        ("nofile.png", "im1: cannot read nofile.png: No such file"),
        (["broken.png"], "im1: cannot read broken.png: not an image"),
        (".", "im1: cannot read .: "),
        (torch.zeros(2, 3, 2, 2), "im1: images 3x2x2, those of the data are 1x2x2"),
        (torch.zeros(2, 2), "im1: images 2, those of the data are 1x2x2"),
        ([0, 1, 2], "im1 and im2: 3 and 2 images; give as many for both, or one for one of them"),
    ],
)
def test_images_that_are_not_there_are_refused_before_training(inside: Path, im1: Any, line: str) -> None:
    Path("broken.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=line) as told:
        prepared(ImagePathWalker(3, im1, [0, 1]))
    assert len(str(told.value).splitlines()) == 1


def test_files_are_no_images_for_other_channels_than_gray_and_colour(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a.png has 1 or 3 channels, the images of the data set have 2"):
        read_image(save(tmp_path / "a.png", [[0]]), (2, 4, 4), "im1")


def test_a_data_set_that_shows_nothing_has_to_be_told() -> None:
    with pytest.raises(UserError, match="im2: the data set has no images to show of itself"):
        prepared(ImagePathWalker(3, 0, None), Data(showcase=[]))


def test_an_empty_list_of_images_is_refused() -> None:
    with pytest.raises(ValueError, match="im1 must name an image, or be null"):
        ImagePathWalker(3, [], None)


def test_references_need_to_be_looked_up_first() -> None:
    with pytest.raises(UserError, match=r"call prepare\(model, data\)"):
        run(ImagePathWalker(3, 0, None), make_state())


def test_all_walkers_come_from_yaml_and_change_nothing_of_the_training(experiment: Make, tmp_path: Path) -> None:
    names = {"data", "reconstruction", "traversal", "samples", "random", "path", "codes"}
    file = save(tmp_path / "a.png", np.zeros((40, 30, 3)))
    watched = experiment(
        f"visualisation=[{','.join(names)}]",
        f"visualisation.path.im1=[3,'{file}']",
        "visualisation.path.im2=5",
        "visualisation.codes.p1=[0,0,0,0,0,0,0,0,0,0]",
        "visualisation.codes.p2=[[1,1,1,1,1,1,1,1,1,1],[2,2,2,2,2,2,2,2,2,2]]",
        "visualisation.codes.num_steps=3",
        "engine.steps=3",
        "engine.picture_every=1",
        folder=tmp_path / "run",
    )
    alone = experiment("visualisation=[]", "engine.steps=3")
    watched.run()
    alone.run()
    assert {path.stem for path in (tmp_path / "run/grids").glob("*.png")} == names
    details = json.loads((tmp_path / "run/grids/codes.json").read_text())
    assert details["codes"] == [[[value] * 10 for value in (0, 0.5, 1, 0, 1, 2)]]
    path = np.asarray(json.loads((tmp_path / "run/grids/path.json").read_text())["codes"][0]).reshape(2, 9, 10)
    np.testing.assert_allclose(path[0, -1], path[1, -1])  # both end at image 5
    np.testing.assert_allclose(path[:, 1:] - path[:, :-1], np.tile(path[:, 1:2] - path[:, :1], (1, 8, 1)), atol=1e-5)
    for mine, other in zip(watched.objective.parameters(), alone.objective.parameters(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("path.im1=[99999999]", "path.im1: there is no image 99999999, the data set has 200: 0 to 199"),
        ("path.im2=[nofile.png]", "path.im2: cannot read nofile.png: No such file or directory"),
        ("codes.p1=[[1,2]]", "codes.p1: a code of 2 numbers, but the latent space has 10 dimensions"),
        ("codes.space_id=3", "codes.space_id: there is no latent space 3, the model has 1"),
    ],
)
def test_a_mistake_in_a_config_gets_a_line_with_its_setting(
    experiment: Make, tmp_path: Path, override: str, line: str
) -> None:
    with pytest.raises(UserError) as told:
        experiment("visualisation=[path,codes]", f"visualisation.{override}", folder=tmp_path)
    assert str(told.value) == f"visualisation.{line}"


def test_a_spherical_path_keeps_to_the_sphere_at_an_even_pace() -> None:
    p1, p2 = torch.tensor([2.0, 0, 0, 0]), torch.tensor([0.0, 0, 2, 0])
    shown = codes(run(CodePathWalker(5, p1, p2, interpolation="spherical"), make_state()), 5)
    expected = [[2 * math.cos(math.pi * t / 8), 0, 2 * math.sin(math.pi * t / 8), 0] for t in range(5)]
    torch.testing.assert_close(shown, torch.tensor(expected))
    a, b = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
    shown = codes(run(CodePathWalker(6, a, b * a.norm() / b.norm(), interpolation="spherical"), make_state()), 6)
    torch.testing.assert_close(shown.norm(dim=1), a.norm().expand(6))
    angles = torch.nn.functional.cosine_similarity(shown[1:], shown[:-1]).acos()
    torch.testing.assert_close(angles, angles[:1].expand(5), atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_a_spherical_path_ends_exactly_at_its_codes(experiment: Make) -> None:
    model = experiment().objective.model.eval()
    p1, p2 = torch.randn(2, 5, 10, generator=torch.Generator().manual_seed(1))
    state = {X: torch.zeros(1, 1, 16, 16), MODEL: model, STEP: 0}
    images = CodePathWalker(7, p1, p2, interpolation="spherical").vis(state).unflatten(0, (5, 7))
    assert torch.equal(images[:, 0], model.decode(p1))
    assert torch.equal(images[:, -1], model.decode(p2))


def test_a_spherical_path_between_codes_on_one_line_is_straight() -> None:
    p1 = torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    p2 = torch.tensor([[3.0, 3, 0, 0], [-1, -1, 0, 0], [1, 0, 0, 0]])
    shown = codes(run(CodePathWalker(3, p1, p2, interpolation="spherical"), make_state()), 3, 3)
    torch.testing.assert_close(shown[:2, 1], (p1 + p2)[:2] / 2)
    assert torch.isfinite(shown).all()


@pytest.mark.parametrize("prior", [Exponential(1.0), Uniform(-1.0, 1.0)], ids=["Exponential", "Uniform"])
def test_a_sphere_is_refused_where_the_prior_is_not_on_the_whole_line(prior: Distribution) -> None:
    model = make_state(Space(4, prior))[MODEL]
    for walker in (
        CodePathWalker(3, None, None, interpolation="spherical"),
        ImagePathWalker(3, None, None, interpolation="spherical"),
    ):
        with pytest.raises(UserError, match="interpolation: spherical leaves the codes of the prior"):
            walker.prepare(model, Data())
    mixed = make_state(Space(3), Space(1, prior))[MODEL]
    CodePathWalker(3, None, None, space_id=0, interpolation="spherical").prepare(mixed, Data())
