"""MLflow by its own package, to the server that MLFLOW_TRACKING_URI names, else to files in `mlruns` of the working
folder, which `mlflow ui` shows. MLFLOW_EXPERIMENT_NAME names the experiment.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vae_runner.callbacks.loggers.board import Board

__all__ = ["MlflowBoard"]

AT_ONCE = 100  # settings that the store takes in one call
ALLOWED = "MLFLOW_ALLOW_FILE_STORE"
LONGEST = 500  # characters of a setting


@contextlib.contextmanager
def _files_allowed() -> Iterator[None]:
    """Newer versions want to be told that files are meant, in the environment, which is left as it was."""
    before = os.environ.get(ALLOWED)
    os.environ[ALLOWED] = "true"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(ALLOWED, None)
        else:
            os.environ[ALLOWED] = before


class MlflowBoard(Board):
    """A run there, with the settings as its parameters."""

    kind: ClassVar[str] = "mlflow"

    def open(self, noted: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
        where = noted.get("uri") or os.environ.get("MLFLOW_TRACKING_URI") or Path("mlruns").resolve().as_uri()
        with _files_allowed():
            self.client = self.package.MlflowClient(tracking_uri=where)
            self.client.search_experiments(max_results=1)  # the store is made at the first call
        if noted.get("id"):
            self.run_id = noted["id"]
            self.client.update_run(self.run_id, status="RUNNING")
            return dict(noted)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "vae_runner")
        experiment = self.client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else self.client.create_experiment(name)
        self.run_id = self.client.create_run(number, run_name=self.folder.resolve().name).info.run_id
        known = [self.package.entities.Param(key, str(value)[:LONGEST]) for key, value in settings.items()]
        for start in range(0, len(known), AT_ONCE):
            self.client.log_batch(self.run_id, params=known[start : start + AT_ONCE])
        return {"id": self.run_id, "uri": where}

    def figures(self, values: Mapping[str, float], step: int) -> None:
        now, metric = round(time.time() * 1000), self.package.entities.Metric
        self.client.log_batch(self.run_id, metrics=[metric(key, value, now, step) for key, value in values.items()])

    def picture(self, name: str, pixels: np.ndarray, step: int) -> None:
        self.client.log_image(self.run_id, pixels, key=name, step=step)

    def finish(self) -> None:
        self.client.set_terminated(self.run_id)
