"""Shapes3D as a data set: rendered, with its factors in its pixels; and of a file, here a small one."""

import colorsys
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from test_shapes3d_file import COUNT, SMALL, images, write
from torch import Tensor

from vae_runner.datasets import Shapes3D, SplitConfig, split
from vae_runner.datasets.scenes import shapes3d
from vae_runner.datasets.scenes.composed import ComposedImages
from vae_runner.engine import Engine
from vae_runner.errors import UserError

SIZES = (10, 10, 10, 8, 4, 15)


@pytest.fixture(scope="module")
def data(cache: Path) -> Shapes3D:
    return Shapes3D(None, cache_dir=cache)


class Small(Shapes3D):
    """The data set of a small file."""

    grid = SMALL


def colour(hue: int) -> Tensor:
    return torch.tensor(colorsys.hsv_to_rgb(hue / 10, 0.85, 0.95), dtype=torch.float64)


COLOURS = torch.stack([colour(hue) for hue in range(10)])


def hue_at(images: Tensor, row: int, column: int) -> Tensor:
    """Which of the colours a pixel of each image has, whatever light falls on it, (B,)."""
    seen = images[:, :, row, column].double()
    directions = COLOURS / COLOURS.norm(dim=1, keepdim=True)
    return (seen @ directions.T).argmax(1)


def hues_of(images: Tensor) -> Tensor:
    """Those of the floor in the lowest row, of the wall in the highest, of the object below its middle: (B, 3)."""
    return torch.stack([hue_at(images, row, column) for row, column in ((63, 32), (0, 32), (38, 32))], 1)


def pictured(light: np.ndarray, hues: Tensor) -> Tensor:
    """What the sums of the definition make of the light (G, 4, ...) for hues (3,), levels in double precision."""
    buffers = torch.from_numpy(light).double()[:, None] / 255  # (G, 1, 4, ...)
    parts = [buffers[:, :, place] * (255 * COLOURS[hue]).round().view(1, 3, 1, 1) for place, hue in enumerate(hues)]
    return (sum(parts) + 255 * buffers[:, :, 3]).clamp(max=255).round() / 255


def geometry_of(images: Tensor, light: np.ndarray, hues: Tensor) -> Tensor:
    """Of images of the same hues, scale, shape and orientation, as one number: that of the picture next to them."""
    known = pictured(light, hues).flatten(1)
    return torch.cdist(images.double().flatten(1), known, compute_mode="use_mm_for_euclid_dist").argmin(1)


def test_the_factors_are_those_of_the_published_set_in_its_order() -> None:
    grid = Shapes3D.grid
    assert grid.names == ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
    assert grid.sizes == SIZES
    first, last = grid.values_of(torch.tensor([0, 479_999])).tolist()
    assert first == pytest.approx([0, 0, 0, 0.75, 0, -30])
    assert last == pytest.approx([0.9, 0.9, 0.9, 1.25, 3, 30])
    assert grid.classes_of(torch.tensor(1)).tolist() == [0, 0, 0, 0, 0, 1]
    assert [factor.period for factor in grid.factors] == [1, 1, 1, None, None, None]
    assert [factor.is_category for factor in grid.factors] == [True, True, True, False, True, False]


def test_every_factor_can_be_read_back_from_the_pixels(data: Shapes3D) -> None:
    draw = np.random.default_rng(0)
    light = data._images.buffers.numpy()[:, :, ::3, ::3]
    for hues in (*draw.integers(0, 10, (6, 3)).tolist(), [4, 4, 4]):
        indices = torch.from_numpy(np.ravel_multi_index((*hues, *draw.integers(0, (8, 4, 15), (20, 3)).T), SIZES))
        seen = data.gather(indices)
        assert hues_of(seen).tolist() == [hues] * 20
        found = geometry_of(seen[:, :, ::3, ::3], light, torch.tensor(hues))
        assert torch.equal(found, indices % 480)


