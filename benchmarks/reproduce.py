"""Do the papers' settings give the papers' figures?

    python benchmarks/reproduce.py                                      the table, of what has been run so far
    python benchmarks/reproduce.py burgess2018_dsprites --fraction 0.1  a tenth of the steps, on two cores
    python benchmarks/reproduce.py kim2018_dsprites --seeds 0 1 2       these seeds, all steps: hours on a GPU
    python benchmarks/reproduce.py all                                  every preset as published: days on a GPU

Each run is `vae-train experiment=PRESET seed=N` without pictures, in `--out`; with `--fraction` of its steps, and of
those of its schedules, which then end where they would have. Its last weights are scored by `vae-evaluate part=all`,
for papers score on the whole set. A run that is done is not made again, and one that was stopped goes on. What is found
is kept in benchmarks/papers.json, and the table, benchmarks/papers.md, is made of that: rows that have not been run are
empty. More settings of vae-train are given behind `--`: `-- engine.threads=1`.
"""

import argparse
import json
import shlex
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vae_runner import cli
from vae_runner.bench.worker import config_of
from vae_runner.cli.evaluating import evaluate
from vae_runner.experiment.assemble import build_data

__all__ = ["KEPT", "ROWS", "SCORES", "TABLE", "Finding", "Row", "finding", "known", "settings_of", "table"]

HERE = Path(__file__).parent
KEPT, TABLE = HERE / "papers.json", HERE / "papers.md"
SCORES = ("mig", "factor_vae", "beta_vae", "sap", "rate_distortion")
PLOTS = "in plots alone"


@dataclass(frozen=True)
class Row:
    """A preset, its paper, what that says and where, and what a run of a part of the steps is expected to give."""

    preset: str
    paper: str
    published: str = PLOTS
    expected: str = ""


ROWS = (
    Row("higgins2017_dsprites", "Higgins 2017", "BetaVAE score 99.23 ± 0.1 % (figure 6, left)", "BetaVAE score below"),
    Row("burgess2018_dsprites", "Burgess 2018", "KL 25 nats: C at the end (appendix A)", "KL 25"),
    Row("chen2018_dsprites", "Chen 2018", f"MIG {PLOTS}", "MIG below"),
    Row("kim2018_dsprites", "Kim & Mnih 2018", f"FactorVAE score {PLOTS}", "FactorVAE score below"),
    Row("kim2018_shapes3d", "Kim & Mnih 2018", f"FactorVAE score {PLOTS}", "FactorVAE score below"),
    Row("kumar2018_dsprites_i", "Kumar 2018", "SAP in table 1, which we have not had at hand", "SAP below"),
    Row("kumar2018_dsprites_ii", "Kumar 2018", "SAP in table 1, which we have not had at hand", "SAP below"),
    Row("locatello2019_dsprites", "Locatello 2019", f"distributions over 50 seeds, {PLOTS}", "MIG below"),
    Row("locatello2019_shapes3d", "Locatello 2019", f"distributions over 50 seeds, {PLOTS}", "MIG below"),
)


@dataclass(frozen=True)
class Finding:
    """One run: of how much of the preset's steps, where its images were from, how long it took, and its figures."""

    preset: str
    fraction: float
    seed: int
    steps: int
    hours: float
    device: str
    images: str
    scores: Mapping[str, float]


def settings_of(preset: str, fraction: float, extra: Sequence[str] = ()) -> list[str]:
    """Returns the settings of `vae-train` that make a preset so much shorter: its steps, and those of its schedules."""
    if fraction == 1:
        return []
    config = config_of([f"experiment={preset}", *extra])
    engine = config["engine"]
    steps = engine["steps"]
    if steps is None:
        images = len(build_data(config["dataset"]).train)
        steps = engine["epochs"] * -(-images // engine["batch_size"])
    spans = _spans("divergence", config["divergence"])
    shorter = [f"{name}={round(fraction * count)}" for name, count in spans]
    return [f"engine.steps={round(fraction * steps)}", "engine.epochs=null", *shorter]


def _spans(name: str, node: Any) -> Iterator[tuple[str, int]]:
    """Over how many steps each schedule of a term goes, by the dotted name of that setting."""
    if not isinstance(node, Mapping):
        return
    is_schedule = str(node.get("_target_")).startswith("vae_runner.schedule.")
    if is_schedule and isinstance(node.get("steps"), int):
        yield f"{name}.steps", node["steps"]
    for key, value in node.items():
        yield from _spans(f"{name}.{key}", value)


def reproduce(row: Row, fraction: float, seed: int, out: Path, extra: Sequence[str]) -> Finding:
    """Train, or go on, and score; raises `SystemExit` where that fails."""
    run = out / f"{row.preset}-{fraction:g}-{seed}"
    state = _read(run / "status.json").get("state")
    if state is None:
        settings = [f"experiment={row.preset}", f"seed={seed}", *settings_of(row.preset, fraction, extra), *extra]
        _do("vae-train", cli.run, *settings, "visualisation=[]", "evaluation=none", f"hydra.run.dir={run}")
    elif state != "done":
        _do("vae-train", cli.run, f"resume={run}", *extra)
    _do("vae-evaluate", evaluate.run, str(run), "checkpoint=last", "part=all", f"score=[{','.join(SCORES)}]")
    return finding(row, fraction, seed, run)


def finding(row: Row, fraction: float, seed: int, run: Path) -> Finding:
    """Returns what the folder of a run that was scored says."""
    status, found, about = (_read(run / f"{name}.json") for name in ("status", "evaluation", "environment"))
    scores = {name: float(found[name]["value"]) for name in SCORES}
    scores |= {name: float(found["rate_distortion"]["others"][name]) for name in ("rate", "distortion")}
    hours = float(status["seconds"]) / 3600
    return Finding(row.preset, fraction, seed, status["step"], hours, about["device"], about["data"]["source"], scores)


def _do(program: str, run: Callable[[list[str]], int], *arguments: str) -> None:
    print("$", shlex.join([program, *arguments]), flush=True)
    if code := run(list(arguments)):
        raise SystemExit(code)


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text()) if file.is_file() else {}


