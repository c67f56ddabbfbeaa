"""Runs as the harness sees them: calls that return at once, sent by one background thread."""

from __future__ import annotations

import json
import queue
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.tracking import purity as tables
from bench.tracking.location import locate
from bench.tracking.session import Point, Session, points

if TYPE_CHECKING:
    from bench.training import Epoch

Job = Callable[[Session], None]

QUEUE_LENGTH = 10_000  # jobs; a store that is this far behind is given up
FLUSH_SECONDS = 10.0  # between batches of a cell's epochs, so that a long cell can be watched
FLUSH_POINTS = 800
REASON_LENGTH = 240


class Tracker:
    """Sends what a ``bench run`` does to an MLflow store, from one background thread.

    No method raises or waits for the store, save :meth:`close`, which waits a bounded time. The
    first failure of any kind is told through ``notice`` and ends tracking, not the run.

    Args:
        uri: the [tracking] uri; empty for an SQLite store inside ``out``.
        out: the results folder.
        experiment: the MLflow experiment.
        enabled: False makes every method do nothing.
        notice: told, once and from the background thread, why tracking ended.
    """

    def __init__(
        self,
        *,
        uri: str,
        out: Path,
        experiment: str,
        enabled: bool = True,
        notice: Callable[[str], None],
    ) -> None:
        self._uri, self._out, self._experiment = uri, out, experiment
        self._notice = notice
        self._jobs: queue.Queue[Job | None] = queue.Queue(QUEUE_LENGTH)
        self._thread = threading.Thread(target=self._work, name="bench-tracking", daemon=True)
        self._lock = threading.Lock()
        self._on = enabled
        self._open: dict[int, CellRun] = {}
        self._parent: CellRun | None = None

    def start(self, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Start the parent run of this ``bench run``.

        Args:
            name: what the run is called.
            params: its parameters; those that are None are left out.
            tags: its tags; ``git_commit`` also becomes MLflow's source version.
        """
        if self._on and self._parent is None:
            self._thread.start()
            self._parent = CellRun(self, name, params, tags, None)

    def cell(
        self,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        *,
        parent: CellRun | None = None,
    ) -> CellRun:
        """Start a child of the parent run, or of another run: trials are children of their cell."""
        return CellRun(self, name, params, tags, parent or self._parent)

    def close(self, status: str = "FINISHED", timeout: float = 60.0) -> None:
        """End the parent run, and what is still open as KILLED, and wait for it to be sent.

        Args:
            status: of the parent run: FINISHED, FAILED or KILLED.
            timeout: seconds to wait; what is unsent by then is lost to MLflow.
        """
        if self._parent is None:
            return
        for run in list(self._open.values()):
            if run is not self._parent:
                run.finish("KILLED", {})
        self._parent.finish(status, {})
        self._parent = None
        if self._on:
            with suppress(queue.Full):
                self._jobs.put_nowait(None)
            self._thread.join(timeout)
            if self._thread.is_alive():
                self.stop(f"the store did not answer within {timeout:g} seconds.")
        self._on = False

    def send(self, job: Job) -> None:
        """Queue a job for the background thread; dropped once tracking has ended."""
        if not self._on or not self._thread.is_alive():
            return
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.stop(f"the store is {QUEUE_LENGTH} records behind.")

    def stop(self, reason: str) -> None:
        """End tracking and tell the user, once, why."""
        with self._lock:
            was_on, self._on = self._on, False
        if was_on:
            with suppress(Exception):
                self._notice(
                    f"MLflow tracking has stopped: {reason} The run goes on without it; "
                    f"its results are in {self._out}."
                )

    def _work(self) -> None:
        try:
            session = Session(locate(self._uri, self._out), self._experiment)
            while self._on and (job := self._jobs.get()) is not None:
                with session.lock:
                    job(session)
        except Exception as error:
            # Anything at all: a broken MLflow must not cost a cell.
            self.stop(f"{type(error).__name__}: {_short(str(error))}.")


def _short(text: str) -> str:
    """On one line, without passwords; of a long message the middle is cut, as causes come last."""
    text = re.sub(r"//[^/@\s]+@", "//***@", " ".join(text.split())).rstrip(".")
    if len(text) <= REASON_LENGTH:
        return text
    return f"{text[: REASON_LENGTH // 2]} ... {text[-REASON_LENGTH // 2 :]}"


class CellRun:
    """One MLflow run; made by :meth:`Tracker.cell` and used from one thread."""

    def __init__(
        self,
        tracker: Tracker,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        parent: CellRun | None,
    ) -> None:
        self._tracker, self._name, self._parent = tracker, name, parent
        self._id: str | None = None  # set by the background thread, and read there only
        self._points: list[Point] = []
        self._sent = time.monotonic()
        self._finished = False
        params, tags = dict(params), dict(tags)  # the caller may go on to change its own
        tracker._open[id(self)] = self
        tracker.send(lambda session: self._create(session, params, tags))

    def epoch(self, epoch: Epoch) -> None:
        """Note an epoch of the history; many are sent in one call."""
        values = {
            "objective": epoch.objective,
            "validation_bound": epoch.validation_bound,
            "beta": epoch.beta,
            "temperature": epoch.temperature,
            "epoch_seconds": epoch.seconds,
        }
        self._points += points(values, epoch.epoch)
        late = time.monotonic() - self._sent > FLUSH_SECONDS
        if late or len(self._points) >= FLUSH_POINTS:
            self._flush()

    def finish(
        self,
        status: str,
        metrics: Mapping[str, float | None],
        *,
        folder: Path | None = None,
        purity: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Send what is left and end the run; a second call does nothing.

        Args:
            status: FINISHED, FAILED or KILLED.
            metrics: the final numbers; those that are None or not finite are left out.
            folder: the cell's folder, whose known files become artifacts.
            purity: rows with ``label``, ``purity`` and perhaps ``chance``, one a label.
        """
        if self._finished:
            return
        self._finished = True
        self._points += points(metrics)
        rows = [dict(row) for row in purity] if purity else None
        shown = [{"path": tables.TABLE, "type": "table"}]
        self._flush({"mlflow.loggedArtifacts": json.dumps(shown)} if rows else None)
        self._tracker.send(lambda session: self._end(session, status, folder, rows))
        self._tracker._open.pop(id(self), None)

    def _flush(self, tags: Mapping[str, str] | None = None) -> None:
        sent, self._points = self._points, []
        self._sent = time.monotonic()
        if sent or tags:
            self._tracker.send(lambda session: session.log(self._run, sent, tags=tags))

    @property
    def _run(self) -> str:
        if self._id is None:
            raise RuntimeError(f"run {self._name!r} was used before it was created")
        return self._id

    def _create(self, session: Session, params: dict[str, Any], tags: dict[str, str]) -> None:
        parent = None if self._parent is None else self._parent._run
        self._id = session.create(self._name, params, tags, parent)

    def _end(
        self, session: Session, status: str, folder: Path | None, rows: tables.Rows | None
    ) -> None:
        session.attach(self._run, self._name, folder, rows)
        session.end(self._run, status)
