"""Who hears a run's cells: hands what they do to the display, the tracker and the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.cells import ELSEWHERE
from bench.grid import Cell
from bench.history import read_history
from bench.registry import Registry
from bench.store import Row, Store
from bench.terminal import Display
from bench.tracking import CellRun, Tracker
from bench.tracking.content import parameters
from bench.training import Epoch
from bench.tuning import TrialRecord

NO_METRICS = ("seed", "components", ELSEWHERE)
TRAINED_ELSEWHERE = {"bench.trained_by": "another run on this results folder"}
JUDGED = "judged_bound"
"""The metric of trials and searches: taken afresh, unlike a cell's ``best_validation_bound``."""


class Recorder:
    """Hands what cells do to the display, the tracker and the store."""

    def __init__(
        self,
        display: Display,
        tracker: Tracker,
        store: Store,
        tags: Mapping[str, str],
        inputs: Mapping[str, Mapping[str, Any]],
        registry: Registry,
    ) -> None:
        self.display, self.tracker, self.store, self.tags = display, tracker, store, tags
        self.inputs, self.registry = inputs, registry
        self.runs: dict[str, CellRun] = {}
        self.trials: dict[tuple[str, int], CellRun] = {}
        self.worked: set[str] = set()  # cells that this run has begun to train or to evaluate

    def started(self, cell: Cell) -> None:
        """A cell begins: its run is opened."""
        self.display.started(cell)
        tags = {
            **self.tags,
            "model": cell.model or f"{cell.prior} x {cell.posterior}",
            "dataset": cell.dataset,
            "dataset_fingerprint": cell.settings["fingerprint"],
            "cell": cell.id,
        }
        self.runs[cell.id] = self.tracker.cell(
            cell.label,
            parameters(cell, self.registry),
            tags,
            datasets=[self.inputs[cell.dataset]],
        )

    def phase(self, cell: Cell, name: str) -> None:
        """A cell goes on."""
        if name != "tune":  # runs share a search, whoever trains the cell
            self.worked.add(cell.id)
        self.display.phase(cell, name)

    def epoch(self, cell: Cell, epoch: Epoch, trial: int | None) -> None:
        """An epoch of a cell, or of one of its trials."""
        self.display.epoch(cell, epoch, trial)
        run = self.runs[cell.id] if trial is None else self.trials.get((cell.id, trial))
        if run is not None:  # a helper may have begun a trial before its cell was heard of
            run.epoch(epoch)

    def trying(self, cell: Cell, trial: int, values: dict[str, Any]) -> None:
        """A trial begins: a run beneath its cell's."""
        tags = {**self.tags, "cell": cell.id, "trial": str(trial)}
        self.trials[cell.id, trial] = self.tracker.cell(
            f"trial {trial}",
            values,
            tags,
            parent=self.runs[cell.id],
            datasets=[self.inputs[cell.dataset]],
        )

    def trial(self, cell: Cell, record: TrialRecord) -> None:
        """A trial ends."""
        self.display.trial(cell, record)
        metrics = {} if record.value is None else {JUDGED: record.value}
        tags = {} if record.repeats is None else {"repeats": str(record.repeats)}
        run = self.trials.pop((cell.id, record.number), None)
        if run is not None:
            run.finish("FAILED" if record.value is None else "FINISHED", metrics, tags=tags)

    def notice(self, cell: Cell, text: str) -> None:
        """Something about a cell was not done as it was asked."""
        self.display.notice(cell, text)

    def ended(self, cell: Cell, row: Row) -> None:
        """A cell is finished or has failed: its row is on disk already."""
        self.display.ended(cell, row)
        self.store.refresh_results()
        run, folder = self.runs.pop(cell.id), self.store.folder(cell.id)
        # A task that a cluster repeats may find the row that its first attempt has written.
        if row.get(ELSEWHERE) and cell.id not in self.worked:
            run.finish("KILLED", {}, tags=TRAINED_ELSEWHERE)
            return
        numbers = {
            name: float(value)
            for name, value in row.items()
            if isinstance(value, int | float) and name not in NO_METRICS
        }
        if "validation_bound" in numbers:  # the name of the curve, whose end it is not
            trained = "nelbo" in row
            name = "best_validation_bound" if trained else JUDGED
            numbers[name] = numbers.pop("validation_bound")
        if "validation_bound_se" in numbers:
            numbers[f"{JUDGED}_se"] = numbers.pop("validation_bound_se")
        if row["status"] == "ok" and run.epochs < row.get("epochs", 0):
            run.complete(read_history(folder / "history.csv"))
        run.finish(
            "FINISHED" if row["status"] == "ok" else "FAILED",
            numbers,
            folder=folder,
            purity=self.store.labels(cell.id),
            params={f"tuned.{key}": value for key, value in row.get("tuned", {}).items()},
        )