@pytest.mark.exhaustive
def test_every_factor_of_every_image_can_be_read_back_from_the_pixels(data: Shapes3D) -> None:
    light = data._images.buffers.numpy()[:, :, ::2, ::2]
    for start in range(0, len(data), 480):
        hues = torch.tensor(np.unravel_index(start, SIZES)[:3])
        seen = data.gather(torch.arange(start, start + 480))
        assert (hues_of(seen) == hues).all(), start
        assert torch.equal(geometry_of(seen[:, :, ::2, ::2], light, hues), torch.arange(480)), start


def test_hues_of_the_pixels_are_the_hues_of_the_labels(data: Shapes3D) -> None:
    indices = torch.arange(0, 480_000, 9973)
    seen, values = hues_of(data.gather(indices)) / 10, data.grid.values_of(indices)
    assert torch.allclose(seen.double(), values[:, :3])


def test_images_are_sums_of_light_and_colour_to_the_bit(data: Shapes3D) -> None:
    indices = torch.arange(0, 480_000, 7919)
    seen = data.gather(indices)
    assert (seen.shape, seen.dtype) == ((61, 3, 64, 64), torch.float32)
    light = data._images.buffers.numpy().astype(np.int64)
    colours = (255 * COLOURS).round().long().numpy()
    for image, index in zip(seen, indices.tolist(), strict=True):
        floor, wall, thing, *place = np.unravel_index(index, SIZES)
        buffer = light[np.ravel_multi_index(place, SIZES[3:])]
        sums = sum(colours[hue][:, None, None] * part for hue, part in zip((floor, wall, thing), buffer, strict=False))
        levels = np.minimum((2 * sums + 255) // 510 + buffer[3], 255)  # rounded in whole numbers
        assert np.array_equal(image.numpy(), levels.astype(np.float32) / np.float32(255))


def test_images_are_the_same_whatever_the_precision_of_products_and_the_batch(data: Shapes3D) -> None:
    indices = torch.arange(0, 480_000, 7919)
    seen = data.gather(indices)
    assert torch.equal(torch.cat([data.gather(index) for index in indices.split(1)]), seen)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert torch.equal(data.gather(indices), seen)
    finally:
        torch.set_float32_matmul_precision(before)


def test_light_is_four_bytes_for_each_pixel() -> None:
    with pytest.raises(ValueError, match="is not four bytes of light"):
        ComposedImages(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(2, 3))
    few = ComposedImages(torch.zeros(5, 4, 8, 8, dtype=torch.uint8), torch.zeros(2, 3))
    assert len(few) == 40


def test_an_item_is_the_image_twice(data: Shapes3D) -> None:
    one, other = data[-1]
    assert one is other
    assert (one.size, one.mode) == ((64, 64), "RGB")
    assert torch.equal(torch.from_numpy(np.array(one)).permute(2, 0, 1) / 255, data.gather(torch.tensor([479_999]))[0])
    with pytest.raises(IndexError, match="480000 is outside the 480,000 images of Shapes3D"):
        data[480_000]


def test_pictures_know_the_factors(data: Shapes3D) -> None:
    known = data.factors(torch.arange(3))
    assert {name: tuple(values.shape) for name, values in known.items()} == {
        "floor_hue": (3, 2), "wall_hue": (3, 2), "object_hue": (3, 2),
        "scale": (3,), "shape": (3,), "orientation": (3,),
    }  # fmt: skip
    assert data.factor_classes["shape"] == ("cube", "cylinder", "sphere", "capsule")
    shown = data.grid.classes_of(torch.tensor(data.showcase()))
    assert shown[:, 4].tolist() == [0, 1, 2, 3]


def test_rendered_images_are_named_so_and_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    first = Shapes3D("nowhere", cache_dir=tmp_path)
    monkeypatch.setattr(shapes3d, "_render", lambda: pytest.fail("rendered again"))
    again = Shapes3D("nowhere", cache_dir=tmp_path)
    assert first.source == first.provenance["source"] == "rendered"
    assert first.fingerprint() == again.fingerprint()
    told = [record.getMessage() for record in caplog.records]
    assert told.count("no 3dshapes.h5 in dataset.root=nowhere: rendering takes its place") == 2
    assert told.count("rendering Shapes3D (once, a few seconds)") == 1


@pytest.mark.parametrize("root", [None, "nowhere"])
def test_without_the_file_the_line_says_its_name_its_place_and_what_can_be_had(root: str | None) -> None:
    place = "dataset.root is not set" if root is None else "dataset.root=nowhere"
    with pytest.raises(UserError) as caught:
        Shapes3D(root, source="file")
    assert str(caught.value) == (
        f"no 3dshapes.h5 in {place}: put the published file there, or set dataset.root=DIR; "
        "dataset.source=render draws images of the same factors"
    )


def test_another_source_is_refused() -> None:
    with pytest.raises(UserError, match=r"dataset\.source must be one of auto, file, render, got 'download'"):
        Shapes3D(None, source="download")


def test_a_file_is_unpacked_once_and_read_as_it_was_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)
    data = Small(tmp_path, cache_dir=tmp_path / "cache")
    assert (data.source, data.provenance["path"], len(data)) == ("file", str(path), COUNT)
    indices = torch.tensor([3, 1151, 700, 3])
    expected = torch.from_numpy(images()).permute(0, 3, 1, 2)[indices] / 255
    assert torch.equal(data.gather(indices), expected)
    monkeypatch.setattr("vae_runner.datasets.scenes.shapes3d_file.PublishedFile.image_at", None)
    again = Small(path, source="file", cache_dir=tmp_path / "cache")
    assert torch.equal(again.gather(indices), expected)
    assert again.fingerprint() == data.fingerprint()
    assert again.on_host
    again.expect(indices)


