"""The examples of docs/ and README run as they are printed."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = [
    (file.relative_to(ROOT).as_posix(), block)
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for block in re.findall(r"```python\n(.*?)```", file.read_text(), re.S)
]
SHORTER = [("EngineConfig(steps=10_000)", "EngineConfig(steps=4, batch_size=8)"), ("validation=2000", "validation=20")]


@pytest.mark.slow
@pytest.mark.parametrize(("file", "block"), [block for block in BLOCKS if "outputs/latest" not in block[1]])
def test_examples_run(
    file: str, block: str, cache: Path, inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    for long, short in SHORTER:
        block = block.replace(long, short)
    exec(compile(block, file, "exec"), {})  # the project's own documentation
    if "Pictures(" in block:
        assert (inside / "grids/traversal.png").is_file()
        assert "neg_elbo" in capsys.readouterr().out


@pytest.mark.slow
def test_a_term_of_ones_own_trains_as_it_is_printed(cache: Path, inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "library.md").read_text().split("### A term of the loss")[1]
    files = re.findall(r"`((?:\w+/)*\w+\.(?:py|yaml))`:\n\n```\w+\n(.*?)```", text, re.S)
    assert [name for name, _ in files] == ["own_terms.py", "mine/divergence/centred.yaml"]
    for name, content in files:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content)
    path, program, *arguments = shlex.split(re.search(r"^\$ (.*)$", text, re.M)[1])
    assert (path, program) == ("PYTHONPATH=.", "vae-train")
    short = ["dataset.limit=300", "dataset.validation=50", "engine.steps=12", "engine.device=cpu", "architecture=mlp"]
    short += ["visualisation=[schedule,curves]", "engine.log_every=4", "dataset.source=render", "engine.threads=1"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("PYTHONPATH", f".:{ROOT}")
    command = [sys.executable, "-m", "vae_runner", *arguments, *short, "hydra.run.dir=run"]
    subprocess.run(command, check=True, capture_output=True)
    records = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    figures = {"divergence", "beta"}
    names = {f"{term}/{figure}" for term in ("kl", "centred", "critic") for figure in figures}
    last = [record for record in records if record["split"] == "train"][-1]
    assert last.keys() >= {*names, "critic/tc", "critic/d_loss", "kl", "kl_dims", "recon"}
    assert last["centred/beta"] == 10
    page = Path("run/report.html").read_text()
    assert "Weighted term centred" in page


def test_the_example_by_hand_is_short() -> None:
    (block,) = [block for file, block in BLOCKS if file == "docs/library.md" and "Engine(" in block]
    code = [line for line in block.splitlines() if line and not line.startswith(("import", "from"))]
    assert len(code) <= 20
