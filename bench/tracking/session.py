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

from bench.tracking import flavour, purity
from bench.tracking.location import Location

KINDS = (".json", ".csv", ".npz", ".png")  # of a cell's files; beside them only these
FILES = ("traceback.txt",)
SHOWN = (".png", ".svg", ".html")
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
        self, name: str, tags: Mapping[str, str], parent: str | None, start: int | None = None
    ) -> str:
        """Start a run, the child of ``parent`` if there is one; returns its id.

        Args:
            name: what it is called.
            tags: its tags; ``git_commit`` also becomes MLflow's source version.
            parent: a run's id.
            start: when it started, in milliseconds since 1970; None: now.
        """
        marks = {"mlflow.source.name": "bench", "mlflow.source.type": "LOCAL"}
        if parent is not None:
            marks["mlflow.parentRunId"] = parent
        if commit := tags.get("git_commit"):
            marks["mlflow.source.git.commit"] = commit
        run = self.client.create_run(self.experiment, start, {**marks, **tags}, name)
        return str(run.info.run_id)

    def find(self, tag: str, value: str) -> str | None:
        """The id of the run with that tag, if there is one; its user may have deleted it."""
        from mlflow.entities import ViewType

        where = f"tags.`{tag}` = '{value}'"
        found = self.client.search_runs([self.experiment], where, ViewType.ALL, max_results=1)
        return str(found[0].info.run_id) if found else None

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

    def attach_datasets(self, run: str, datasets: Sequence[Mapping[str, Any]]) -> None:
        """What a run was trained and measured on, as its inputs.

        Args:
            run: the run's id.
            datasets: each with its ``name``, its ``digest`` and a ``profile`` of JSON values.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = []
        for known in datasets:
            source = json.dumps({"bench": known["name"]})
            profile = json.dumps(known["profile"])
            made = Dataset(known["name"], known["digest"], "bench", source, None, profile)
            inputs.append(DatasetInput(made, [InputTag("mlflow.data.context", "training")]))
        if inputs:
            self.client.log_inputs(run, inputs)

    def attach_files(self, run: str, folder: Path) -> None:
        """What a cell wrote, but for its model and training state, as artifacts of the run."""
        for path in sorted(folder.glob("*")):  # a cell that failed at once has no folder
            known = path.suffix in KINDS or path.name in FILES
            if known and path.is_file() and path.name != purity.TABLE:
                self.client.log_artifact(run, str(path))

    def attach_pictures(self, run: str, folder: Path, name: str) -> None:
        """Pictures and pages of a folder as artifacts, in a folder ``name``."""
        for path in sorted(folder.glob("[!.]*")):
            if path.suffix in SHOWN and path.is_file():
                self.client.log_artifact(run, str(path), name)

    def attach_model(self, run: str, folder: Path, register: str = "") -> None:
        """The cell's model in MLflow's own format, if it has one.

        Args:
            run: the run's id.
            folder: the cell's folder.
            register: the name in the model registry under which it is a new version; empty: none.
        """
        if not flavour.is_whole(folder):
            return
        with tempfile.TemporaryDirectory() as scratch:
            flavour.write(folder, Path(scratch, flavour.FOLDER))
            self.client.log_artifacts(run, str(Path(scratch, flavour.FOLDER)), flavour.FOLDER)
        if register:
            self._register(run, register)

    def _register(self, run: str, name: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        if not self.client.search_model_versions(f"name = '{name}' and run_id = '{run}'"):
            self.client.create_model_version(name, f"runs:/{run}/{flavour.FOLDER}", run)

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

    def end(self, run: str, status: str, when: int | None = None) -> None:
        """Terminate a run as FINISHED, FAILED or KILLED.

        Args:
            run: the run's id.
            status: how it ended.
            when: milliseconds since 1970; None: now.
        """
        self.client.set_terminated(run, status, when)


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
