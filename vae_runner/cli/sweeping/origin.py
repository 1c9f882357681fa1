"""What a sweep's list may ask of Hydra without being trusted: the list may be from anywhere, and so is `resume=SWEEP`.

Hydra runs what some of its settings name: callbacks, a search path of configs, variables of the environment, log
handlers. Others only say what folders are called, or choose one of the options that are installed here.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from vae_runner.cli.arguments import read_arguments
from vae_runner.errors import UserError
from vae_runner.runs.ledger import Ledger
from vae_runner.runs.words import shown

__all__ = ["check_origin", "is_launchers"]

NAMES = ("hydra.sweep.subdir", "hydra.run.dir", "hydra.job.name", "hydra.job.chdir", "hydra.output_subdir")
NAMES += ("hydra.verbose", "hydra.sweeper.max_batch_size")
PREFIXES = ("hydra.job.config.override_dirname.", "hydra.sweeper.params.")
OPTION = re.compile(r"hydra/\w+(/\w+)*=\w+")  # hydra/job_logging=none
# ${hydra:job.num}, ${now:%H-%M}, ${seed} and the suffix of the folders: all that a name may look up.
LOOKED_UP = re.compile(r"\$\{(hydra:[\w./]+|now:[^${}]*|[\w./]+|oc\.env:VAE_RUN_SUFFIX(,\w*)?)\}")


def check_origin(ledger: Ledger, given: Mapping[str, str | None], own: Sequence[str], file: Path) -> None:
    """Raises `UserError` where the list in `file` names folders of options that are not `given` again by a flag, or
    more of Hydra than names: what these name would be run. `own` are its settings of Hydra that count.
    """
    for flag, value in read_arguments(ledger.flags).flags.items():
        if flag != "--multirun" and given.get(flag) != value:
            raise UserError(f"{shown(file)} gives {flag} {value}; trust=true takes it, or give it again")
    foreign = [text for text in own if not _is_harmless(text.lstrip("+"))]
    foreign += [text for text in chain(*ledger.jobs) if text.lstrip("+~").startswith("hydra")]
    if foreign:
        raise UserError(f"{shown(file)} gives {foreign[0]}; trust=true takes it")


def is_launchers(setting: str) -> bool:
    """Whether a setting says where a sweep's jobs run, and not what they are."""
    return setting.lstrip("+~").startswith(("hydra/launcher", "hydra.launcher"))


def _is_harmless(setting: str) -> bool:
    name, _, value = setting.partition("=")
    if "${" in LOOKED_UP.sub("", value):
        return False
    return is_launchers(setting) or name in NAMES or name.startswith(PREFIXES) or bool(OPTION.fullmatch(setting))
