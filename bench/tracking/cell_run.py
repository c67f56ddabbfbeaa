"""One run of MLflow's as the harness sees it: a cell, a trial, or the whole of ``bench run``."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.tracking.purity import plain

if TYPE_CHECKING:
    from bench.tracking.runs import Tracker
    from bench.training import Epoch

FLUSH_SECONDS = 10.0  # between batches of a cell's epochs, so that a long cell can be watched
FLUSH_METRICS = 800


class CellRun:
    """One MLflow run; made by :meth:`Tracker.cell` and used from one thread."""

    def __init__(
        self,
        tracker: Tracker,
        number: int,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        parent: CellRun | None,
        datasets: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._tracker, self._number, self._name = tracker, number, name
        self._metrics: list[tuple[str, float, int, int]] = []
        self._sent = time.monotonic()
        self._steps: set[int] = set()
        self._finished = False
        self._send(
            time=_now(),
            create=name,
            params={key: str(value) for key, value in params.items() if value is not None},
            tags={key: str(value) for key, value in tags.items()},
            parent=None if parent is None else parent._number,
            datasets=[dict(dataset) for dataset in datasets],
        )

    @property
    def epochs(self) -> int:
        """How many epochs of the history it has noted."""
        return len(self._steps)

    def complete(self, history: Iterable[Epoch]) -> None:
        """Note those epochs of a history that it was not told of: an earlier run trained them."""
        for epoch in history:
            if epoch.epoch not in self._steps:
                self.epoch(epoch)

    def epoch(self, epoch: Epoch) -> None:
        """Note an epoch of the history; many are sent in one call."""
        self._steps.add(epoch.epoch)
        values = {
            "objective": epoch.objective,
            "validation_bound": epoch.validation_bound,
            "beta": epoch.beta,
            "temperature": epoch.temperature,
            "epoch_seconds": epoch.seconds,
        }
        self._note(values, epoch.epoch)
        late = time.monotonic() - self._sent > FLUSH_SECONDS
        if late or len(self._metrics) >= FLUSH_METRICS:
            self._flush()

    def attach(self, name: str, folder: Path) -> None:
        """Pictures and pages of ``folder`` as artifacts, in a folder ``name``."""
        self._send(artifacts={name: self._tracker.place(folder)})

    def finish(
        self,
        status: str,
        metrics: Mapping[str, float | None],
        *,
        folder: Path | None = None,
        purity: Sequence[Mapping[str, Any]] | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Send what is left and end the run; a second call does nothing.

        Args:
            status: FINISHED, FAILED or KILLED.
            metrics: the final numbers; those that are None or not finite are left out.
            folder: the cell's folder, whose known files become artifacts.
            purity: rows with ``label``, ``purity`` and perhaps ``chance``, one a label.
            params: parameters that were not known at the start, as tuned ones are not.
            tags: tags that were not known at the start.
        """
        if self._finished:
            return
        self._finished = True
        self._note(metrics, 0)
        self._flush()
        if params:
            self._send(params={key: str(value) for key, value in params.items()})
        rows = [{key: plain(value) for key, value in row.items()} for row in purity or ()]
        where = None if folder is None else self._tracker.place(folder)
        told = {"name": self._name, "folder": where, "purity": rows, "tags": dict(tags or {})}
        self._send(time=_now(), end=status, **told)
        self._tracker.forget(self._number)

    def _note(self, values: Mapping[str, float | None], step: int) -> None:
        now = _now()
        self._metrics += [
            (key, float(value), now, step)
            for key, value in values.items()
            if value is not None and math.isfinite(value)
        ]

    def _flush(self) -> None:
        self._sent = time.monotonic()
        if self._metrics:
            self._send(metrics=self._metrics)
            self._metrics = []

    def _send(self, **message: Any) -> None:
        self._tracker.send({"run": self._number, **message})


def _now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
