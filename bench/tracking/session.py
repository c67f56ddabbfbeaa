"""The calls that fill an MLflow store. Everything here runs in the tracking process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from bench.tracking import purity
from bench.tracking.location import Location

KINDS = (".json", ".csv", ".npz", ".png")  # of a cell's files; beside them only these
FILES = ("model.pt", "traceback.txt")
LOCK_SECONDS = 60.0
METRICS_PER_CALL = 800  # MLflow takes 1000 metrics, parameters and tags together,
OTHERS_PER_CALL = 100  # of which at most 100 parameters and 100 tags


class Session:
    """An open MLflow store and the experiment that runs go to.

    Args:
        location: the store.
        experiment: created where it does not exist.

    Raises:
        Exception: whatever MLflow, its database or the file system has to say.
    """

    def __init__(self, location: Location, experiment: str) -> None:
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
            self.client = open_client(location)
            self.experiment = self._experiment(experiment, location.artifacts)

    def _experiment(self, name: str, artifacts: str | None) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(self.client.create_experiment(name, artifact_location=artifacts))

    def create(
        self, name: str, params: Mapping[str, str], tags: Mapping[str, str], parent: str | None
    ) -> str:
        """Start a run, the child of ``parent`` if there is one; returns its id."""
        marks = {"mlflow.source.name": "bench", "mlflow.source.type": "LOCAL"}
        if parent is not None:
            marks["mlflow.parentRunId"] = parent
        if commit := tags.get("git_commit"):
            marks["mlflow.source.git.commit"] = commit
        run = self.client.create_run(self.experiment, tags={**marks, **tags}, run_name=name)
        self.log(run.info.run_id, params=params)
        return str(run.info.run_id)

    def log(
        self,
        run: str,
        metrics: Sequence[tuple[str, float, int, int]] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Metrics, parameters and tags in as few calls as MLflow's limits allow.

        Args:
            run: the run's id.
            metrics: (key, value, milliseconds, step).
            params: parameters.
            tags: tags.
        """
        from mlflow.entities import Metric, Param, RunTag

        queues = (
            _parts([Metric(*metric) for metric in metrics], METRICS_PER_CALL),
            _parts([Param(*item) for item in (params or {}).items()], OTHERS_PER_CALL),
            _parts([RunTag(*item) for item in (tags or {}).items()], OTHERS_PER_CALL),
        )
        while any(parts := [next(queue, []) for queue in queues]):
            self.client.log_batch(run, metrics=parts[0], params=parts[1], tags=parts[2])

    def attach_files(self, run: str, folder: Path) -> None:
        """What a cell wrote, but for its training state, as artifacts of the run."""
        for path in sorted(folder.glob("*")):  # a cell that failed at once has no folder
            known = path.suffix in KINDS or path.name in FILES
            if known and path.is_file() and path.name != purity.TABLE:
                self.client.log_artifact(run, str(path))

    def attach_purity(self, run: str, title: str, rows: purity.Rows) -> None:
        """Per-label purity as a table and a chart."""
        with tempfile.TemporaryDirectory() as scratch:
            table, figure = Path(scratch, purity.TABLE), Path(scratch, purity.FIGURE)
            table.write_text(json.dumps(purity.table(rows), allow_nan=False))
            figure.write_bytes(self._charts.png(rows, title))
            self.client.log_artifact(run, str(table))
            self.client.log_artifact(run, str(figure))
        # MLflow finds a run's tables by this tag.
        shown = [{"path": purity.TABLE, "type": "table"}]
        self.client.set_tag(run, "mlflow.loggedArtifacts", json.dumps(shown))

    def end(self, run: str, status: str) -> None:
        """Terminate a run as FINISHED, FAILED or KILLED."""
        self.client.set_terminated(run, status)


def open_client(location: Location) -> Any:
    """A client of the store, which is made where there is none and migrated where it is our own."""
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
