"""Training images are changed, others in every step; validation, test and pictures are not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TESTS, TOY
from torchvision.transforms.v2 import functional as oracle

from vae_runner.augmentation import ColorJitter, RandomCrop, _resized, _turned
from vae_runner.cli import run as vae_train
from vae_runner.engine import Engine
from vae_runner.errors import UserError
from vae_runner.experiment.checking.check import check
from vae_runner.randomness import isolated
from vae_runner.state import LOSS, Y_TRUE, X


def test_a_part_is_enlarged_as_torchvision_does_it() -> None:
    x = torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    corner, size = torch.tensor([[0.25, 0.0], [0.5, 0.25]]), torch.tensor([[0.5, 1.0], [0.5, 0.75]])
    made = _resized(x, corner, size)
    for image, old, (left, top, width, height) in zip(made, x, [(4, 6, 8, 6), (0, 3, 16, 9)], strict=True):
        expected = oracle.resized_crop(old, top, left, height, width, [12, 16], antialias=False)
        torch.testing.assert_close(
            image[:, 1:-1, 1:-1], expected[:, 1:-1, 1:-1]
        )  # there, pixels beyond it have a share


def test_parts_have_the_area_and_the_proportions_that_are_set() -> None:
    torch.manual_seed(0)
    down, across = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 96), indexing="ij")
    places = torch.stack([across, down]).expand(500, 2, 64, 96)  # each pixel says where it was
    made = RandomCrop(area=(0.2, 0.4), ratio=(0.5, 2.0))(places)
    width, height = (
        (made[:, 0].amax((1, 2)) - made[:, 0].amin((1, 2))),
        (made[:, 1].amax((1, 2)) - made[:, 1].amin((1, 2))),
    )
    area, ratio = width * height, width / height
    assert 0.19 < area.min() < 0.22 < 0.38 < area.max() < 0.41
    assert 0.47 < ratio.min() < 0.55 < 1.8 < ratio.max() < 2.1
    assert abs(float(made[:, 0].mean()) - 0.5) < 0.03
    assert len(made[:, 0, 0, 0].unique()) > 450  # each image has its own draw


def test_a_part_that_is_all_is_the_image_to_the_bit() -> None:
    x = torch.rand(4, 3, 17, 30)
    assert torch.equal(RandomCrop(area=(1.0, 1.0), ratio=(1.0, 1.0))(x), x)


@pytest.mark.parametrize(
    ("setting", "value", "change"),
    [
        ("brightness", 0.6, oracle.adjust_brightness),
        ("contrast", 0.6, oracle.adjust_contrast),
        ("saturation", 0.6, oracle.adjust_saturation),
    ],
)
def test_colours_are_changed_as_torchvision_changes_them(
    setting: str, value: float, change: Callable[[torch.Tensor, float], torch.Tensor]
) -> None:
    x = torch.rand(50, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    made = ColorJitter(**{**dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0), setting: value})(x)
    torch.manual_seed(1)
    row = ("brightness", "contrast", "saturation").index(setting)
    factors = 1 + value * (2 * torch.rand(4, 50)[row] - 1)
    assert factors.min() < 0.5 < 1.5 < factors.max()
    expected = torch.stack([change(image, float(factor)) for image, factor in zip(x, factors, strict=True)])
    torch.testing.assert_close(made, expected)


@pytest.mark.parametrize("turn", [-0.5, -0.13, 0.0, 0.3])
def test_a_hue_is_turned_as_torchvision_turns_it(turn: float) -> None:
    x = torch.rand(8, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    x[0], x[1, 1:] = 0.25, 0.0  # gray; red alone
    torch.testing.assert_close(_turned(x, torch.full((8, 1, 1), turn)), oracle.adjust_hue(x, turn))


def test_input_and_target_are_the_changed_image_and_validation_is_as_it_was(experiment: Callable[..., Engine]) -> None:
    engine, plain = experiment("augmentation=crop"), experiment()
    state, clean = engine.train_step(), plain.train_step()[X]
    assert torch.equal(state[X], state[Y_TRUE])
    assert not torch.equal(state[X], clean)
    assert torch.equal(experiment("augmentation=crop").train_step()[X], state[X])
    assert not torch.equal(experiment("augmentation=crop", "seed=1").train_step()[X], state[X])
    assert engine.batches.at(0)[0].equal(state[X])
    seen: list[torch.Tensor] = []
    inner = engine.objective.forward
    engine.objective.forward = lambda x, target: seen.extend([x, target]) or inner(x, target)
    engine.validate()
    assert torch.equal(seen[0], plain.validation.batch(torch.arange(len(seen[0]))))
    assert seen[1] is seen[0]


def test_an_image_is_another_in_every_step_and_its_partner_is_changed_alike(experiment: Callable[..., Engine]) -> None:
    batches = experiment("augmentation=crop").batches
    x = torch.rand(8, 1, 16, 16)
    first, again, other = batches._changed(x, 0), batches._changed(x.clone(), 0), batches._changed(x, 1)
    assert torch.equal(first, again)
    assert not any(torch.equal(one, two) for one, two in zip(first, other, strict=True))


def test_without_augmentation_a_run_is_what_it_was_to_the_bit(experiment: Callable[..., Engine]) -> None:
    with_group = experiment("corruption=masking", "augmentation=none")
    before = experiment("corruption=masking")
    before.batches._changed = before.batches._mirrored  # the batches of a version without the group
    for _ in range(4):
        ours, theirs = with_group.train_step(), before.train_step()
        assert torch.equal(ours[LOSS], theirs[LOSS])


def test_the_noise_of_a_step_does_not_depend_on_the_augmentation(experiment: Callable[..., Engine]) -> None:
    noisy = experiment("augmentation=crop", "augmentation.area=[1.0,1.0]", "augmentation.ratio=[1.0,1.0]")
    plain = experiment()
    for _ in range(3):
        assert torch.equal(noisy.train_step()[LOSS], plain.train_step()[LOSS])


@pytest.mark.slow
def test_a_resumed_run_sees_the_same_images(experiment: Callable[..., Engine]) -> None:
    unbroken, first, second = (experiment("augmentation=crop", "+dataset.flip=true") for _ in range(3))
    for _ in range(12):
        unbroken.train_step()
    for _ in range(5):
        first.train_step()
    second.load_state_dict(first.state_dict())
    for _ in range(7):
        second.train_step()
    for ours, theirs in zip(second.objective.parameters(), unbroken.objective.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.slow
def test_a_run_says_that_it_is_augmented_and_goes_on_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run, line = tmp_path / "run", "each training image is changed anew in every step, by RandomCrop("
    own = [*TOY, "augmentation=crop", "visualisation=[]", "engine.steps=4", f"hydra.run.dir={run}"]
    assert vae_train([f"--config-dir={TESTS / 'conf'}", *own, "engine.progress=false"]) == 0
    assert line in "".join(capfd.readouterr())
    assert vae_train([f"resume={run}", "engine.steps=6", "trust=true"]) == 0
    assert line in "".join(capfd.readouterr())
    assert vae_train([f"resume={run}", "engine.steps=8", "trust=true", "augmentation.area=[0.1,1]"]) == 2


def test_both_are_the_crop_and_then_the_colours_of_what_is_left(experiment: Callable[..., Engine]) -> None:
    both = experiment("augmentation=crop_color", "dataset.channels=3").batches
    crop = experiment("augmentation=crop", "dataset.channels=3").batches
    x = crop.train.batch(torch.arange(4))
    with isolated(7, x.device):
        expected = ColorJitter()(RandomCrop()(x))
    with isolated(7, x.device):
        assert torch.equal(both.augmentation(x), expected)
    assert not torch.equal(crop.augmentation(x), x)


def test_gray_images_refuse_other_colours_in_a_line(experiment: Callable[..., Engine]) -> None:
    with pytest.raises(UserError) as caught:
        experiment("augmentation=color")
    assert str(caught.value) == (
        "augmentation (vae_runner.augmentation.ColorJitter) fails on 4 images 1x16x16: "
        "colours are changed of images of 3 channels, not 1; set augmentation=none"
    )


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["crop", "area=[0,1]"], "augmentation.area must be [low,high] with 0 < low <= high <= 1, got [0, 1]"),
        (["crop", "area=[0.5,0.2]"], "augmentation.area must be [low,high] with 0 < low <= high <= 1, got [0.5, 0.2]"),
        (["crop", "area=0.5"], "augmentation.area: expected [float, float], got 0.5"),
        (["crop", "ratio=[0,1]"], "augmentation.ratio must be [low,high] with 0.1 <= low <= high <= 10, got [0, 1]"),
        (["color", "brightness=-1"], "augmentation.brightness must lie in [0, 1], got -1"),
        (["color", "hue=0.6"], "augmentation.hue must lie between 0 and 0.5, got 0.6"),
        (["crop_color", "color.hue=0.6"], "augmentation.color.hue must lie between 0 and 0.5, got 0.6"),
        (
            ["crop_color", "crop.area=[0,1]"],
            "augmentation.crop.area must be [low,high] with 0 < low <= high <= 1, got [0, 1]",
        ),
        (["color", "hues=0.1"], "no setting called 'augmentation.hues'. Did you mean augmentation.hue?"),
    ],
)
def test_settings_out_of_range_are_refused(compose: Callable[..., Any], settings: list[str], problem: str) -> None:
    option, setting = settings
    sign = "+" if setting.startswith("hues") else ""
    assert check(compose(f"augmentation={option}", f"{sign}augmentation.{setting}"))[1] == [problem]


def test_a_run_from_before_there_was_augmentation_goes_on(compose: Callable[..., Any]) -> None:
    cfg = compose()
    del cfg["augmentation"]
    assert check(cfg)[1] == []
