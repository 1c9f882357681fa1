"""dSprites in colour, in noise and before a picture."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vae_runner.datasets import dSprites
from vae_runner.datasets.sprites.dressed import drawn_bytes
from vae_runner.engine import Engine
from vae_runner.errors import UserError

INDICES = torch.tensor([0, 300_000, 696_848, 737_279])


@pytest.fixture(scope="module")
def plain(cache: Path) -> dSprites:
    return dSprites(None, cache_dir=cache)


@pytest.fixture
def make(plain: dSprites, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dSprites]:
    """make(...) -> the data set with these settings, of sprites that are read once."""

    def load(self: dSprites) -> None:
        self._images, self._provenance, self.source = plain._images, plain._provenance, plain.source

    monkeypatch.setattr(dSprites, "load_data", load)
    return lambda **settings: dSprites(settings.pop("root", None), **settings)


def picture(folder: Path, size: tuple[int, int] = (100, 90)) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "scream.png")
    return folder / "scream.png"


def hashed(word: int) -> int:
    """lowbias32, in Python's integers."""
    word = (word ^ word >> 16) * 0x7FEB352D & 0xFFFFFFFF
    word = (word ^ word >> 15) * 0x846CA68B & 0xFFFFFFFF
    return word ^ word >> 16


def test_the_hash_is_lowbias32_to_the_bit() -> None:
    from vae_runner.datasets.sprites import dressed

    words = [0, 1, 2, 12345, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
    found = dressed._hashed(torch.tensor(words).to(torch.int32))
    assert [word % (1 << 32) for word in found.tolist()] == [hashed(word) for word in words]


def test_drawn_bytes_are_uniform_and_independent_of_each_other() -> None:
    drawn = drawn_bytes(torch.arange(4096), 64, seed=3).double()
    count = drawn.numel()
    frequencies = torch.bincount(drawn.long().flatten(), minlength=256).double()
    chi = float(((frequencies - count / 256) ** 2).sum() / (count / 256))
    assert abs(chi - 255) < 4 * (2 * 255) ** 0.5
    z = (drawn - 127.5) / drawn.std()
    correlations = z.T @ z / len(z) - torch.eye(64)
    assert correlations.abs().max() < 5.5 / len(z) ** 0.5  # of 2016 pairs
    neighbours = (z[1:] * z[:-1]).mean(0)
    assert neighbours.abs().max() < 4.5 / len(z) ** 0.5


def test_a_coloured_sprite_has_one_colour_of_the_upper_half(make: Callable[..., dSprites]) -> None:
    plain, coloured = make(), make(variant="colour")
    sprites, images = plain.gather(INDICES), coloured.gather(INDICES)
    assert coloured.image_shape == images.shape[1:] == (3, 64, 64)
    for sprite, image in zip(sprites, images, strict=True):
        colours = image[:, sprite[0] > 0]
        assert (colours == colours[:, :1]).all()
        assert ((colours[:, 0] >= 0.5) & (colours[:, 0] <= 1)).all()
        assert not image[:, sprite[0] == 0].any()
    everything = coloured.gather(torch.arange(0, 737_280, 737)).amax((2, 3))
    assert everything.mean(0).tolist() == pytest.approx([0.75] * 3, abs=4 * 0.145 / 1000**0.5 + 0.002)


def test_noise_is_around_the_sprite_and_never_on_it(make: Callable[..., dSprites]) -> None:
    sprites, images = make().gather(INDICES), make(variant="noisy").gather(INDICES)
    inside = (sprites > 0).expand(-1, 3, -1, -1)
    assert (images[inside] == 1).all()
    noise = images[~inside]
    assert float(noise.mean()) == pytest.approx(0.5, abs=4 * 0.29 / len(noise) ** 0.5)
    assert noise.unique().numel() == 256


def test_a_background_is_a_part_of_the_picture_and_the_sprite_inverts_it(
    make: Callable[..., dSprites], tmp_path: Path
) -> None:
    file = picture(tmp_path)
    whole = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).double()
    data = make(variant="background", background="scream.png", root=tmp_path, source="render")
    sprites, images = make().gather(INDICES), data.gather(INDICES) * 255
    places = set()
    for sprite, image in zip(sprites, images, strict=True):
        behind = torch.where(sprite > 0, 255 - image, image).double()
        fitting = []
        for top in range(27):
            for left in range(37):
                tint = 2 * behind - whole[:, top : top + 64, left : left + 64]
                if all(float(channel.max() - channel.min()) <= 1.01 for channel in tint):
                    fitting.append((top, left))
        assert len(fitting) == 1
        places.add(fitting[0])
    assert len(places) == 4


@pytest.mark.parametrize("variant", ["colour", "noisy", "background"])
def test_an_image_is_always_the_same_and_another_one_with_another_seed(
    make: Callable[..., dSprites], tmp_path: Path, variant: str
) -> None:
    settings = {"variant": variant} | ({"background": picture(tmp_path)} if variant == "background" else {})
    first, again, other = make(**settings), make(**settings), make(**settings, seed=1)
    images = first.gather(INDICES)
    assert torch.equal(images, torch.cat([again.gather(index) for index in INDICES.flip(0).split(1)]).flip(0))
    assert not torch.equal(images, other.gather(INDICES))
    assert first.fingerprint() == again.fingerprint()
    assert len({first.fingerprint(), other.fingerprint(), make().fingerprint()}) == 3
    assert first[5][0].mode == "RGB"
    assert first.provenance["variant"] == variant


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"variant": "color"}, r"dataset.variant must be one of plain, colour, noisy, background, got 'color'"),
        ({"variant": "background"}, "dataset.background goes with dataset.variant=background: name a picture"),
        ({"background": "x.png"}, "dataset.background goes with dataset.variant=background: leave it out"),
        ({"variant": "background", "background": "nowhere.png"}, r"dataset.background: .*nowhere.png"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(make: Callable[..., dSprites], settings: dict, line: str) -> None:
    with pytest.raises(UserError, match=line) as told:
        make(**settings)
    assert "\n" not in str(told.value)


def test_a_picture_that_is_too_small_is_refused(make: Callable[..., dSprites], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"scream.png is 100x50 pixels where it fits into 350x274, expected 64 on each"):
        make(variant="background", background=picture(tmp_path, (100, 50)))


@pytest.mark.slow
def test_a_variant_trains(experiment: Callable[..., Engine], cache: Path) -> None:
    chosen = ["dataset=dsprites", "dataset.source=render", f"dataset.cache_dir={cache}", "dataset.variant=noisy"]
    engine = experiment(*chosen, "dataset.limit=300", "dataset.validation=50", "likelihood=gaussian_optimal")
    engine.train_step()
    assert engine.objective.model.likelihood is not None
