"""Parts of a user's own: found where README says, and data sets made from the docs alone."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from vae_runner.cli.arguments import read_arguments
from vae_runner.datasets import SplitConfig, TorchImages, dSprites, split
from vae_runner.datasets.completion import CompletedImages, completed
from vae_runner.datasets.factors import Factor, FactoredImages, FactorGrid
from vae_runner.errors import UserError
from vae_runner.experiment.saved_run.resume import needs_trust
from vae_runner.paths import make_importable
from vae_runner.signature import locate

DOCS = Path(__file__).parent.parent / "docs/library.md"
ENCODER = """
from torch import nn

from own_widths import WIDTH


class Encoder(nn.Sequential):
    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        channels, height, width = image_shape
        super().__init__(nn.Flatten(), nn.Linear(channels * height * width, WIDTH))
        self.num_features = WIDTH
"""
SMALL = ("engine.steps=4", "engine.batch_size=16", "engine.device=cpu", "engine.threads=1", "visualisation=[samples]")


class Least:
    """What a data set has to have, and no more."""

    def __init__(self, count: int = 300) -> None:
        self.images = torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.images)

    def gather(self, indices: Tensor) -> Tensor:
        return self.images[indices]


def test_two_methods_make_a_data_set() -> None:
    train, held, _ = split(Least(), SplitConfig(validation=100))  # type: ignore[arg-type]
    assert (len(train), len(held)) == (200, 100)
    data = train.data
    assert data.image_shape == (1, 16, 16)
    assert data.showcase() == [0, 100, 199, 299]
    assert data.provenance == {"source": "Least", "class": "test_own.Least"}
    assert torch.equal(train.batch(torch.tensor([3])), Least().images[train.indices[3]][None])


def test_the_mark_of_a_data_set_changes_with_its_images_and_with_their_number() -> None:
    marks = {completed(Least()).fingerprint(), completed(Least(299)).fingerprint()}
    brighter = Least()
    brighter.images[150] = brighter.images[150] / 2  # few are hashed, and each of 256 steps goes past two of 300
    brighter.images[151] = brighter.images[151] / 2
    marks |= {completed(brighter).fingerprint(), completed(Least()).fingerprint()}
    assert len(marks) == 3


def test_what_a_data_set_has_of_its_own_counts() -> None:
    class Known(Least):
        image_shape = torch.Size([1, 16, 16])
        provenance: ClassVar[dict[str, Any]] = {"pixels": 256}

        def showcase(self) -> Tensor:
            return torch.tensor([5])

        def fingerprint(self) -> str:
            return "mine"

        def factors(self, indices: Tensor) -> dict[str, Tensor]:
            return {"index": indices}

        def to(self, device: object) -> "Known":
            return Known(7)

    data = completed(Known())
    assert isinstance(data, CompletedImages)
    assert (data.image_shape, data.showcase(), data.fingerprint()) == ((1, 16, 16), [5], "mine")
    assert data.provenance == {"source": "Known", "class": data.provenance["class"], "pixels": 256}
    assert torch.equal(data.factors(torch.arange(3))["index"], torch.arange(3))
    assert len(data.to("cpu")) == 7  # one that returns another, as tensors do, is gone on with
    assert completed(Least()).factors(torch.arange(3)) == {}


GRID = FactorGrid([Factor("row", (0, 1, 2), is_category=True, labels=("a", "b", "c")), Factor("place", (0, 1))])


class Gridded(Least, FactoredImages):
    """Every combination of a row and a place."""

    grid = GRID

    def __init__(self, count: int = 6) -> None:
        super().__init__(count)


class Listed(Gridded):
    """Two of them, the last one first."""

    listed = torch.tensor([5, 2])

    def __init__(self) -> None:
        super().__init__(2)


@pytest.mark.parametrize(("data", "indices"), [(Gridded(), [0, 1, 2, 3, 4, 5]), (Listed(), [5, 2])])
def test_the_factors_of_a_set_of_ones_own_are_those_of_its_grid(data: Gridded, indices: list[int]) -> None:
    train, held, _ = split(data, SplitConfig(validation=1))  # type: ignore[arg-type]
    known, every = train.data, torch.arange(len(data))
    assert known.grid is GRID
    assert known.grid_indices(every).tolist() == indices
    assert known.factors(every)["row"].tolist() == [index // 2 for index in indices]
    assert known.factors(every)["place"].tolist() == [index % 2 for index in indices]
    assert known.factor_classes == {"row": ("a", "b", "c")}
    assert torch.equal(known.images(torch.tensor(indices)), known.gather(every))
    assert len(held) == 1


def test_a_set_without_a_grid_keeps_its_attributes_under_the_names_of_the_contract() -> None:
    data = Least()
    assert completed(data).images is data.images


def test_a_grid_alone_says_what_pictures_read() -> None:
    data = Least(6)
    data.grid = GRID  # type: ignore[attr-defined]
    assert completed(data).factors(torch.tensor([5]))["place"].tolist() == [1.0]
    assert completed(Least()).grid is None
    assert completed(Least()).factor_classes == {}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"grid": [3, 2]}, r"grid must be a FactorGrid, got \[3, 2\]"),
        ({}, "grid must be a FactorGrid, and is missing"),
        ({"grid": GRID}, "grid has 6 combinations, and the set 300 images: listed, .* says which"),
        ({"grid": GRID, "listed": torch.arange(6)}, "listed must be the index in the grid of each of its 300 images"),
        ({"grid": GRID, "listed": torch.arange(300)}, "listed must be from 0 to 5, got 0 to 299"),
    ],
)
def test_a_grid_that_the_images_cannot_be_of_is_refused(members: dict[str, Any], message: str) -> None:
    kind = type("Wrong", (Least, FactoredImages), members)
    with pytest.raises(UserError, match=f"Wrong: {message}"):
        completed(kind())


def test_the_abilities_of_a_set_of_ones_own_are_used() -> None:
    expected: list[int] = []

    class Able(Least):
        on_host = True

        def own_split(self) -> tuple[Tensor, Tensor]:
            return torch.tensor([4, 1]), torch.tensor([3])

        def limited(self, count: int, seed: int) -> "Able":
            return Able(count)

        def expect(self, indices: Tensor) -> None:
            expected.extend(indices.tolist())

    train, held, _ = split(Able(), SplitConfig(limit=5))  # type: ignore[arg-type]
    assert (train.indices.tolist(), held.indices.tolist(), len(train.data)) == ([1, 4], [3], 5)
    train.expect(torch.tensor([1, 0]))
    assert expected == [4, 1]
    assert (train.data.on_host, completed(Least()).reads_ahead) == (True, False)
    assert completed(Least()).own_split() is None


def test_a_complete_set_is_taken_as_it_is(cache: Path) -> None:
    sprites = dSprites(root=None, source="render", cache_dir=cache)
    assert completed(sprites) is sprites


def test_a_set_of_items_is_taken_as_by_dataset_torch() -> None:
    data = completed([torch.rand(1, 4, 4)])
    assert isinstance(data, TorchImages)


def test_all_that_is_missing_or_of_another_kind_is_told_at_once() -> None:
    class Wrong:
        image_shape = (16, 16)
        provenance = None
        to = 3

        def showcase(self) -> list[int]:
            return []

    with pytest.raises(UserError) as told:
        completed(Wrong())
    lines = str(told.value).splitlines()
    assert len(lines) == 4
    assert re.search(r"Wrong lacks __len__\(\), .*; and gather\(indices\), .* docs/library.md", lines[0])
    assert [line.partition("Wrong: ")[2] for line in lines[1:]] == [
        "to must be a method, got int",
        "image_shape must be (channels, height, width), got (16, 16)",
        "provenance must be a dict of numbers, texts and lists, got None",
    ]


def test_images_whose_channels_come_last_are_not_taken_for_many_channels() -> None:
    data = Least()
    data.images = data.images.permute(0, 2, 3, 1)
    with pytest.raises(UserError, match=r"gives \(1, 16, 16, 1\) by gather for one image, .* x.permute\(0, 3, 1, 2\)"):
        print(completed(data).image_shape)


def test_what_environment_json_cannot_hold_is_refused() -> None:
    data = Least()
    data.provenance = {"folder": Path("x")}  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"provenance must be a dict of numbers, texts and lists, got .'folder': "):
        completed(data)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (([0, 1], [1, 2]), "own_split gives an image twice"),
        (([0, 1], None, [1]), "own_split gives an image twice"),
        (([0], [1], [2], [3]), "own_split gives 4 parts, expected training, validation and test images"),
        (([0, 1], [300]), "own_split has indices from 0 to 300, of 300 images"),
    ],
)
def test_a_split_of_one_s_own_is_one(own: Any, words: str) -> None:
    data = Least()
    data.own_split = lambda: own  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=words):
        split(data, SplitConfig())  # type: ignore[arg-type]


def test_an_installed_module_comes_before_a_user_s_file_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "colorsys.py").write_text("class Encoder: pass\n")
    make_importable(tmp_path)
    make_importable(tmp_path)
    assert sys.path[-1] == str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1
    with pytest.raises(ImportError, match=r"colorsys \(.*lib.*colorsys.py\) has no Encoder"):
        locate("colorsys.Encoder")


@pytest.mark.parametrize(
    ("arguments", "folders"),
    [
        (["--config-dir", "mine", "seed=1"], ["mine", "."]),
        (["dataset=torch", "dataset.dataset._target_=own.Scans"], ["."]),
        (["seed=1"], []),
    ],
)
def test_modules_are_looked_for_where_the_user_names_a_part(arguments: list[str], folders: list[str]) -> None:
    assert [os.path.relpath(path) for path in read_arguments(arguments).own_folders] == folders


def test_the_settings_of_a_torch_data_set_need_no_plus() -> None:
    request = read_arguments(["dataset.dataset.root=~/x y", "dataset.root=a", "++dataset.dataset.b=1"])
    assert request.overrides == ['++dataset.dataset.root="~/x y"', "dataset.root=a", "++dataset.dataset.b=1"]


@pytest.mark.parametrize(("target", "wanted"), [("own.Encoder", True), ("vae_runner.architectures.ConvEncoder", False)])
def test_a_run_with_parts_of_one_s_own_is_gone_on_with_by_trust(tmp_path: Path, target: str, wanted: bool) -> None:
    (tmp_path / "config.yaml").write_text(f"architecture:\n  encoder:\n    _target_: {target}\n")
    assert needs_trust(tmp_path) is wanted


@pytest.fixture
def alone(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """alone(program, *arguments, folder=tmp_path) -> what it did, as from a shell without PYTHONPATH."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(program: str, *arguments: str, folder: Path = tmp_path) -> subprocess.CompletedProcess[str]:
        command = [Path(sys.executable).parent / program, *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)

    return run


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The folder of options, with a module of the user's that imports another one, and the docs' data set."""
    for group in ("architecture/encoder", "dataset"):
        (tmp_path / "mine" / group).mkdir(parents=True)
    (tmp_path / "mine/architecture/encoder/own.yaml").write_text("_target_: own.Encoder\n")
    (tmp_path / "mine/own_widths.py").write_text("WIDTH = 8\n")
    (block,) = re.findall(r"```python\n(import torch\n\n\nclass Scans.*?)```", DOCS.read_text(), re.S)
    (tmp_path / "mine/own.py").write_text(block + ENCODER)
    option = re.search(r"class Scans:  # mine/dataset/scans.yaml: \{(.*)\}", block)
    assert option
    (tmp_path / "mine/dataset/scans.yaml").write_text(option[1].replace(", ", "\n") + "\n")
    torch.save((torch.rand(60, 1, 64, 64) * 255).byte(), tmp_path / "scans.pt")
    return tmp_path / "mine"


OWN = ("--config-dir", "mine", "architecture/encoder=own", "dataset=scans", *SMALL)


@pytest.mark.slow
def test_parts_in_the_folder_of_options_train_and_are_found_again_from_anywhere(
    mine: Path, alone: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = alone("vae-train", *OWN, "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    assert "data  scans (Scans) 48 training + 6 validation + 6 test images 1x64x64" in done.stdout
    checked = alone("vae-data", "check", "--config-dir", "mine", "dataset=scans")
    assert checked.stdout.startswith("images      60 (Scans), 1x64x64\nvalues      0 to "), checked.stderr
    assert alone("vae-train", "resume=run", "engine.steps=6").returncode == 2
    again = alone("vae-train", "resume=run", "engine.steps=6", "trust=true")
    assert again.returncode == 0, again.stderr
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/scans.pt").symlink_to(tmp_path / "scans.pt")
    drawn = alone("vae-redraw", str(tmp_path / "run"), "trust=true", folder=tmp_path / "elsewhere")
    assert drawn.stdout.endswith("samples.png\n"), drawn.stderr
    code = f"import vae_runner; print(vae_runner.load({str(tmp_path / 'run')!r}, trust=True).sample(2).shape)"
    loaded = alone("python", "-c", code, folder=tmp_path / "elsewhere")
    assert loaded.stdout == "torch.Size([2, 1, 64, 64])\n", loaded.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher", [[], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]], ids=["basic", "joblib"]
)
def test_parts_in_the_working_folder_train_in_sweeps(
    mine: Path, alone: Callable[..., subprocess.CompletedProcess[str]], launcher: list[str]
) -> None:
    if launcher:
        pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    for name in ("own.py", "own_widths.py"):
        (mine / name).rename(mine.parent / name)
    done = alone("vae-train", "--multirun", *OWN, "seed=0,1", *launcher)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 jobs done" in done.stdout


@pytest.mark.slow
def test_a_torch_data_set_in_the_working_folder_needs_no_folder_of_options(
    alone: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(
        "import torch\n\n\nclass Items:\n    def __init__(self, count: int) -> None:\n        self.count = count\n\n"
        "    def __len__(self) -> int:\n        return self.count\n\n"
        "    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:\n"
        "        if index >= self.count:\n            raise IndexError(index)\n"
        "        return torch.rand(1, 16, 16), index\n"
    )
    chosen = ("dataset=torch", "dataset.dataset._target_=own.Items", *SMALL)
    done = alone("vae-train", *chosen, "dataset.dataset.count=40", "hydra.run.dir=run", "dataset.workers=2")
    assert done.returncode == 0, done.stderr
    assert "data  torch (Items) 32 training + 4 validation + 4 test images 1x16x16" in done.stdout
    again = alone("vae-train", "resume=run", "engine.steps=6", "trust=true", "dataset.workers=0")
    assert again.returncode == 0, again.stderr
    wrong = alone("vae-train", *chosen, "dataset.dataset.cuont=40")
    assert wrong.stderr.splitlines() == [
        "vae-train: error: no setting called 'dataset.dataset.cuont'. Did you mean dataset.dataset.count?",
        "vae-train: error: dataset.dataset.count is missing; set dataset.dataset.count=...",
    ]