def table(findings: Sequence[Finding]) -> str:
    """Returns the rows in Markdown, each preset once for each fraction of its steps that was run, or empty."""
    lines = [
        "| paper | preset | published (where) | ours: BetaVAE score, FactorVAE score, MIG, SAP; reconstruction, KL "
        "| expected of so many steps | seeds | steps | hours of a run |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        own = [one for one in findings if one.preset == row.preset]
        for fraction in sorted({one.fraction for one in own}, reverse=True) or [None]:
            some = [one for one in own if one.fraction == fraction]
            lines.append(f"| {row.paper} | `{row.preset}` | {row.published} | {' | '.join(_cells(row, some))} |")
    return "\n".join(lines)


def _cells(row: Row, some: Sequence[Finding]) -> list[str]:
    if not some:
        return [f"not run: `python benchmarks/reproduce.py {row.preset}` on a GPU", "", "", "", ""]
    scores = ", ".join(
        f"{_mean(some, name):.3f}".removeprefix("0") for name in ("beta_vae", "factor_vae", "mig", "sap")
    )
    nats = ", ".join(f"{_mean(some, name):.1f}" for name in ("distortion", "rate"))
    whole = some[0].fraction == 1
    steps = f"{some[0].steps:,}" + ("" if whole else f" ({100 * some[0].fraction:g}% of them)")
    hours = f"{statistics.mean(one.hours for one in some):.2f}, {some[0].device}, {some[0].images} images"
    expected = "as published" if whole else row.expected
    return [f"{scores}; {nats}", expected, ", ".join(str(one.seed) for one in some), steps, hours]


def _mean(some: Sequence[Finding], name: str) -> float:
    return statistics.mean(one.scores[name] for one in some)


def known() -> list[Finding]:
    """Returns what has been found so far."""
    return [Finding(**one) for one in json.loads(KEPT.read_text())] if KEPT.is_file() else []


def _keep(findings: Sequence[Finding]) -> None:
    KEPT.write_text(json.dumps([asdict(one) for one in findings], indent=1) + "\n")
    head, _, _ = TABLE.read_text().partition("| paper |")
    TABLE.write_text(head + table(findings) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [row.preset for row in ROWS]
    parser.add_argument("presets", nargs="*", metavar="PRESET", help=f"all, or of {', '.join(names)}")
    parser.add_argument("--fraction", type=float, default=1.0, help="of the steps, above 0 and up to 1")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("outputs/papers"))
    own, extra = (sys.argv[1:], []) if "--" not in sys.argv else _parted(sys.argv[1:])
    given = parser.parse_args(own)
    if unknown := [name for name in given.presets if name not in [*names, "all"]]:
        parser.error(f"no preset called {', '.join(unknown)}; there are {', '.join(names)}, and all")
    if not 0 < given.fraction <= 1:
        parser.error(f"--fraction must be above 0 and at most 1, got {given.fraction:g}")
    for row in ROWS:
        for seed in given.seeds if {row.preset, "all"} & set(given.presets) else ():
            found = reproduce(row, given.fraction, seed, given.out, extra)
            mark = (found.preset, found.fraction, found.seed)
            others = [one for one in known() if (one.preset, one.fraction, one.seed) != mark]
            _keep(sorted([*others, found], key=lambda one: (one.preset, -one.fraction, one.seed)))
    _keep(known())
    print(table(known()))


def _parted(arguments: list[str]) -> tuple[list[str], list[str]]:
    place = arguments.index("--")
    return arguments[:place], arguments[place + 1 :]


if __name__ == "__main__":
    main()
