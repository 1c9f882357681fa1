"""The help screen, read off the config folder: its groups, their options and what the first line of each file says."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from vae_runner.errors import UserError
from vae_runner.paths import config_dir

__all__ = ["first_comment", "groups_in", "help_text", "options_of"]

HEAD = """\
vae-train: train a variational auto-encoder, and look at what it learned

usage:  vae-train [GROUP=OPTION ...] [SETTING=VALUE ...]
        vae-train --multirun GROUP=OPTION,OPTION SETTING=VALUE,VALUE ...
        vae-train resume=RUN|SWEEP                         go on; of a sweep, with the jobs that are not done
        vae-redraw RUN ...                                 its pictures again, with other settings; vae-redraw --help
        vae-use VERB RUN ...                               encode, sample, interpolate, export, ...; vae-use --help
        vae-evaluate RUN ...                               its scores: MIG, DCI, log p(x), ...; vae-evaluate --help

examples:
  vae-train                                                dSprites, for 6 minutes on 2 cores with bf16, else 20
  vae-train experiment=smoke                               the same in 1,000 steps: everything once, in a minute
  vae-train dataset=dsprites divergence=beta divergence.beta=8
  vae-train experiment=shapes3d                            solids in a room, six factors in colour
  vae-train dataset=arrays dataset.images=x.npz            an array of your own, .npy, .npz or .h5, with its factors
  vae-train dataset=torchvision dataset.name=MNIST         or another of torchvision's sets
  vae-train schedule@divergence.beta=cyclic divergence.beta.period=1000     a schedule where a number stood
  vae-train --multirun divergence=beta,capacity seed=0,1,2
  vae-train --multirun seed=0,1,2,3 jobs=auto              several of them at once, as many as there are cores
  vae-train --multirun trials=20 'optimizer.lr=interval(1e-4,1e-2)'        a search: 20 runs, chosen as it goes
  torchrun --nproc-per-node=2 -m vae_runner SETTING=VALUE  one run on two devices (docs/devices.md)
  vae-train resume=outputs/latest                          go on, where a run was stopped
  vae-train init_from=outputs/latest divergence.beta=8     a new run that begins with the weights of that one
  vae-train dataset=folder dataset.root=DIR                your own images: a folder or a zip
  vae-data check dataset=folder dataset.root=DIR           look at them first
  vae-train dataset=torch dataset.dataset._target_=own.Set any data set of torch, torchvision, or your own.py
"""
TAIL = """\
options:
  --help              this screen
  --help TOPIC ...    every setting of a GROUP or GROUP=OPTION, of engine, or a setting: --help divergence=capacity
  --version           the version
  --cfg job           print the whole config instead of training; every line of it is a setting
  --multirun, -m      one run for each combination of the values given with commas
  jobs=N|auto         of --multirun and resume=SWEEP: so many runs at once, each in a process of its own; 1 by default
  trials=N            of --multirun: a search of so many runs, chosen as it goes; resume=SWEEP trials=N goes on to N
  --config-dir DIR    a folder with options of your own: DIR/dataset/mine.yaml is dataset=mine; modules may lie in it
  --info, --hydra-help, --shell-completion, ...            Hydra's own; see --hydra-help

tab completion:  eval "$(vae-train --shell-completion install=bash)"     (or zsh, fish)

Results go to outputs/DATE/TIME-.../ with outputs/latest pointing to the newest: report.html, grids/, checkpoints/.
Those of --multirun go to multirun/DATE/TIME-.../ (multirun/latest): sweep.html, sweep*.csv, contact-*.png, one folder
for each run. vae-report FOLDER makes the pages anew, of one run or of any set of runs; see vae-report --help.
Exit codes: 0 done, 1 failed, 2 a mistake in the request, 130 Ctrl-C, 143 SIGTERM, 138 SIGUSR1, 129 SIGHUP (a terminal
that is closed), 141 nobody reads what is printed (training goes on)."""


def help_text(own: Path | None = None) -> str:
    """The whole screen; with the options in the user's `own` folder."""
    if own and not os.path.isdir(own):
        raise UserError(f"--config-dir {own}: no such folder")
    folders = [config_dir(), *([own] if own else [])]
    defaults = (config_dir() / "train.yaml").read_text()
    groups = [_group(folders, group, defaults) for group in sorted(set().union(*map(groups_in, folders)))]
    settings = ["\nsettings of the run:", *_roots(defaults)]
    settings += [
        line
        for node, of in (("engine", "the engine"), ("evaluation", "what a run scores of itself"))
        for line in (f"\nsettings of {of}:", *_settings(defaults, node))
    ]
    return "\n".join([HEAD, "groups (* is the default):", *groups, *settings, "", TAIL])


def groups_in(folder: Path) -> set[str]:
    """Every folder with options in it, as a path from the config folder."""
    return {path.parent.relative_to(folder).as_posix() for path in folder.rglob("*.yaml")} - {"."}


def _group(folders: Sequence[Path], group: str, defaults: str) -> str:
    chosen = re.search(rf"^  - {re.escape(group)}: (.*)$", defaults, re.M)
    chosen_names = set(re.findall(r"\w+", chosen[1])) if chosen else set()
    lines = [f"  {group}"]
    for file in options_of(folders, group).values():
        mark = "*" if file.stem in chosen_names else " "
        lines.append(f"   {mark}{file.stem:<22} {first_comment(file)}")
    return "\n".join(lines)


def options_of(folders: Sequence[Path], group: str) -> dict[str, Path]:
    """The file of each option of a group, by its name; a later folder's hides an earlier one's."""
    files = {file.stem: file for folder in folders for file in (folder / group).glob("*.yaml") if file.is_file()}
    return dict(sorted(files.items()))


def first_comment(file: Path) -> str:
    """What the first line of a config file says of it."""
    comments = (line[1:].strip() for line in file.read_text(errors="replace").splitlines() if line.startswith("#"))
    return next((comment for comment in comments if not comment.startswith("@package")), "")


def _roots(defaults: str) -> list[str]:
    """The lines of the settings that stand in no node."""
    rows = re.findall(r"^(\w+): (\S.*?)  # (.*)$", defaults, re.M)
    return [f"  {f'{key}={value}':<32} {meaning}" for key, value, meaning in rows]


def _settings(defaults: str, name: str) -> list[str]:
    """The lines of a node: setting, default, meaning."""
    node = re.split(rf"\n{name}:.*\n", defaults, maxsplit=1)[1].split("\n\n", 1)[0]
    rows = re.findall(r"^  (\w+): (.*?)(?:  # (.*))?$", node, re.M)
    return [f"  {f'{name}.{key}={value}':<32} {meaning}".rstrip() for key, value, meaning in rows]
