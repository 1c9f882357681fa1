"""Sets of torchvision, from small files of their published formats, written by hand, by pickle and by SciPy."""

import gzip
import hashlib
import pickle
import struct
import sys
import urllib.error
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
import torchvision.datasets

from vae_runner.datasets import SplitConfig, TorchvisionImages, split
from vae_runner.engine import Engine
from vae_runner.errors import UserError

TRAIN, TEST = 60, 20
DRAW = np.random.default_rng(0)
LABELS = {count: DRAW.permutation(np.arange(count) % 10) for count in (TRAIN, TEST)}
GRAY = {count: DRAW.integers(0, 256, (count, 28, 28), dtype=np.uint8) for count in (TRAIN, TEST)}
COLOUR = {count: DRAW.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8) for count in (TRAIN, TEST)}


def idx(array: np.ndarray) -> bytes:
    """The format of LeCun: two zeros, a type, the number of axes, their sizes, high bytes first."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_mnist(root: Path, name: str = "MNIST", stems: tuple[str, str] = ("train", "t10k")) -> Path:
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    for stem, count in zip(stems, (TRAIN, TEST), strict=True):
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(idx(GRAY[count]))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(idx(LABELS[count]))
    return folder


def test_a_torchvision_of_another_torch_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Broken:
        def find_spec(self, name: str, path: object, target: object = None) -> None:
            if name == "torchvision":
                raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UserError) as caught:
        TorchvisionImages(tmp_path, "MNIST")
    assert str(caught.value) == (
        "torchvision does not go with this torch (operator torchvision::nms does not exist): "
        "install both anew, together"
    )


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = [f"data_batch_{number}" for number in range(1, 6)]
    for name, rows in zip(names, np.split(np.arange(TRAIN), 5), strict=True):
        entry = {"data": COLOUR[TRAIN][rows].reshape(len(rows), -1), "labels": LABELS[TRAIN][rows].tolist()}
        (folder / name).write_bytes(pickle.dumps(entry))
    entry = {"data": COLOUR[TEST].reshape(TEST, -1), "labels": LABELS[TEST].tolist()}
    (folder / "test_batch").write_bytes(pickle.dumps(entry))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["airplane", *"bcdefghij"]}))
    cifar = torchvision.datasets.CIFAR10  # the checksums are those of these files
    monkeypatch.setattr(cifar, "train_list", [[name, md5(folder / name)] for name in names])
    monkeypatch.setattr(cifar, "test_list", [["test_batch", md5(folder / "test_batch")]])
    monkeypatch.setattr(cifar, "meta", {**cifar.meta, "md5": md5(folder / "batches.meta")})
    return folder


def write_svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir(parents=True, exist_ok=True)
    files = dict(torchvision.datasets.SVHN.split_list)
    for part, count in (("train", TRAIN), ("test", TEST)):
        path = root / f"{part}_32x32.mat"
        labels = np.where(LABELS[count] == 0, 10, LABELS[count])[:, None]  # the digit 0 has the label 10
        scipy.io.savemat(path, {"X": COLOUR[count].transpose(2, 3, 1, 0), "y": labels})
        files[part] = [files[part][0], path.name, md5(path)]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", files)


def check(data: TorchvisionImages, pixels: dict[int, np.ndarray]) -> None:
    every = torch.arange(TRAIN + TEST)
    expected = torch.from_numpy(np.concatenate([pixels[TRAIN], pixels[TEST]]))
    expected = expected[:, None] if expected.dim() == 3 else expected
    assert torch.equal(data.gather(every), expected / 255)
    assert data.image_shape == expected.shape[1:]
    assert data.factors(every)["class"].tolist() == [*LABELS[TRAIN], *LABELS[TEST]]
    train, held, test = split(data, SplitConfig(validation=3, test=None))
    assert sorted([*train.indices.tolist(), *held.indices.tolist()]) == [*range(TRAIN)]
    assert (len(held), test.indices.tolist()) == (3, [*range(TRAIN, TRAIN + TEST)])
    assert data.factors(torch.tensor(data.showcase()))["class"].tolist() == [*range(8)]


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_files_of_lecun_s_format_are_read_with_their_own_split_and_class(tmp_path: Path, name: str) -> None:
    write_mnist(tmp_path, name)
    data = TorchvisionImages(tmp_path, name)
    check(data, GRAY)
    assert data.factor_classes["class"] == tuple(getattr(torchvision.datasets, name).classes)


def test_emnist_is_read_upright_in_the_part_that_is_asked_for(tmp_path: Path) -> None:
    write_mnist(tmp_path, "EMNIST", ("emnist-digits-train", "emnist-digits-test"))
    data = TorchvisionImages(tmp_path, "EMNIST", part="digits")
    check(data, {count: images.transpose(0, 2, 1) for count, images in GRAY.items()})
    with pytest.raises(UserError, match="emnist-balanced-train-images-idx3-ubyte"):
        TorchvisionImages(tmp_path, "EMNIST")


def test_cifar10_and_svhn_are_read_in_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar(tmp_path, monkeypatch)
    write_svhn(tmp_path, monkeypatch)
    cifar = TorchvisionImages(tmp_path, "CIFAR10")
    check(cifar, COLOUR)
    assert cifar.factor_classes["class"][0] == "airplane"
    check(TorchvisionImages(tmp_path, "SVHN"), COLOUR)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("MNIST", "MNIST/raw/ with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, "
                  "t10k-labels-idx1-ubyte, unpacked,"),
        ("CIFAR10", "cifar-10-batches-py, unpacked,"),
        ("SVHN", "train_32x32.mat and test_32x32.mat"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_and_nothing_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, files: str
) -> None:
    monkeypatch.setattr("urllib.request.urlopen", None)
    with pytest.raises(UserError) as caught:
        TorchvisionImages(tmp_path, name)
    assert str(caught.value) == (
        f"no {name}, or a damaged one, in dataset.root={tmp_path}: put {files} there, or set dataset.download=true"
    )
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_fetched_are_told_of_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **settings: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refused)
    for name in ("MNIST", "EMNIST", "CIFAR10", "SVHN"):
        with pytest.raises(UserError, match=rf"cannot fetch {name} \(.*\): put .* by hand") as caught:
            TorchvisionImages(tmp_path, name, download=True)
        assert "\n" not in str(caught.value)


def test_files_that_are_there_are_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", None)
    write_mnist(tmp_path)
    assert len(TorchvisionImages(tmp_path, "MNIST", download=True)) == TRAIN + TEST


def test_without_scipy_the_line_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_svhn(tmp_path, monkeypatch)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(UserError, match=r"SVHN is read by SciPy: pip install 'vae_runner\[mat\]'"):
        TorchvisionImages(tmp_path, "SVHN")


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def zipped(content: bytes) -> bytes:
    return gzip.compress(content)


def emptied(content: bytes) -> bytes:
    return b""


def without_images(content: bytes) -> bytes:
    return idx(np.zeros((0, 28, 28)))


@pytest.mark.parametrize("damaged", [cut, zipped, emptied, without_images])
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_damaged_files_are_told_of_in_a_line(tmp_path: Path, damaged: Callable, file: str) -> None:
    path = write_mnist(tmp_path) / file
    path.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(UserError, match="MNIST in dataset.root=.*(is damaged|do not go with)") as caught:  # noqa: RUF043
        TorchvisionImages(tmp_path, "MNIST")
    assert "\n" not in str(caught.value)


def test_a_file_of_another_checksum_is_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_cifar(tmp_path, monkeypatch)
    (folder / "data_batch_3").write_bytes(pickle.dumps(Path("/")))
    with pytest.raises(UserError, match="no CIFAR10, or a damaged one"):
        TorchvisionImages(tmp_path, "CIFAR10")


def test_processed_files_of_old_versions_are_not_unpickled(tmp_path: Path) -> None:
    (tmp_path / "MNIST" / "processed").mkdir(parents=True)
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(3, 28, 28, dtype=torch.uint8), torch.zeros(3)), tmp_path / "MNIST/processed" / name)
    with pytest.raises(UserError, match="no MNIST"):
        TorchvisionImages(tmp_path, "MNIST")


def test_other_labels_are_another_set(tmp_path: Path) -> None:
    folder = write_mnist(tmp_path)
    first = TorchvisionImages(tmp_path, "MNIST").fingerprint()
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[TRAIN][::-1]))
    assert TorchvisionImages(tmp_path, "MNIST").fingerprint() != first


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"name": "ImageNet"}, "dataset.name must be one of MNIST, FashionMNIST, KMNIST, EMNIST, CIFAR10, SVHN"),
        ({"name": "MNIST", "part": "digits"}, "dataset.part=digits is a setting of dataset.name=EMNIST: leave it out"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, settings: dict, line: str) -> None:
    with pytest.raises(UserError, match=line):
        TorchvisionImages(tmp_path, **settings)


@pytest.mark.slow
def test_a_run_trains_on_the_training_images_and_draws_the_classes(
    experiment: Callable[..., Engine], tmp_path: Path
) -> None:
    write_mnist(tmp_path)
    pictures = "visualisation=[data,reconstruction,traversal,scatter,factors]"
    chosen = ["dataset=torchvision", "dataset.name=MNIST", f"dataset.root={tmp_path}"]
    engine = experiment(*chosen, pictures, "visualisation.scatter.colour=class", folder=tmp_path / "run")
    engine.run()
    assert (len(engine.train) + len(engine.validation), len(engine.test)) == (TRAIN, TEST)
    assert len(engine.validation) == round(0.1 * TRAIN)
    assert len(list((tmp_path / "run").glob("grids/*.png"))) == 5
