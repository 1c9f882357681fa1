import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TESTS, TOY, pictures_of
from PIL import Image

import vae_runner
from vae_runner.callbacks.pictures import picture_state
from vae_runner.cli import redraw
from vae_runner.cli import run as vae_train
from vae_runner.corruption import Clean, GaussianNoise, Masking
from vae_runner.datasets.split import EpochOrder, SplitConfig, split
from vae_runner.engine import Engine
from vae_runner.engine.batches import AHEAD
from vae_runner.experiment.checking.check import check
from vae_runner.randomness import permutation
from vae_runner.state import POSTERIORS, SPOILED, Y_PRED, Y_TRUE, X
from vae_runner.visualisation import ReconstructionPairs, ReconstructionViewer

CORRUPTIONS = ["gaussian_noise", "masking"]


def test_the_noise_has_its_deviation_and_leaves_the_image_alone() -> None:
    torch.manual_seed(0)
    x = torch.full((100, 3, 16, 16), 0.5)
    noise = GaussianNoise(0.2, clip=False)(x) - x
    size = noise.numel()
    assert abs(float(noise.mean())) < 4 * 0.2 / size**0.5
    assert abs(float(noise.std()) - 0.2) < 4 * 0.2 / (2 * size) ** 0.5
    assert x.unique().tolist() == [0.5]
    clipped = GaussianNoise(0.5)(x)
    assert (float(clipped.min()), float(clipped.max())) == (0, 1)
    assert torch.equal(GaussianNoise(0.0)(x), x)
    assert Clean()(x) is x


@pytest.mark.parametrize("patch", [1, 4, 5])
def test_masking_hides_whole_patches_of_all_channels(patch: int) -> None:
    torch.manual_seed(0)
    x = torch.rand(200, 3, 18, 15) * 0.5 + 0.25
    masked = Masking(part=0.3, patch=patch, value=1.0)(x)
    hidden = masked == 1
    assert torch.equal(masked[~hidden], x[~hidden])
    assert torch.equal(hidden.all(1), hidden.any(1))
    corners = hidden[:, 0, ::patch, ::patch]
    deviation = (0.3 * 0.7 / corners.numel()) ** 0.5
    assert abs(float(corners.float().mean()) - 0.3) < 4 * deviation
    blocks = corners.repeat_interleave(patch, 1).repeat_interleave(patch, 2)[:, :18, :15]
    assert torch.equal(blocks, hidden[:, 0])


def test_nothing_or_everything_can_be_hidden() -> None:
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(Masking(part=0.0)(x), x)
    assert Masking(part=1.0, value=0.5)(x).unique().tolist() == [0.5]


