"""Any torch data set of images as one to train on."""

import inspect
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import IterableDataset, TensorDataset
from torchvision import transforms
from torchvision.datasets import FakeData

from vae_runner.datasets import SplitConfig, TorchImages, split
from vae_runner.datasets.reading.item import as_pixels
from vae_runner.datasets.store import host_array
from vae_runner.errors import UserError

GRAY = torch.arange(16, dtype=torch.uint8).reshape(4, 4) * 16
COLOURS = torch.stack([GRAY, GRAY.flip(0), GRAY.flip(1)])


class Listed:
    """A data set of the items given."""

    def __init__(self, *items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


class Drawn:
    """Images drawn at random whenever they are asked for, from all generators that there are."""

    def __len__(self) -> int:
        return 70

    def __getitem__(self, index: int) -> torch.Tensor:
        values = [torch.rand(()).item(), random.random(), np.random.rand(), index / 100]  # noqa: NPY002
        return torch.tensor(values).reshape(1, 2, 2)


def test_images_that_cannot_be_written_to_are_taken_without_a_word() -> None:  # torch warns of such memory
    frozen = GRAY.numpy().copy()
    frozen.flags.writeable = False
    for image in (frozen, Image.fromarray(GRAY.numpy()), Image.fromarray(frozen[:, ::-1])):
        assert TorchImages(Listed(image)).gather(torch.tensor([0])).shape == (1, 1, 4, 4)


@pytest.mark.parametrize(
    ("image", "channels"),
    [
        (Image.fromarray(GRAY.numpy()), GRAY[None]),
        (Image.fromarray(COLOURS.permute(1, 2, 0).numpy()), COLOURS),
        (Image.fromarray(GRAY.numpy()).convert("P"), GRAY.expand(3, 4, 4)),
        (Image.fromarray(GRAY.numpy() > 100), (GRAY > 100)[None] * 255),
        (GRAY, GRAY[None]),
        (GRAY.numpy(), GRAY[None]),
        (COLOURS, COLOURS),
        (COLOURS.permute(1, 2, 0), COLOURS),
        (COLOURS.permute(1, 2, 0).numpy(), COLOURS),
        (COLOURS.numpy(), COLOURS),
        (COLOURS / 255, COLOURS),
        (COLOURS.double() / 255, COLOURS),
        (transforms.ToTensor()(Image.fromarray(COLOURS.permute(1, 2, 0).numpy())), COLOURS),
        (GRAY > 100, (GRAY > 100)[None] * 255),
        (torch.zeros(5, 4, 4), torch.zeros(5, 4, 4)),
    ],
)
def test_an_image_of_any_kind_has_the_pixels_that_it_shows(image: Any, channels: torch.Tensor) -> None:
    pixels = as_pixels(image)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, channels.numpy())


def test_gather_gives_what_torchvision_s_own_tensor_would_be_to_the_bit() -> None:
    data, plain = TorchImages(FakeData(20, (3, 8, 8))), FakeData(20, (3, 8, 8), transform=transforms.ToTensor())
    everything = torch.stack([plain[index][0] for index in range(20)])
    assert torch.equal(data.gather(torch.arange(20)), everything)
    assert torch.equal(data.gather(torch.tensor([7, 3, 7])), everything[[7, 3, 7]])
    assert data.image_shape == (3, 8, 8)


def test_values_between_the_levels_are_kept_whatever_comes_before_them() -> None:
    fine = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    data = TorchImages(Listed(GRAY, *fine, GRAY))
    assert torch.equal(data.gather(torch.arange(5)), torch.stack([GRAY[None] / 255, *fine, GRAY[None] / 255]))


