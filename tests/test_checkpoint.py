import random
import zipfile
from pathlib import Path

import pytest
import torch

from vae_runner.checkpoint import BrokenCheckpointError, load_checkpoint, load_latest, save_checkpoint, save_latest
from vae_runner.errors import UserError

CONTENT = {"step": 3, "weights": torch.arange(5.0), "nested": {"list": [1, None, "a", 2.5]}}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", CONTENT)
    loaded = load_checkpoint(tmp_path / "a.pt")
    assert loaded["nested"] == CONTENT["nested"]
    assert torch.equal(loaded["weights"], CONTENT["weights"])


def test_a_checkpoint_is_an_ordinary_torch_file(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", CONTENT)
    assert torch.load(tmp_path / "a.pt", weights_only=True)["step"] == 3
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        assert archive.testzip() is None


def test_a_flipped_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    save_checkpoint(file, CONTENT)
    data = file.read_bytes()
    generator = random.Random(0)
    for _ in range(100):
        position = generator.randrange(len(data))
        broken = bytearray(data)
        broken[position] ^= 1 << generator.randrange(8)
        file.write_bytes(broken)
        with pytest.raises(BrokenCheckpointError):
            load_checkpoint(file)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "a.pt"
    save_checkpoint(file, CONTENT)
    data = file.read_bytes()
    for length in [*range(0, len(data), 97), len(data) - 1]:
        file.write_bytes(data[:length])
        with pytest.raises(BrokenCheckpointError):
            load_checkpoint(file)


def test_a_broken_last_falls_back_to_previous(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_latest(tmp_path, {"step": 4000})
    save_latest(tmp_path, {"step": 5000})
    assert load_latest(tmp_path)["step"] == 5000
    (tmp_path / "last.pt").write_bytes(b"nonsense")
    assert load_latest(tmp_path)["step"] == 4000
    save_latest(tmp_path, {"step": 6000})  # must not put the broken file in the place of the whole one
    assert load_checkpoint(tmp_path / "previous.pt")["step"] == 4000
    assert load_checkpoint(tmp_path / "last.pt")["step"] == 6000
    assert (tmp_path / "last.broken.pt").read_bytes() == b"nonsense"
    assert "last.pt is not a complete checkpoint; going on from previous.pt (step 4,000)" in caplog.text


def test_without_a_whole_checkpoint_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"last\.pt does not exist, and there is no complete previous\.pt"):
        load_latest(tmp_path)


def test_no_code_in_a_checkpoint_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    save_checkpoint(tmp_path / "a.pt", {"trap": Trap()})
    with pytest.raises(UserError, match=r"a\.pt holds more than numbers, texts and tensors, and is not read"):
        load_checkpoint(tmp_path / "a.pt")
    assert not (tmp_path / "ran").exists()
