"""Terms that the command line adds to a set of them, `divergence=sum` or one of the user's own.

    +divergence@divergence.NAME=OPTION    adds the option under that name
    divergence@divergence.NAME=OPTION     puts it where the set has a term of that name already
    ~divergence@divergence.NAME           leaves that term out

Hydra does so; here is what it says of mistakes, in the words of terms.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from vae_runner.errors import UserError

__all__ = ["adds_term", "check_added", "in_words"]

GROUP = "divergence"
TERM = rf"{GROUP}@({GROUP}\.[\w.]+)"
WORDS = (
    (
        rf"Could not override '{TERM}'",
        "there is no term {0} to replace; " + f"with a +, +{GROUP}@" + "{0}=OPTION, it is added to a set",
    ),
    (rf"Could not delete '{TERM}", "there is no term {0} to leave out"),
    (
        rf"(?:Multiple values for )?{TERM}(?:\.| appears more than once)",
        "{0} is chosen twice; "
        + f"{GROUP}@"
        + "{0}=OPTION, without +, replaces it, and a further term has another name",
    ),
)


def adds_term(override: Override) -> bool:
    """Whether the choice adds a term to a set."""
    return override.key_or_group == GROUP and override.is_add() and str(override.package).startswith(f"{GROUP}.")


def in_words(line: str) -> str:
    """What Hydra says of the choice of a term, said so that it can be mended; any other line as it is."""
    for pattern, words in WORDS:
        if found := re.match(pattern, line):
            return words.format(found[1].rstrip("."))
    return line


def check_added(cfg: DictConfig, arguments: Iterable[str]) -> None:
    """Raise `UserError` where a term is added to what is one term, and no set."""
    for argument in arguments:
        if found := re.match(rf"\+{TERM}=", argument):
            outer = found[1].rpartition(".")[0]
            node: Any = OmegaConf.select(cfg, outer)
            if isinstance(node, Mapping) and "_target_" in node:
                raise UserError(f"{argument} is added to {outer}, which is one term; {GROUP}=sum is a set of them")
