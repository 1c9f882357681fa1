"""`vae-evaluate`: the scores of saved runs, written into each run's folder and printed.

Exit codes: 0 done, 1 failed, for a run at least, 2 a mistake in the request, 141 nobody reads what is printed.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae_runner.cli import exit_code_of
from vae_runner.cli.few_settings import about_dashes, meant, value_behind
from vae_runner.errors import UserError
from vae_runner.runs.names import CONFIG
from vae_runner.runs.score_names import parted
from vae_runner.text import plain

if TYPE_CHECKING:
    from vae_runner.experiment.scoring.subject import Settings

__all__ = ["main", "run"]

HELP = """\
vae-evaluate: score what saved runs have learned, without training

usage:  vae-evaluate RUN|SWEEP|FOLDER ... [score=[NAME,...]] [checkpoint=best|last|previous]
                     [part=test|validation|train|all] [codes=mean|sample] [samples=N] [k=N] [seed=N] [jobs=N]
                     [dataset.root=DIR] [engine.device=auto|cpu|cuda] [trust=true] [rank=SCORE]
                     [evaluation.inception=FILE]
                     [dataset=OTHER [dataset.SETTING=VALUE ...] [--config-dir DIR]]

examples:
  vae-evaluate outputs/latest                             all scores but those that take minutes
  vae-evaluate outputs/latest score=[mig,dci] jobs=2
  vae-evaluate multirun/latest score=[mig,udr]            each run of a sweep; udr compares those of other seeds
  vae-evaluate multirun/latest score=[mig,udr] rank=mig   and sweep.html with the best by MIG first
  vae-evaluate outputs/latest score=log_px k=5000 samples=1000

Scores that need the factors of the images, and scikit-learn (pip install 'vae_runner[evaluate]'):
  mig rmig mig_sup posterior_mig dci dci_forest dci_linear sap sap_continuous factor_vae beta_vae modularity
  explicitness irs infomec
and those that need none: total_correlation wasserstein shared_information active_units rate_distortion log_px
  reconstruction prior_match udr udr_spearman
and those of samples of the prior by a network of features, which evaluation.inception names: fid precision recall
docs/evaluation.md says what each is, and whose. dci takes minutes, and is made where it is named.

Each run gets evaluation.json: a score's value, its parts by factor and by latent, and how it was made; scores that it
had and that are not made now stay. What cannot be made is named in a line. Pages are made anew: report.html of the
runs, sweep.html of the folders that have several.
  part       the images that are scored: test, which nothing was chosen by, and by default where the run has such;
             validation, with the lowest -ELBO on which best.pt was chosen; train; or all of the data set
  codes      of an image: the mean of its posterior, or a sample of it
  samples    draws of images, 10000; half as many more where others are judged on
  k          samples of each image by which log p(x) is estimated, 64
  dataset    another data set than the run's own, of images of the same shape: its scores stand beside the others, by
             the names SCORE@OTHER. Its settings are those of vae-train
  evaluation.inception   weights of torchvision's inception_v3, or a TorchScript module that gives features
  jobs       processes for the trees of dci; by default one for each core
Exit codes: 0 done, 1 a run could not be scored, 2 a mistake in the request, 141 nobody reads what is printed."""
WHOLE = ("samples", "k", "seed", "jobs")
CHOICES = {
    "checkpoint": ("best", "last", "previous"),
    "part": ("test", "validation", "train", "all"),
    "codes": ("mean", "sample"),
    "engine.device": ("auto", "cpu", "cuda"),
    "trust": ("true", "false"),
}
ROOT, INCEPTION = "dataset.root", "evaluation.inception"
KNOWN = ("score", *CHOICES, *WHOLE, "dataset", ROOT, INCEPTION, "rank")


@dataclass
class Wish:
    """What is to be scored, and how."""

    folders: list[Path]
    given: dict[str, str] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)  # what is said of another data set

    @property
    def scores(self) -> list[str] | None:
        text = self.given.get("score")
        return None if text is None else [name.strip() for name in text.strip("[]").split(",") if name.strip()]

    def settings(self) -> "Settings":
        """Raises `UserError` for a number out of its range."""
        from vae_runner.experiment.scoring.subject import Settings

        numbers: dict[str, Any] = {name: int(self.given[name]) for name in WHOLE if name in self.given}
        texts: dict[str, Any] = {name: self.given[name] for name in ("part", "codes") if name in self.given}
        texts["inception"] = self.given.get(INCEPTION)
        try:
            return Settings(**texts, **numbers)
        except ValueError as error:
            raise UserError(str(error).removeprefix("Settings: ")) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says, and exit."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Do what the command line says; returns the exit code. HYDRA_FULL_ERROR=1 in the environment shows tracebacks."""
    return exit_code_of("vae-evaluate", lambda: _command(arguments))


def _command(arguments: list[str]) -> int:
    if {"--help", "-h"} & set(arguments):
        print(HELP)
        return 0
    if "--version" in arguments:
        from vae_runner import __version__

        print(f"vae-evaluate {__version__}")
        return 0
    return _evaluate(_wish(arguments))


