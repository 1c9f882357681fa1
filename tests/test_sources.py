"""Docstrings and comments name a paper so that a reader finds it."""

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vae_runner"
FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = r"(?<!\w)[A-Z][a-z]\w*(?:-[A-Z]\w+)?(?:(?:, [A-Z][\w-]+)* & [A-Z]\w+| et al\.)?"
SOURCE = re.compile(rf"{NAMES}\s\(?(?:19|20)\d\d(?![-.\d])")
PLACES = ("arXiv", "ICML", "ICLR", "JMLR", "SIGGRAPH", "Press", "Birkhauser", "Oliver & Boyd", "Statistician", '"')
NO_SOURCES = {"April 2017"}  # a date


def sources_without_place(text: str) -> list[str]:
    """Of each source that is named, the first mention, where neither an id, a place nor a title stands behind it."""
    text = re.sub(r"\s+(?:# )?", " ", text)
    found = {match[0]: text[match.end() :][:90] for match in reversed(list(SOURCE.finditer(text)))}
    return [name for name, behind in found.items() if not any(place in behind for place in PLACES)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_source_has_its_arxiv_id_or_its_place_where_a_module_first_names_it(file: Path) -> None:
    assert set(sources_without_place(file.read_text())) <= NO_SOURCES


def test_a_source_without_a_place_is_found() -> None:
    assert sources_without_place("as of Kingma & Welling 2014, and no more") == ["Kingma & Welling 2014"]
    assert sources_without_place("Fu et al.\n    2019, arXiv 1903.10145; and again Fu et al. 2019") == []
