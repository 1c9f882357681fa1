"""Changed folders of runs: none of them ends a report, or the comparison of which it is a part."""

import csv
import re
import shutil
from pathlib import Path

import pytest
from odd import changed_folder
from photos import write_photos

from vae_runner import cli
from vae_runner.cli import report

SAMPLE = 10  # folders in one test
SMALL = ["architecture=mlp", "dataset.image_size=16", "dataset.validation=4", "engine.steps=6", "engine.batch_size=4"]
SMALL += [
    "engine.device=cpu",
    "engine.precision=fp32",
    "engine.progress=false",
    "engine.log_every=1",
    "engine.threads=1",
]
SMALL += ["engine.validate_every=2", "engine.picture_every=3", "visualisation=[traversal,samples,kl,curves,animation]"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of two runs, of which every part is the package's own."""
    base = tmp_path_factory.mktemp("sweep")
    photos = write_photos(base / "photos", 16)
    arguments = ["-m", "seed=1,2", "dataset=folder", f"dataset.root={photos}", f"dataset.cache_dir={base}", *SMALL]
    assert cli.run([*arguments, f"hydra.sweep.dir={base / 'sweep'}"]) == 0
    return base / "sweep"


@pytest.mark.slow
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.exhaustive) for part in range(1, 20))])
def test_a_changed_run_is_a_row_and_a_page(
    sweep: Path, part: int, inside: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told = []
    for seed in range(SAMPLE * part, SAMPLE * (part + 1)):
        shutil.copytree(sweep, inside / "odd")
        run, other = sorted(path.parent for path in (inside / "odd").rglob("status.json"))
        done = changed_folder(run, seed)
        capfd.readouterr()
        codes = [report.run([name]) for name in ("odd", str(run.relative_to(inside)))]
        _, errors = capfd.readouterr()
        rows = list(csv.DictReader((inside / "odd/sweep.csv").read_text().splitlines()))
        names = [row["name"] for row in rows]
        if codes != [0, 0] or errors or other.name not in names or run.name not in names:
            told.append((seed, done, codes, names, errors[-500:]))
        elif next(row for row in rows if row["name"] == other.name)["status"] != "done":
            told.append((seed, done, rows))
        for page in (inside / "odd/sweep.html", run / "report.html"):
            if found := re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page.read_text()):
                told.append((seed, done, page.name, ascii(found[0])))
        shutil.rmtree(inside / "odd")
    assert told == []
