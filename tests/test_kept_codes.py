"""Codes are made once, kept with the run, and never taken for those of anything else."""

import io
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gridded import Squares

from vae_runner.architectures import MLPDecoder, MLPEncoder
from vae_runner.auto_encoder import VAE
from vae_runner.datasets.split import Parts, SplitConfig, split
from vae_runner.experiment.scoring.evaluation import LeftOut, evaluate
from vae_runner.experiment.scoring.subject import Settings, Subject
from vae_runner.latent_space import LatentSpace
from vae_runner.latent_space.families import GammaSpace, NormalSpace
from vae_runner.likelihood import Bernoulli
from vae_runner.runs.names import ENCODED

NAMES = ["mig", "posterior_mig", "sap_continuous", "factor_vae", "wasserstein", "active_units", "rate_distortion"]
NAMES += ["log_px", "reconstruction", "prior_match"]


def model_of(*spaces: LatentSpace, seed: int = 0) -> VAE:
    torch.manual_seed(seed)
    shape, dims = Squares().image_shape, sum(space.dims for space in spaces)
    return VAE(MLPEncoder(shape, (16,)), spaces, MLPDecoder(dims, shape, (16,)), Bernoulli()).eval()


@dataclass
class Trained:
    """What is asked of a saved run."""

    folder: Path
    model: VAE = field(default_factory=lambda: model_of(NormalSpace(3), NormalSpace(2)))
    step: int = 8
    checkpoint: str | None = "best"
    config: dict[str, Any] = field(default_factory=dict)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def data(self) -> Parts:
        return split(Squares(), SplitConfig(validation=20))


def subject_of(run: Trained, **settings: Any) -> Subject:
    return Subject(run, Settings(**{"samples": 60, "k": 3, **settings}))


def scores_of(subject: Subject, names: list[str] = NAMES) -> dict[str, Any]:
    found = [one for one in evaluate(subject, names) if not isinstance(one, LeftOut)]
    return {name: {key: value for key, value in record.items() if key != "seconds"} for name, record in found}


def kept(folder: Path) -> list[Path]:
    return sorted((folder / ENCODED).glob("*"))


def test_what_is_kept_gives_the_same_scores_and_no_image_is_encoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = Trained(tmp_path)
    first = subject_of(run)
    found = scores_of(first)
    assert list(found) == NAMES
    first.keep()
    (file,) = kept(tmp_path)
    assert file.name.startswith("validation-")
    monkeypatch.setattr(run.model.encoder, "forward", lambda x: pytest.fail("an image was encoded again"))
    assert scores_of(subject_of(run)) == found
    monkeypatch.undo()
    file.unlink()
    assert scores_of(subject_of(run)) == found
    assert caplog.text == ""


def test_images_that_are_not_among_the_kept_are_added_to_them(tmp_path: Path) -> None:
    run = Trained(tmp_path)
    few, all_of_them = subject_of(run, samples=5), subject_of(run)
    scores_of(few, ["mig"])
    few.keep()
    assert 1 <= subject_of(run).table.known.sum() <= 5
    expected = all_of_them.codes(np.arange(20), "x")
    more = subject_of(run)
    np.testing.assert_allclose(more.codes(np.arange(20), "x"), expected, atol=1e-6)
    more.keep()
    assert subject_of(run).table.known.all()


CHANGES: dict[str, tuple[Any, str]] = {
    "other weights": (lambda run: run.model.head.weight.data.mul_(1.5), "weights"),
    "another step": (lambda run: setattr(run, "step", 9), "step"),
    "another checkpoint": (lambda run: setattr(run, "checkpoint", "last"), "checkpoint"),
}


@pytest.mark.parametrize(("change", "named"), CHANGES.values(), ids=CHANGES)
def test_codes_of_anything_else_are_made_anew_with_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Any, named: str
) -> None:
    run = Trained(tmp_path)
    scores_of(first := subject_of(run))
    first.keep()
    change(run)
    expected = scores_of(subject_of(Trained(tmp_path / "elsewhere", run.model, run.step, run.checkpoint)))
    again = subject_of(run)
    with caplog.at_level(logging.WARNING):
        assert scores_of(again) == expected
    (told,) = (record.getMessage() for record in caplog.records)
    assert told.endswith(f".npz is of other {named}: codes are made anew")
    again.keep()
    assert len(kept(tmp_path)) == 1
    assert subject_of(run).table.known.any()


def test_each_part_and_each_data_set_has_codes_of_its_own(tmp_path: Path) -> None:
    run = Trained(tmp_path)
    for part in ("validation", "train", "all"):
        subject = subject_of(run, part=part)
        scores_of(subject, ["mig"])
        subject.keep()
    assert [file.name.partition("-")[0] for file in kept(tmp_path)] == ["all", "train", "validation"]


def changed(file: Path, **parts: Any) -> None:
    with np.load(file) as content:
        whole = {**content, **parts}
    np.savez(file, **{name: value for name, value in whole.items() if value is not None})


DAMAGES: dict[str, Any] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-90]),
    "empty": lambda file: file.write_bytes(b""),
    "text": lambda file: file.write_text("codes"),
    "objects": lambda file: changed(file, means=np.array([{"a": 1}] * 20, object)),
    "not finite": lambda file: changed(file, means=np.full((20, 5), np.nan, np.float32)),
    "fewer latents": lambda file: changed(file, means=np.zeros((20, 4), np.float32)),
    "rows of no image": lambda file: changed(file, rows=np.arange(1, 21)),
    "rows twice": lambda file: changed(file, rows=np.zeros(20, np.int64)),
    "no mark": lambda file: changed(file, mark=None),
    "a mark that is none": lambda file: changed(file, mark=np.array("[1]")),
    "an archive": lambda file: np.savez(file, x=1),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_file_that_holds_no_codes_is_never_taken_for_some(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    run = Trained(tmp_path)
    found = scores_of(first := subject_of(run))
    first.keep()
    (file,) = kept(tmp_path)
    assert first.table.known.all()
    damage(file)
    with caplog.at_level(logging.WARNING):
        assert scores_of(subject_of(run)) == found
    (told,) = (record.getMessage() for record in caplog.records)
    assert "is no file of codes (" in told
    assert "\n" not in told


def test_posteriors_that_are_not_normal_have_their_means_kept(tmp_path: Path) -> None:
    run = Trained(tmp_path, model_of(GammaSpace(2)))
    found = scores_of(first := subject_of(run))
    assert "posterior_mig" not in found
    first.keep()
    assert scores_of(subject_of(run)) == found


def test_where_codes_cannot_be_kept_a_line_says_so_and_scores_are_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ENCODED).write_text("in the way")
    subject = subject_of(Trained(tmp_path))
    assert scores_of(subject, ["mig"])
    subject.keep()
    assert "codes are not kept: cannot write" in caplog.text


def test_what_is_kept_holds_numbers_alone(tmp_path: Path) -> None:
    scores_of(subject := subject_of(Trained(tmp_path)), ["mig"])
    subject.keep()
    with np.load(io.BytesIO(kept(tmp_path)[0].read_bytes()), allow_pickle=False) as parts:
        assert {name: parts[name].dtype.kind for name in parts} == {
            "mark": "U", "rows": "i", "means": "f", "logvars": "f",
        }  # fmt: skip
