"""Text from strangers on a terminal, in a log, on a page and in a spreadsheet."""

import logging
import os
import subprocess
import unicodedata
from pathlib import Path

import pytest
from tqdm import tqdm

from vae_runner.console import logging_to, warnings_to_stderr
from vae_runner.output import to_stderr, to_stdout
from vae_runner.report.markup import tag
from vae_runner.runs.words import resume_command, shown
from vae_runner.text import cell, one_line, plain

COMMANDS = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cs")]
COMMANDS += [
    chr(code) for code in range(0x110000) if unicodedata.bidirectional(chr(code)) in ("LRE", "RLE", "PDF", "LRO")
]
COMMANDS += [*"\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029\u200b\ufeff"]
FORGED = "a.png\nvae-train: done\r\x1b[2K\x1b]0;title\x07\x9b31m\x85\u2028\u202egnp.exe\x7f\udcff"
log = logging.getLogger("vae_runner.of_this_test")


def test_what_commands_a_terminal_is_seen_and_does_nothing() -> None:
    for command in COMMANDS:
        shown_as = plain(f"a{command}b")
        assert shown_as.isascii(), ascii(command)
        assert shown_as.isprintable()
        assert shown_as[:2] == "a\\"
    ordinary = "Fotos/Zoë 2024 (1).png 日本語 नमस्ते می‌خواهم ½ 🙂 \\x1b 'quoted' \"too\""
    assert plain(ordinary) == ordinary
    assert plain("\udcff") == "\\xff"  # a byte that is no UTF-8
    assert plain("a\tb\nc\x1b", lines=True) == "a\tb\nc\\x1b"


def test_a_long_text_is_shortened_and_says_how_long_it_was() -> None:
    assert plain("ab" * 1_000, 10) == "ababa...babab (2,000 characters)"
    assert len(one_line("\x01" * 100_000)) < 20_000


def test_a_message_is_one_line_on_the_terminal_and_in_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with logging_to(tmp_path / "train.log"):
        log.info("cannot read %s", FORGED)
        try:
            raise OSError(f"2031-01-01 00:00:00,000 INFO done\n2031-01-01 00:00:00,000 INFO done {FORGED}")
        except OSError:
            log.exception("failed: %s", FORGED)
    to_stderr(FORGED)
    to_stdout(FORGED)
    with warnings_to_stderr():
        log.warning("%s", FORGED)
        log.info("not this")
    tqdm.write("")
    output, errors = capsys.readouterr()
    assert len(output.strip().splitlines()) == 2
    assert len(errors.splitlines()) == 2
    written = (tmp_path / "train.log").read_text()
    assert [line[0] for line in written.split("\n")[:-1]].count("2") == 2  # all other lines are set in
    for text in (output, errors, written):
        assert not [character for character in text if character in COMMANDS and character != "\n"]


def test_a_page_shows_commands_as_text() -> None:
    made = tag("p", FORGED, title=FORGED)
    assert not [character for character in made if character in COMMANDS and character != "\n"]
    assert "\\u202egnp.exe" in made


@pytest.mark.parametrize(
    "name", ["plain", "two words", "it's", 'a"b', "a\nb", "\x1b[31m", "\udcff", "\u202eb", "$HOME"]
)
def test_the_command_that_goes_on_with_a_run_is_one_line_that_the_shell_reads_back(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = resume_command(Path(name))
    assert plain(command, 10_000) == command
    assert plain(shown(Path(name))) == shown(Path(name))
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {command.removeprefix('vae-train ')}"], capture_output=True, check=True
    ).stdout
    assert os.fsencode(name).replace(b'"', b'\\"') in words
    assert words.count(b"\0") == 1


@pytest.mark.parametrize(
    "text",
    ["=1+1", "=cmd|'/c calc'!A0", "+SUM(A1)", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "-", "--5", "-x"],
)  # fmt: skip
def test_a_text_that_a_spreadsheet_would_reckon_with_begins_with_a_quote(text: str) -> None:
    assert cell(text) == f"'{plain(text)}"


@pytest.mark.parametrize(
    "value", ["-2", "+3", "-1e-5", "-.5", "1e10", "-inf", "beta", "a=b", "2-1", "", "it's", -5, 2.5, None]
)
def test_numbers_and_other_texts_stay_as_they_are(value: object) -> None:
    assert cell(value) == value
