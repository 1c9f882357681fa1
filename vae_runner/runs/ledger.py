"""The jobs of a sweep as they were asked for: `sweep.json`, written before the first of them starts.

What has become of a job is never written here but read from its folder, so that no kill can make the two disagree: a
job that is in the list and has no folder is missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from vae_runner.files import read_json, write_json
from vae_runner.foreign import dig, read_yaml
from vae_runner.runs.names import LEDGER, NOTED_HYDRA, NOTES

__all__ = ["Ledger", "job_number", "read_ledger", "write_ledger"]


@dataclass(frozen=True)
class Ledger:
    """What a sweep was asked to do.

    command      what the user typed
    suffix       the random part of the jobs' folder names
    flags        Hydra's flags, such as --config-dir DIR
    hydra        settings of Hydra's own, such as hydra/launcher=joblib
    jobs         the settings of each job; its number is its place
    changes      settings that were changed for all jobs when the sweep was resumed, by dotted name
    search       of a search: the settings that its jobs are made of, as they were typed
    objective    of a search: what it is by, neg_elbo or the name of a score
    """

    command: str
    suffix: str
    flags: Sequence[str] = ()
    hydra: Sequence[str] = ()
    jobs: Sequence[Sequence[str]] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    search: Sequence[str] = ()
    objective: str = ""

    @property
    def is_search(self) -> bool:
        """Whether the jobs are chosen as it goes, and there may be none yet."""
        return bool(self.search)

    def typed(self, number: int) -> dict[str, str]:
        """The settings of one job by name, as they were typed."""
        pairs = (text.lstrip("+~").partition("=") for text in self.jobs[number])
        return {name: value for name, _, value in pairs}

    @property
    def swept(self) -> list[str]:
        """The names of the settings in which the jobs differ."""
        typed = [self.typed(number) for number in range(len(self.jobs))]
        names = dict.fromkeys(name for one in typed for name in one)
        return [name for name in names if len({one.get(name) for one in typed}) > 1]


def write_ledger(folder: Path, ledger: Ledger) -> None:
    """Write it into the sweep's folder, whole or not at all."""
    write_json(folder / LEDGER, asdict(ledger))


def read_ledger(folder: Path) -> Ledger | None:
    """Returns what the sweep in the folder was asked to do; None where there is no such list, or none that is whole."""
    content = read_json(folder / LEDGER)
    flags, hydra, search = content.get("flags"), content.get("hydra"), content.get("search", [])
    jobs = [] if search and content.get("jobs") == [] else _list(content.get("jobs"))
    command, suffix = content.get("command"), content.get("suffix")
    if not (isinstance(command, str) and isinstance(suffix, str)):
        return None
    if not (_is_list_of_text(flags) and _is_list_of_text(hydra) and all(map(_is_list_of_text, [search, *jobs]))):
        return None
    changes = content.get("changes")
    objective = content.get("objective")
    return Ledger(
        command,
        suffix,
        flags,
        hydra,
        jobs,
        changes if isinstance(changes, dict) else {},
        tuple(search),
        objective if isinstance(objective, str) else "",
    )


def job_number(folder: Path) -> int | None:
    """Which of its sweep's jobs the run in the folder is; None where Hydra has not written so."""
    number = dig(read_yaml(folder / NOTES / NOTED_HYDRA), "hydra", "job", "num")
    return number if type(number) is int else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) and value else [None]


def _is_list_of_text(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
