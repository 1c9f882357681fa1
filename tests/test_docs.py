"""The examples of docs/ and README run as they are printed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = [
    (file.relative_to(ROOT).as_posix(), block)
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for block in re.findall(r"```python\n(.*?)```", file.read_text(), re.S)
]
SHORTER = [("EngineConfig(steps=10_000)", "EngineConfig(steps=4, batch_size=8)"), ("validation=2000", "validation=20")]


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


def test_the_example_by_hand_is_short() -> None:
    (block,) = [block for file, block in BLOCKS if file == "docs/library.md" and "Engine(" in block]
    code = [line for line in block.splitlines() if line and not line.startswith(("import", "from"))]
    assert len(code) <= 20