@pytest.mark.parametrize(
    ("items", "part", "words"),
    [
        ([3], 0, "item 0 of test_torch_images.Listed: expected a PIL image, a tensor or an array, got int"),
        ([{"img": GRAY, "label": 3}], 0, "item 0 .*a dict of img, label; dataset.item=NAME says which"),
        ([(GRAY, 3)], 2, "item 0 .*a tuple of 2; dataset.item must be a position in it, got 2"),
        ([GRAY, GRAY.float()], 0, "item 1 .*floats go from 0 to 240, expected .0, 1.: divide them by 255"),
        ([GRAY.float() / 120 - 1], 0, "item 0 .*from -1 to 1, expected .0, 1.: x / 2 . 0.5"),
        ([GRAY.long()], 0, "item 0 .*its values are int64 from 0 to 240, expected uint8"),
        ([np.full((4, 4), "a")], 0, "item 0 .*its values are <U1, expected uint8"),
        ([np.zeros((4, 4), complex)], 0, "item 0 .*its values are complex128, expected uint8"),
        ([np.zeros((4, 4), "M8[s]")], 0, r"item 0 .*its values are datetime64\[s\], expected uint8"),
        ([torch.full((1, 4, 4), torch.nan)], 0, "item 0 .*values that are not finite"),
        ([torch.zeros(2, 1, 4, 4)], 0, r"item 0 .*expected an image .*got \(2, 1, 4, 4\)"),
        (
            [GRAY, GRAY[:3]],
            0,
            "item 1 .* is 1x3x4, those before it 1x4x4; images must be of one shape: give it a trans",
        ),
        ([], 0, "Listed has no images"),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_what_is_no_image_is_told_in_one_line(items: list[Any], part: Any, words: str, workers: int) -> None:
    with pytest.raises(UserError, match=words) as told:
        TorchImages(Listed(*items), item=part, workers=workers).gather(torch.tensor([0]))
    assert len(str(told.value).splitlines()) == 1


class Broken(Listed):
    """Its second item cannot be read."""

    def __getitem__(self, index: int) -> Any:
        return {0: GRAY}[index]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_exception_of_the_set_is_told_with_its_item_and_its_line(workers: int) -> None:
    line = inspect.getsourcelines(Broken.__getitem__)[1] + 1
    words = rf"item 1 of test_torch_images.Broken: KeyError: 1 \(.*test_torch_images.py, line {line}\)$"
    with pytest.raises(UserError, match=words):
        TorchImages(Broken(GRAY, GRAY), workers=workers).gather(torch.tensor([0]))


class Stream(IterableDataset[torch.Tensor]):
    """Images that come one behind the other."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        yield GRAY


def test_what_cannot_be_looked_up_is_refused() -> None:
    with pytest.raises(UserError, match=r"test_torch_images.Stream has no __len__, which this needs"):
        TorchImages(Stream())
    with pytest.raises(UserError, match="int has no __len__ and no __getitem__"):
        TorchImages(3)


def test_other_parts_of_items_are_taken_where_asked() -> None:
    assert torch.equal(TorchImages(Listed((3, GRAY)), item=1).gather(torch.tensor([0])), GRAY[None, None] / 255)
    assert torch.equal(TorchImages(Listed({"img": GRAY}), item="img").gather(torch.tensor([0]))[0, 0], GRAY / 255)


def test_random_images_are_the_same_in_each_start_and_in_whatever_process() -> None:
    here, again, elsewhere = TorchImages(Drawn()), TorchImages(Drawn()), TorchImages(Drawn(), workers=2)
    assert here.fingerprint() == again.fingerprint() == elsewhere.fingerprint()
    assert len(here.gather(torch.arange(70))[:, 0, 0].flatten().unique()) == 140  # each image is drawn anew
    assert TorchImages(Drawn(), seed=1).fingerprint() != here.fingerprint()


@pytest.mark.parametrize("workers", [0, 1])
def test_reading_leaves_all_generators_as_they_were(workers: int) -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    TorchImages(Drawn(), workers=workers).gather(torch.tensor([0]))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]  # noqa: NPY002


def test_of_a_limited_set_only_the_chosen_images_are_read() -> None:
    asked: list[int] = []

    class Counted(Listed):
        def __getitem__(self, index: int) -> Any:
            asked.append(index)
            return super().__getitem__(index)

    whole = Counted(*(GRAY + index for index in range(10)))
    train, held, _ = split(TorchImages(whole), SplitConfig(validation=1, limit=4))
    assert (len(train), len(held)) == (3, 1)
    train.batch(torch.arange(3))
    assert len(asked) == len(set(asked)) == 4


def test_images_that_take_half_of_the_memory_are_kept_in_a_file_that_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [GRAY, *torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))]
    in_memory = TorchImages(Listed(*items))
    monkeypatch.setattr(host_array, "memory_bytes", lambda: 60)
    in_file = TorchImages(Listed(*items), cache_dir=tmp_path)
    assert in_file.fingerprint() == in_memory.fingerprint()
    assert torch.equal(in_file.gather(torch.arange(4)), in_memory.gather(torch.arange(4)))
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(host_array.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(UserError, match=r"4 images 1x4x4 take .* dataset.limit=N .* dataset.cache_dir=DIR"):
        TorchImages(Listed(*items), cache_dir=tmp_path).fingerprint()


def test_a_changed_pixel_changes_the_mark() -> None:
    changed = GRAY.clone()
    changed[2, 2] += 1
    marks = {TorchImages(Listed(GRAY, image)).fingerprint() for image in (GRAY, changed, GRAY.float() / 255)}
    assert len(marks) == 2


@pytest.mark.slow
def test_it_trains_from_the_command_line_s_settings(experiment: Callable[..., Any]) -> None:
    settings = ["dataset=torch", "++dataset.dataset._target_=torchvision.datasets.FakeData", "dataset.validation=0.2"]
    engine = experiment(*settings, "++dataset.dataset.size=40", "++dataset.dataset.image_size=[3,16,16]")
    assert (len(engine.train), len(engine.validation), len(engine.test)) == (28, 8, 4)
    assert engine.train.data.image_shape == (3, 16, 16)
    assert engine.train.data.provenance["source"] == "FakeData"
    assert np.isfinite(engine.run()["neg_elbo"])


def test_torch_s_tensor_dataset_is_one() -> None:
    images = torch.rand(5, 3, 4, 4)
    assert torch.equal(TorchImages(TensorDataset(images, torch.arange(5))).gather(torch.arange(5)), images)