def test_a_file_of_other_images_is_another_set(tmp_path: Path) -> None:
    write(tmp_path)
    first = Small(tmp_path, cache_dir=tmp_path / "cache")
    other = images()
    other[5, 0, 0, 0] ^= 1
    write(tmp_path, images=other)
    second = Small(tmp_path, cache_dir=tmp_path / "cache")
    assert first.fingerprint() != second.fingerprint()
    assert first.provenance["sha256"] != second.provenance["sha256"]


def test_source_render_does_not_look_at_the_file(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "3dshapes.h5").write_text("no such thing")
    assert Shapes3D(tmp_path, source="render", cache_dir=cache).source == "rendered"
    with pytest.raises(UserError, match="is damaged"):
        Shapes3D(tmp_path, cache_dir=cache)


def test_no_room_for_a_file_s_images_says_what_can_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(UserError) as caught:
        Small(tmp_path, cache_dir=tmp_path / "cache")
    assert str(caught.value).endswith("0.0 GB left; set dataset.cache_dir=DIR, or dataset.source=render")


def test_partners_share_all_but_one_factor(data: Shapes3D) -> None:
    train, *_ = split(data, SplitConfig(validation=2000))
    indices = train.indices[:200]
    partners = data.grid.partners(indices, 1, torch.Generator().manual_seed(0))
    assert ((data.grid.classes_of(indices) != data.grid.classes_of(partners)).sum(1) == 1).all()
    assert data.images(partners[:3]).shape == (3, 3, 64, 64)


@pytest.mark.slow
def test_a_run_draws_its_pictures_and_says_that_its_images_are_rendered(
    experiment: Callable[..., Engine], cache: Path, tmp_path: Path
) -> None:
    pictures = "visualisation=[data,reconstruction,traversal,scatter]"
    settings = ["dataset=shapes3d", "dataset.root=null", f"dataset.cache_dir={cache}", "dataset.limit=400"]
    settings += ["dataset.validation=100", "visualisation.scatter.colour=object_hue", "engine.steps=6"]
    engine = experiment(pictures, *settings, folder=tmp_path)
    engine.run()
    assert {path.stem for path in tmp_path.glob("grids/*.png")} == {"data", "reconstruction", "traversal", "scatter"}
    assert engine.train.data.provenance["source"] == "rendered"


def test_colours_are_the_hues_at_the_saturation_and_value_of_the_plan() -> None:
    assert np.array_equal(shapes3d._colours(), (255 * COLOURS).round().byte().numpy())
