"""The names of all files of a run and of a sweep, each once.

A run's folder:

    config.yaml         all settings            metrics.jsonl   the log, a record a line
    status.json         what has become of it   epochs.csv      the validations
    environment.json    where it ran, on what   train.log       what was said
    report.html         the page of all that    .hydra/         what was typed, and what Hydra made of it
    explore.html        a page to try the decoder on
    evaluation.json     its scores              .lock           of the process that writes there
    encoded/            codes that scores are of, made once; may be removed
    loggers.json        what was sent elsewhere wandb/          of a logger of that name
    checkpoints/        last, previous, best    tensorboard/    where it is asked for
                        history/ weights of more steps, for an explore.html that compares them
    grids/, animations/ pictures; of each the newest, and in grids/history/ those of every step
"""

from pathlib import Path

__all__ = ["ANIMATIONS", "BEST", "BROKEN", "CHECKPOINTS", "CONFIG", "CONTENT", "ENCODED", "ENVIRONMENT", "EPOCHS"]
__all__ += ["EVALUATION", "EXPLORER", "FOLDERS", "GRIDS", "HISTORY", "INDEX_PAGE", "LAST", "LATEST_RUN"]
__all__ += ["LATEST_SWEEP", "LATEX_TABLE", "LEDGER", "LOCK", "LOG", "LOGGERS", "METRICS", "NOTED_CONFIG"]
__all__ += ["NOTED_HYDRA", "NOTED_SETTINGS", "NOTES", "OF_HYDRAS_SWEEP", "PAGE", "PREVIOUS", "SEEDS_TABLE", "STATUS"]
__all__ += ["STUDY", "SWEEP_LOCK", "SWEEP_PAGE", "SWEEP_TABLE", "TENSORBOARD"]
__all__ += ["checkpoint_file", "contact_sheet_file", "of_step", "page_file"]

CONFIG = "config.yaml"
STATUS = "status.json"
ENVIRONMENT = "environment.json"
METRICS = "metrics.jsonl"
EPOCHS = "epochs.csv"
EVALUATION = "evaluation.json"
LOG = "train.log"
PAGE = "report.html"
EXPLORER = "explore.html"
LOCK = ".lock"  # also of a sweep's page

NOTES = ".hydra"
NOTED_CONFIG, NOTED_HYDRA, NOTED_SETTINGS = "config.yaml", "hydra.yaml", "overrides.yaml"  # in it

CHECKPOINTS = "checkpoints"
LAST, PREVIOUS, BEST = "last.pt", "previous.pt", "best.pt"
BROKEN = "last.broken.pt"  # what was the last one

GRIDS = "grids"
ANIMATIONS = "animations"
ENCODED = "encoded"
HISTORY = "history"  # in each of both, and in CHECKPOINTS
TENSORBOARD = "tensorboard"
LOGGERS = "loggers.json"  # what boards of other makers were sent, and under which names

FOLDERS = (CHECKPOINTS, GRIDS, ANIMATIONS, TENSORBOARD, ENCODED)
OF_LOGGERS = ("wandb",)  # folders that packages of others make there
_REST = (NOTES, LOG, CONFIG, STATUS, ENVIRONMENT, METRICS, EPOCHS, EVALUATION, LOGGERS, PAGE, EXPLORER)
# All that a run writes, besides its lock. What else is in its folder is the user's.
CONTENT = (*_REST, *FOLDERS, *OF_LOGGERS)

# Of a sweep, beside the folders of its runs.
LEDGER = "sweep.json"
SWEEP_PAGE = "sweep.html"
INDEX_PAGE = "index.html"  # of any folder with runs in it that is no sweep
SWEEP_TABLE = "sweep.csv"
SEEDS_TABLE = "sweep-seeds.csv"
LATEX_TABLE = "sweep.tex"
STUDY = "study.db"  # of a search: its trials, as Optuna keeps them
SWEEP_LOCK = ".sweep.lock"  # of who does its jobs
OF_HYDRAS_SWEEP = "multirun.yaml"  # Hydra's own note

LATEST_RUN = Path("outputs", "latest")  # links to the newest ones
LATEST_SWEEP = Path("multirun", "latest")


def checkpoint_file(name: str) -> str:
    """Of the checkpoint that people call last, previous or best."""
    return f"{name}.pt"


def of_step(name: str, step: int) -> str:
    """'traversal-0001000': a picture in the history, without its ending."""
    return f"{name}-{step:07d}"


def page_file(name: str) -> str:
    """Of a picture of that name that is a page: explore.html."""
    return f"{name}.html"


def contact_sheet_file(name: str) -> str:
    """Of a sweep's runs beside each other, as the picture of that name shows them."""
    return f"contact-{name}.png"