@pytest.mark.slow
@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_the_input_is_corrupted_and_the_target_is_clean(experiment: Callable[..., Engine], corruption: str) -> None:
    engine, clean = experiment(f"corruption={corruption}"), experiment()
    first, target = engine.train_step(), clean.train_step()[X]
    assert torch.equal(first[Y_TRUE], target)
    assert not torch.equal(first[X], target)
    again = experiment(f"corruption={corruption}").train_step()
    assert torch.equal(again[X], first[X])
    assert not torch.equal(experiment(f"corruption={corruption}", "seed=1").train_step()[X], first[X])
    seen: list[torch.Tensor] = []
    inner = engine.objective.forward
    engine.objective.forward = lambda x, target: seen.extend([x, target]) or inner(x, target)
    assert engine.validate() == engine.validate()
    half = len(seen) // 2
    assert all(torch.equal(a, b) for a, b in zip(seen[:half], seen[half:], strict=True))
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[1], engine.validation.batch(torch.arange(16)))


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["corruption=masking", "+dataset.flip=true"])
def test_a_resumed_run_is_the_unbroken_one(experiment: Callable[..., Engine], setting: str) -> None:
    unbroken, first, second = (experiment(setting) for _ in range(3))
    for _ in range(12):
        unbroken.train_step()
    for _ in range(5):
        first.train_step()
    second.load_state_dict(first.state_dict())
    for _ in range(7):
        second.train_step()
    for ours, theirs in zip(second.objective.parameters(), unbroken.objective.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_flips_mirror_half_of_the_training_images_others_in_each_epoch(experiment: Callable[..., Engine]) -> None:
    engine, plain = experiment("+dataset.flip=true", "engine.steps=20"), experiment("engine.steps=20")
    flipped = 0
    for step in range(20):
        x, original = engine.batches.at(step)[0], plain.batches.at(step)[0]
        for image, before, mirrored in zip(x, original, engine.order.flips(step), strict=True):
            assert torch.equal(image, before.flip(-1) if mirrored else before)
            flipped += int(mirrored)
    assert abs(flipped - 160) < 4 * 80**0.5
    assert torch.equal(engine.validation.batch(torch.arange(40)), plain.validation.batch(torch.arange(40)))


def test_a_flip_depends_on_seed_epoch_and_image_alone() -> None:
    def flips(batch_size: int, seed: int, epoch: int) -> dict[int, bool]:
        order = EpochOrder(120, batch_size, seed)
        steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
        return {int(p): bool(f) for s in steps for p, f in zip(order.positions(s), order.flips(s), strict=True)}

    assert flips(10, 0, 1) == flips(40, 0, 1)
    assert len({tuple(sorted(flips(10, seed, epoch).items())) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_looking_ahead_does_not_change_the_order() -> None:
    plain, ahead = EpochOrder(20, 6, 0), EpochOrder(20, 6, 0)
    for step in range(12):
        for later in range(step, step + 4):
            ahead.positions(later)
        assert torch.equal(ahead.positions(step), plain.positions(step))
        assert len(ahead._orders) <= 4


@pytest.mark.parametrize("steps_per_epoch", [1, 2, 3, 4, 10])
def test_looking_ahead_makes_no_order_twice(monkeypatch: pytest.MonkeyPatch, steps_per_epoch: int) -> None:
    made: list[int] = []
    module = sys.modules[EpochOrder.__module__]
    monkeypatch.setattr(module, "permutation", lambda size, seed: made.append(seed) or permutation(size, seed))
    order = EpochOrder(6 * steps_per_epoch, 6, seed=0)
    for step in range(5 * steps_per_epoch):
        for later in range(step, step + AHEAD):
            order.positions(later)
        order.flips(step)
    epochs = (5 * steps_per_epoch - 1 + AHEAD - 1) // steps_per_epoch + 1
    assert len(made) == len(set(made)) == epochs


def test_a_run_from_before_there_was_corruption_goes_on(compose: Callable[..., Any]) -> None:
    cfg = compose()
    del cfg["corruption"]
    assert check(cfg)[1] == []
    problems = check(compose("corruption=masking", "corruption.part=2"))[1]
    assert problems == ["corruption.part must lie in [0, 1], got 2"]


@pytest.mark.slow
def test_dsprites_can_be_denoised(experiment: Callable[..., Engine], cache: Path) -> None:
    settings = ("dataset=dsprites", "dataset.source=render", f"dataset.cache_dir={cache}", "dataset.limit=200")
    engine = experiment(*settings, "dataset.validation=40", "dataset.flip=true", "corruption=gaussian_noise")
    state = engine.train_step()
    assert set(state[Y_TRUE].unique().tolist()) == {0.0, 1.0}
    assert len(state[X].unique()) > 1000


def test_without_a_count_2000_are_held_back(cache: Path) -> None:
    class Many:
        def __len__(self) -> int:
            return 5000

        def gather(self, indices: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(indices), 1, 16, 16)

    train, validation, _ = split(Many(), SplitConfig(validation=None, limit=4000))
    assert (len(train), len(validation)) == (2000, 2000)


@pytest.mark.parametrize("corruption", CORRUPTIONS)
@torch.no_grad()
def test_reconstructions_are_made_of_the_spoiled_images_which_are_shown(
    experiment: Callable[..., Engine], corruption: str
) -> None:
    engine = experiment(f"corruption={corruption}")
    model = engine.objective.model.eval()
    facts = model, engine.validation, 0, engine.device
    state, again, plain = (picture_state(*facts, corruption) for corruption in (*[engine.corruption] * 2, Clean()))
    x, seen = state[X], state[SPOILED]
    assert torch.equal(seen, again[SPOILED])
    assert not torch.equal(seen, x)
    if corruption == "masking":
        assert torch.equal(seen[seen > 0], x[seen > 0])
    grid = ReconstructionPairs(num_images=5, row_size=3)(state)
    made = model.decode(model.posteriors(seen[:5])[0].mean)
    blank = torch.ones(1, *x.shape[1:])
    expected = [seen[:3], made[:3], x[:3], seen[3:5], blank, made[3:], blank, x[3:5], blank]
    torch.testing.assert_close(grid.images, torch.cat(expected))
    assert list(grid.row_labels) == ["spoiled", "output", "clean"] * 2
    assert [text == "" for text in grid.tile_captions] == ([True] * 6 + [False] * 3 + [True] * 6 + [False] * 2)
    nats = -torch.distributions.Bernoulli(made).log_prob(x[:5]).sum((1, 2, 3))
    assert grid.details["nats"] == pytest.approx(nats.tolist(), rel=1e-4)
    fewer = ReconstructionPairs(num_images=2)(state)
    assert torch.equal(fewer.images[:2], seen[:2])
    torch.testing.assert_close(state[POSTERIORS][0].mean, model.posteriors(x)[0].mean)
    assert torch.equal(ReconstructionViewer()(state).images, again[Y_PRED])
    assert not torch.equal(state[Y_PRED], plain[Y_PRED])
    assert SPOILED not in plain


@pytest.mark.slow
def test_pictures_of_a_denoising_run_leave_the_training_as_it_was(
    experiment: Callable[..., Engine], tmp_path: Path
) -> None:
    watched = experiment(
        "corruption=masking", "visualisation=[reconstruction]", "engine.picture_every=2", folder=tmp_path
    )
    alone = experiment("corruption=masking", "visualisation=[]")
    watched.run()
    alone.run()
    for ours, theirs in zip(watched.objective.parameters(), alone.objective.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    before = (tmp_path / "grids/reconstruction.png").read_bytes()
    pictures_of(watched).write(watched)
    assert (tmp_path / "grids/reconstruction.png").read_bytes() == before


@pytest.mark.slow
def test_the_spoiled_images_are_the_same_in_a_resumed_run_and_drawn_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    chosen = [*TOY, "corruption=masking", "visualisation=[reconstruction]", "engine.steps=4", f"hydra.run.dir={run}"]
    assert vae_train([f"--config-dir={TESTS / 'conf'}", *chosen, "engine.progress=false"]) == 0
    first = spoiled_row(run / "grids/reconstruction.png")
    assert vae_train([f"resume={run}", "engine.steps=8", "trust=true"]) == 0
    assert spoiled_row(run / "grids/reconstruction.png") == first
    assert redraw.run([str(run), "checkpoint=last", "trust=true", "engine.device=cpu"]) == 0
    assert (run / "redrawn/reconstruction.png").read_bytes() == (run / "grids/reconstruction.png").read_bytes()
    grid = vae_runner.load(run, "last", "cpu", trust=True).draw(ReconstructionPairs())
    assert list(grid.row_labels) == ["spoiled", "output", "clean"] * 2
    grid.save(tmp_path / "own.png")
    assert spoiled_row(tmp_path / "own.png") == first


def spoiled_row(file: Path) -> bytes:
    """The pixels of the first row of images."""
    with Image.open(file) as picture:
        return picture.crop((0, 45, picture.width, 100)).tobytes()
