"""Runs as the harness sees them: calls that return at once, told to MLflow by another process.

A process and not a thread: MLflow needs some 50 ms of Python a cell and seconds to open a store,
and beside a training loop, whose every operation takes and gives up the interpreter, a busy thread
costs several times its own work. A broken MLflow also cannot print, hang or crash in our process,
and after a SIGKILL of the harness the other process still sends what it was told and ends the runs.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.tracking.purity import plain

if TYPE_CHECKING:
    from bench.training import Epoch

ENVIRONMENT = {
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # MLflow's own patience with a dead server is 7 retries of 120 seconds.
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
QUEUE_LENGTH = 10_000  # messages; a store that is this far behind is given up
FLUSH_SECONDS = 10.0  # between batches of a cell's epochs, so that a long cell can be watched
FLUSH_METRICS = 800


class Tracker:
    """Tells an MLflow store what a ``bench run`` does.

    No method raises or waits for the store, save :meth:`close`, which waits a bounded time. The
    first failure of any kind is told through ``notice`` and ends tracking, not the run.

    Args:
        uri: the [tracking] uri; empty for an SQLite store inside ``out``.
        out: the results folder.
        experiment: the MLflow experiment.
        enabled: False makes every method do nothing.
        notice: told, once and perhaps from another thread, why tracking ended.
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
        self._opening = {"uri": uri, "out": str(out.resolve()), "experiment": experiment}
        self._out, self._notice, self._on = out, notice, enabled
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue(QUEUE_LENGTH)
        self._thread = threading.Thread(target=self._feed, name="bench-tracking", daemon=True)
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._numbers = itertools.count()
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
            self.send(self._opening)
            self._parent = self._run(name, params, tags, None)
            self._thread.start()

    def cell(
        self,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        *,
        parent: CellRun | None = None,
    ) -> CellRun:
        """Start a child of the parent run, or of another run: trials are children of their cell."""
        return self._run(name, params, tags, parent or self._parent)

    def close(self, status: str = "FINISHED", timeout: float = 60.0) -> None:
        """End the parent run, and what is still open as KILLED, and wait until MLflow knows.

        Args:
            status: of the parent run: FINISHED, FAILED or KILLED.
            timeout: seconds to wait; what MLflow has not been told by then, it is never told.
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
                self._messages.put_nowait(None)
            self._thread.join(timeout)
            if self._thread.is_alive():
                self.stop(f"the store did not answer within {timeout:g} seconds.")
        self._on = False

    def forget(self, number: int) -> None:
        """A run has finished."""
        self._open.pop(number, None)

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message for the other process; dropped once tracking has ended."""
        if not self._on:
            return
        try:
            self._messages.put_nowait(message)
        except queue.Full:
            self.stop(f"the store is {QUEUE_LENGTH} records behind.")

    def stop(self, reason: str) -> None:
        """End tracking and tell the user, once, why."""
        with self._lock:
            was_on, self._on = self._on, False
        if not was_on:
            return
        if self._process is not None:
            self._process.kill()
        with suppress(Exception):
            self._notice(
                f"MLflow tracking has stopped: {reason} The run goes on without it; its results "
                f"are in {self._out}."
            )

    def _run(
        self, name: str, params: Mapping[str, Any], tags: Mapping[str, str], parent: CellRun | None
    ) -> CellRun:
        number = next(self._numbers)
        self._open[number] = CellRun(self, number, name, params, tags, parent)
        return self._open[number]

    def _feed(self) -> None:
        try:
            with self._spawn() as self._process:
                stdin, stdout = self._process.stdin, self._process.stdout
                assert stdin is not None
                assert stdout is not None
                with suppress(BrokenPipeError), stdin:
                    while self._on and (message := self._messages.get()) is not None:
                        stdin.write(json.dumps(message) + "\n")
                        stdin.flush()
                reason = stdout.read()
                status = self._process.wait()
            if status != 0:
                self.stop(reason or f"its process ended with status {status}.")
        except Exception as error:
            # Anything at all: a broken MLflow must not cost a cell.
            self.stop(f"{type(error).__name__}: {error}.")

    def _spawn(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env={**ENVIRONMENT, **os.environ},
            start_new_session=True,  # Ctrl-C is for the harness, which then ends the runs
        )


def command() -> list[str]:
    """The command line of the tracking process.

    -P keeps the working directory, where anything may lie, out of its import path.
    """
    return [sys.executable, "-P", "-m", "bench.tracking.worker"]


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
    ) -> None:
        self._tracker, self._number = tracker, number
        self._metrics: list[tuple[str, float, int, int]] = []
        self._sent = time.monotonic()
        self._finished = False
        self._send(
            create=name,
            params={key: str(value) for key, value in params.items() if value is not None},
            tags={key: str(value) for key, value in tags.items()},
            parent=None if parent is None else parent._number,
        )

    def epoch(self, epoch: Epoch) -> None:
        """Note an epoch of the history; many are sent in one call."""
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

    def finish(
        self,
        status: str,
        metrics: Mapping[str, float | None],
        *,
        folder: Path | None = None,
        purity: Sequence[Mapping[str, Any]] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        """Send what is left and end the run; a second call does nothing.

        Args:
            status: FINISHED, FAILED or KILLED.
            metrics: the final numbers; those that are None or not finite are left out.
            folder: the cell's folder, whose known files become artifacts.
            purity: rows with ``label``, ``purity`` and perhaps ``chance``, one a label.
            params: parameters that were not known at the start, as tuned ones are not.
        """
        if self._finished:
            return
        self._finished = True
        self._note(metrics, 0)
        self._flush()
        if params:
            self._send(params={key: str(value) for key, value in params.items()})
        rows = [{key: plain(value) for key, value in row.items()} for row in purity or ()]
        self._send(end=status, folder=folder and str(folder.resolve()), purity=rows)
        self._tracker.forget(self._number)

    def _note(self, values: Mapping[str, float | None], step: int) -> None:
        now = time.time_ns() // 1_000_000
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
