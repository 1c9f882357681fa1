"""A log that grows while it is looked at: each line is read once, and what is returned is what a new reading finds."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from vae_runner.foreign import number
from vae_runner.report.run.findings import findings
from vae_runner.report.run.sections import sections
from vae_runner.runs.growing import growing_log
from vae_runner.runs.growing.growing_log import read_log
from vae_runner.runs.growing.record_table import Table
from vae_runner.runs.read import read_run

KINDS = ("train", "validation", "test", "turn", "scores")


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    growing_log._readings.clear()


def naive(file: Path) -> dict[str, list[dict[str, Any]]]:
    """What is in the log, by a loop over its lines."""
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for line in file.read_bytes().decode("utf-8", "replace").split("\n"):
        try:
            record = json.loads(line)
            found[record["split"]].append({**record, "step": int(record["step"])})
        except (ValueError, KeyError, TypeError):
            continue
    return {kind: sorted(records, key=lambda record: record["step"]) for kind, records in found.items()}


def alike(one: Any, other: Any) -> bool:
    """Equal, of the same types and in the same order; nan is nan."""
    return json.dumps(one) == json.dumps(other)


def assert_read(file: Path) -> None:
    log, wanted = read_log(file), naive(file)
    for kind in KINDS:
        assert alike(list(log.of(kind)), wanted[kind])
        assert alike(log.of(kind)[-1:], wanted[kind][-1:])
        assert [record["step"] for record in reversed(log.of(kind))] == [r["step"] for r in reversed(wanted[kind])]


def record(step: int, kind: str = "train", **values: Any) -> str:
    return json.dumps({"step": step, "split": kind, "loss": step / 7, "kl_dims": [0.5, step / 3], **values}) + "\n"


ODD = [
    {"rate": 1.5},
    {"rate": 3},
    {"rate": 1 << 70},
    {"rate": None},
    {"loss": math.nan},
    {"kl_dims": [1, 2.5]},
    {"kl_dims": []},
    {"kl_dims": [math.inf, 0.5]},
    {"loss": "a word", "rate": True},
    {"rate": {"of": [1.0]}},
]


def test_what_is_read_on_is_what_a_first_reading_finds(tmp_path: Path) -> None:
    file, draw = tmp_path / "metrics.jsonl", random.Random(0)
    step = 0
    for _ in range(60):
        with file.open("a") as log:
            for _ in range(draw.randrange(4)):
                step += draw.choice((0, 1, 5))
                log.write(record(step, draw.choice(KINDS), **draw.choice([{}, {}, *ODD])))
            log.write(draw.choice(("", "", "", "no record\n", "\n", record(max(step - 2, 0)), '{"step": -1}\n')))
        assert_read(file)


CHANGES = {
    "grows": lambda text: text + record(9),
    "half a line": lambda text: text + record(9)[:20],
    "a line without its end": lambda text: text + record(9).rstrip("\n"),
    "is cut": lambda text: "".join(text.splitlines(keepends=True)[:3]),
    "is cut and grows beyond": lambda text: "".join(text.splitlines(keepends=True)[:3]) + 5 * record(4, more=1.5),
    "one digit in the middle": lambda text: text.replace('"step": 3', '"step": 2'),
    "is empty": lambda text: "",
    "a byte that is no text": lambda text: text + "\udcff\n" + record(9),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@pytest.mark.parametrize("is_new", [False, True], ids=["in place", "another file"])
def test_a_log_that_is_another_one_is_read_anew(tmp_path: Path, change: Any, is_new: bool) -> None:
    file = tmp_path / "metrics.jsonl"
    text = "".join(record(step) for step in range(6))
    file.write_text(text)
    assert_read(file)
    before = read_log(file).of("train")
    other = tmp_path / "other" if is_new else file
    other.write_bytes(change(text).encode("utf-8", "surrogateescape"))
    other.replace(file)
    assert_read(file)
    assert_read(file)
    assert alike(list(before), [json.loads(line) for line in text.splitlines()])  # it is what it was
    with file.open("a") as log:
        log.write("\n" + record(10))
    assert_read(file)


def test_each_line_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = growing_log.json_object
    monkeypatch.setattr(growing_log, "json_object", lambda line: read.append(line) or original(line))
    file = tmp_path / "metrics.jsonl"
    for step in range(5):
        with file.open("a") as log:
            log.write(record(step))
        read_log(file)
    assert [json.loads(line)["step"] for line in read if line] == [0, 1, 2, 3, 4]


def test_of_many_logs_those_that_were_read_last_are_remembered(tmp_path: Path) -> None:
    for number_ in range(3 * growing_log.MOST):
        file = tmp_path / f"{number_}.jsonl"
        file.write_text(record(number_))
        assert_read(file)
    assert len(growing_log._readings) == growing_log.MOST


def test_points_and_what_is_not_finite_are_those_of_the_records() -> None:
    draw, table, records = random.Random(1), Table(), []
    for step in range(300):
        one = json.loads(
            record(step, **{"rate": step / 3, **draw.choice([{}, {}, {}, *ODD, {"loss": 1e-200}, {"loss": 1e200}])})
        )
        if draw.random() < 0.3:
            del one["rate"]
        table.add(one)
        records.append(one)
        seen = table.records()
        if step % 37 and step < 290:
            continue
        for name in ("loss", "rate", "kl_dims", "step", "nothing"):
            wanted = [(r["step"], value) for r in records if (value := number(r.get(name))) is not None]
            assert alike(seen.points(name), wanted)
        odd = [r for r in records if not all(map(math.isfinite, figures(r)))]
        assert alike(seen.wrong(), odd)
    assert seen == records
    assert seen != records[:-1]


def figures(one: dict[str, Any]) -> list[float]:
    values = [value for each in one.values() for value in (each if isinstance(each, list) else [each])]
    return [found for value in values if (found := number(value)) is not None]


def test_a_page_that_is_read_on_is_the_page_of_a_first_reading(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    for step in range(1, 40):
        speed = {"images_per_second": 100.0 + step} if step > 1 else {}
        kind = "validation" if step % 7 == 0 else "train"
        wrong = {"recon": math.nan if step == 20 else step / 3}
        with file.open("a") as log:
            log.write(record(step, kind, neg_elbo=300.0 - step, beta=step / 40, lr=0.1, **speed, **wrong))
        grown = sections(read_run(tmp_path))
        growing_log._readings.clear()
        assert grown == sections(read_run(tmp_path))
    assert "recon" in " ".join(finding.text for finding in findings(read_run(tmp_path)))
