"""The calls that fill an MLflow store. Everything here runs on the tracking thread."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.tracking import purity
from bench.tracking.location import Location

ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow's own patience with a dead server is 7 retries of 120 seconds.
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
FILES = ("config.json", "metrics.json", "history.csv", "model.pt", "traceback.txt")
LOCK_SECONDS = 60.0
METRICS_PER_CALL = 800  # MLflow takes 1000 metrics, parameters and tags together,
OTHERS_PER_CALL = 100  # of which at most 100 parameters and 100 tags


@dataclass(frozen=True)
class Point:
    """One metric: MLflow keeps the time in milliseconds."""

    key: str
    value: float
    step: int
    milliseconds: int


def points(values: Mapping[str, float | None], step: int = 0) -> list[Point]:
    """The finite ones of ``values``, as of now."""
    now = time.time_ns() // 1_000_000
    return [
        Point(key, float(value), step, now)
        for key, value in values.items()
        if value is not None and math.isfinite(value)
    ]


class Session:
    """An open MLflow store and the experiment that runs go to.

    Args:
        location: the store.
        experiment: created where it does not exist.

    Raises:
        Exception: whatever MLflow, its database or the file system has to say.
    """

    def __init__(self, location: Location, experiment: str) -> None:
        _quieten()
        from filelock import FileLock

        self._charts = purity.Charts()
        self.lock: AbstractContextManager[Any] = nullcontext()
        if location.file is not None:
            # SQLite refuses a writer at once where waiting could deadlock, and two processes that
            # migrate one store corrupt it: so processes take turns.
            location.file.parent.mkdir(parents=True, exist_ok=True)
            lock = location.file.with_name(f"{location.file.name}.lock")
            self.lock = FileLock(str(lock), timeout=LOCK_SECONDS, poll_interval=0.01)
        with self.lock:
            self.client = _client(location)
            self.experiment = self._experiment(experiment, location.artifacts)

    def _experiment(self, name: str, artifacts: str | None) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(self.client.create_experiment(name, artifact_location=artifacts))

    def create(
        self, name: str, params: Mapping[str, Any], tags: Mapping[str, str], parent: str | None
    ) -> str:
        """Start a run, the child of ``parent`` if there is one; returns its id."""
        marks = {"mlflow.source.name": "bench", "mlflow.source.type": "LOCAL"}
        if parent is not None:
            marks["mlflow.parentRunId"] = parent
        if commit := tags.get("git_commit"):
            marks["mlflow.source.git.commit"] = commit
        run = self.client.create_run(
            self.experiment,
            tags=marks | {key: str(value) for key, value in tags.items()},
            run_name=name,
        )
        self.log(run.info.run_id, params=params)
        return str(run.info.run_id)

    def log(
        self,
        run: str,
        metrics: Sequence[Point] = (),
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Metrics, parameters and tags in as few calls as MLflow's limits allow."""
        from mlflow.entities import Metric, Param, RunTag

        some = [(k, v) for k, v in (params or {}).items() if v is not None]
        rows = [Metric(m.key, m.value, m.milliseconds, m.step) for m in metrics]
        entries = [Param(key, str(value)) for key, value in some]
        marks = [RunTag(key, str(value)) for key, value in (tags or {}).items()]
        queues = (
            _parts(rows, METRICS_PER_CALL),
            _parts(entries, OTHERS_PER_CALL),
            _parts(marks, OTHERS_PER_CALL),
        )
        while any(parts := [next(queue, []) for queue in queues]):
            self.client.log_batch(run, metrics=parts[0], params=parts[1], tags=parts[2])

    def attach(self, run: str, title: str, folder: Path | None, rows: purity.Rows | None) -> None:
        """A cell's files, and its purity as a table and a chart, as artifacts of the run."""
        for name in FILES:
            if folder is not None and (folder / name).is_file():
                self.client.log_artifact(run, str(folder / name))
        if not rows:
            return
        with tempfile.TemporaryDirectory() as scratch:
            table, figure = Path(scratch, purity.TABLE), Path(scratch, purity.FIGURE)
            table.write_text(json.dumps(purity.table(rows), allow_nan=False))
            figure.write_bytes(self._charts.png(rows, title))
            self.client.log_artifact(run, str(table))
            self.client.log_artifact(run, str(figure))

    def end(self, run: str, status: str) -> None:
        """Terminate a run as FINISHED, FAILED or KILLED."""
        self.client.set_terminated(run, status)


def _quieten() -> None:
    """MLflow and its database tools log to the terminal, and ask the network, unless told not to.

    What the user has set in the environment stays.
    """
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _client(location: Location) -> Any:
    """A client of the store, which is created where it does not exist."""
    from mlflow import MlflowClient

    try:
        return MlflowClient(tracking_uri=location.uri)
    except Exception as error:
        # A store that another version of MLflow made; a user's own database is theirs to migrate.
        if not (location.own and location.file and "out-of-date" in str(error)):
            raise
        shutil.copy2(location.file, location.file.with_name(f"{location.file.name}.old"))
        upgrade = [sys.executable, "-m", "mlflow", "db", "upgrade", location.uri]
        subprocess.run(upgrade, check=True, capture_output=True)
        return MlflowClient(tracking_uri=location.uri)


def _parts(values: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
