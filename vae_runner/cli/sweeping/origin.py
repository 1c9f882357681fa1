"""What a sweep's list may ask of Hydra without being trusted: the list may be from anywhere, and so is `resume=SWEEP`.

Hydra runs what some of its settings name: callbacks, a search path of configs, variables of the environment, log
handlers. Others only say what folders are called, or choose one of the options that are installed here.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import chain, islice
from pathlib import Path

from vae_runner.cli.arguments import read_arguments
from vae_runner.errors import UserError
from vae_runner.experiment.saved_run.resume import needs_trust
from vae_runner.runs.ledger import Ledger, read_ledger
from vae_runner.runs.names import LEDGER
from vae_runner.runs.read import find_runs
from vae_runner.runs.words import resume_command, shown

__all__ = ["check_origin", "go_on_command", "is_launchers", "is_replaced"]

NAMES: tuple[str, ...] = (
    "hydra.sweep.subdir",
    "hydra.run.dir",
    "hydra.job.name",
    "hydra.job.chdir",
    "hydra.output_subdir",
)
NAMES += ("hydra.verbose", "hydra.sweeper.max_batch_size")
NAMES += tuple(f"hydra.sweeper.{name}" for name in ("n_trials", "objective", "sampler", "seed", "n_jobs"))
PREFIXES = ("hydra.job.config.override_dirname.", "hydra.sweeper.params.")
OPTION = re.compile(r"hydra/\w+(/\w+)*=\w+")  # hydra/job_logging=none
# ${hydra:job.num}, ${now:%H-%M}, ${seed} and the suffix of the folders: all that a name may look up.
LOOKED_UP = re.compile(r"\$\{(hydra:[\w./]+|now:[^${}]*|[\w./]+|oc\.env:VAE_RUN_SUFFIX(,\w*)?)\}")
MANY = 100  # runs of a sweep whose parts are looked at


def check_origin(ledger: Ledger, given: Mapping[str, str | None], own: Sequence[str], file: Path) -> None:
    """Raises `UserError` where the list in `file` names folders of options that are not `given` again by a flag, or
    more of Hydra than names: what these name would be run. `own` are its settings of Hydra that count.
    """
    for flag, value in read_arguments(ledger.flags).flags.items():
        if flag != "--multirun" and given.get(flag) != value:
            raise UserError(f"{shown(file)} gives {flag} {value}; trust=true takes it, or give it again")
    foreign = [text for text in own if not _is_harmless(text.lstrip("+"))]
    foreign += [text for text in chain(*ledger.jobs, ledger.search) if text.lstrip("+~").startswith("hydra")]
    if foreign:
        raise UserError(f"{shown(file)} gives {foreign[0]}; trust=true takes it")


def go_on_command(folder: Path) -> str:
    """What to type to go on with one's own run or sweep in the folder, with the trust that it takes."""
    ledger = read_ledger(folder)
    trust = any(map(needs_trust, islice(find_runs(folder), MANY)))
    if ledger is not None:
        try:
            check_origin(ledger, {}, [text for text in ledger.hydra if not is_replaced(text)], folder / LEDGER)
        except UserError:
            trust = True
    return resume_command(folder, "trust=true" if trust else "")


def is_replaced(setting: str) -> bool:
    """Whether a setting of Hydra's says where the sweep was, or that it is one."""
    return setting.lstrip("+").partition("=")[0] in ("hydra.sweep.dir", "hydra.mode")


def is_launchers(setting: str) -> bool:
    """Whether a setting says where a sweep's jobs run, and not what they are."""
    return setting.lstrip("+~").startswith(("hydra/launcher", "hydra.launcher"))


def _is_harmless(setting: str) -> bool:
    name, _, value = setting.partition("=")
    if "${" in LOOKED_UP.sub("", value):
        return False
    return is_launchers(setting) or name in NAMES or name.startswith(PREFIXES) or bool(OPTION.fullmatch(setting))