def _wish(arguments: list[str]) -> Wish:
    """Take the command line apart. Raises `UserError` with a line for each mistake."""
    wish, problems = Wish([]), []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.partition("=")
        if name == "--config-dir":
            wish.data.append(argument if equals or not rest else f"{name}={rest.pop(0)}")
        elif argument.startswith("-"):
            problems.append(about_dashes(name, value_behind(argument, rest, KNOWN), KNOWN, "vae-evaluate"))
        elif not equals or Path(argument).is_dir():
            wish.folders.append(Path(argument))
        elif name == "dataset" or name.startswith("dataset."):
            wish.data.append(argument)
        elif name not in KNOWN:
            problems.append(
                f"{plain(name)} cannot be set: a run is scored as it is ({', '.join(KNOWN)}).{meant(name, KNOWN)}"
            )
        elif name in wish.given:
            problems.append(f"{name} is given twice")
        elif fault := _fault(name, value):
            problems.append(f"{name}: {fault}, got {plain(value)!r}")
        else:
            wish.given[name] = value.lower() if name in CHOICES else value
    problems += _of_own_data(wish)
    if not wish.folders:
        problems.append("which runs? vae-evaluate outputs/latest; --help says more")
    missing = [folder for folder in wish.folders if not folder.is_dir()]
    if missing:
        from vae_runner.runs.read import such_as

        problems += [f"no folder {plain(folder)}; give that of a run{such_as(folder)}" for folder in missing]
    if problems:
        raise UserError("\n".join(problems))
    return wish


def _of_own_data(wish: Wish) -> list[str]:
    """Take what is said of the run's own data, its root, where no other is named; what is wrong with it."""
    named = [one.partition("=")[2] for one in wish.data if one.startswith("dataset=")]
    if len(named) > 1 or any("," in one for one in named):
        return [f"dataset takes one data set, got {plain(', '.join(named))}"]
    if named:
        return []
    problems = []
    for one in wish.data:
        name, _, value = one.partition("=")
        if name != ROOT:
            problems.append(f"{plain(name)} is for another data set; name it: dataset=OPTION")
        elif not value:
            problems.append(f"{ROOT}: expected a folder, got ''")
        else:
            wish.given[ROOT] = value
    wish.data = []
    return problems


def _fault(name: str, value: str) -> str | None:
    if name in CHOICES and value.lower() not in CHOICES[name]:
        return f"expected one of {', '.join(CHOICES[name])}"
    if name == INCEPTION and not Path(value).is_file():
        return "expected a file"
    if name in WHOLE and not value.removeprefix("-").isdecimal():
        return "expected a whole number"
    return None


def _runs(folders: Sequence[Path]) -> list[Path]:
    """The folders of the runs, each once. Raises `UserError` where a folder has none."""
    from vae_runner.runs.read import find_runs

    found: dict[Path, Path] = {}
    for folder in folders:
        runs = [run for run in find_runs(folder) if (run / CONFIG).is_file()]
        if not runs:
            raise UserError(f"no runs in {plain(folder)}: none of its folders has a {CONFIG}")
        found.update({run.resolve(): run for run in runs if run.resolve() not in found})
    return list(found.values())


def _evaluate(wish: Wish) -> int:
    runs = _runs(wish.folders)
    from vae_runner.cli.evaluating.other_option import other_data
    from vae_runner.cli.evaluating.scored_runs import Loading, score_runs
    from vae_runner.cli.process.own_share import own_share
    from vae_runner.console import warnings_to_stderr
    from vae_runner.engine import choose_device
    from vae_runner.experiment.scoring.evaluation import known_scores

    names, settings = known_scores(wish.scores, INCEPTION in wish.given), wish.settings()
    rank = wish.given.get("rank")
    if rank is not None:
        _check_rank(rank, wish.folders)
    device = wish.given.get("engine.device", "auto")
    choose_device(device)
    if wish.scores is None and len(runs) > 1:
        names = (*names, "udr")
    trust = wish.given.get("trust") == "true"
    with own_share(), warnings_to_stderr():
        other = other_data(wish.data, device) if wish.data else None
        loading = Loading(wish.given.get("checkpoint"), device, trust, wish.given.get(ROOT), other)
        code = score_runs(runs, names, settings, loading)
    _set_side_by_side(wish.folders, rank)
    return code


def _check_rank(name: str, folders: Sequence[Path]) -> None:
    """Raises `UserError` for a name that is no score, and where there are no runs to be ranked."""
    from vae_runner.experiment.scoring.evaluation import known_scores
    from vae_runner.runs.read import is_run

    try:
        known_scores([parted(name)[0]])
    except UserError as error:
        raise UserError(f"rank={plain(name)}: {error}") from error
    if all(map(is_run, folders)):
        raise UserError(f"rank={plain(name)} is for folders of several runs")


def _set_side_by_side(folders: Sequence[Path], rank: str | None) -> None:
    """Make the pages of sweeps anew, which are the folders that have several runs."""
    from vae_runner.report.sweep import write_sweep
    from vae_runner.runs.read import is_run

    for folder in folders:
        if not is_run(folder):
            write_sweep(folder, rank=rank)


if __name__ == "__main__":
    main()
