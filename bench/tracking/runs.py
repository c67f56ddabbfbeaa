"""Runs as the harness sees them: calls that return at once, told to MLflow by another process.

A process and not a thread: MLflow needs some 50 ms of Python a cell and seconds to open a store,
and beside a training loop, whose every operation takes and gives up the interpreter, a busy thread
costs several times its own work. A broken MLflow also cannot print, hang or crash in our process,
and after a SIGKILL of the harness the other process still sends what is on disk and ends the runs.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.tracking.cell_run import CellRun
from bench.tracking.environment import ENVIRONMENT
from bench.tracking.location import canonical
from bench.tracking.spool import FOLDER, Spool, Writer, without_password

HURRY_SECONDS = 0.2


class Tracker:
    """Tells an MLflow store what a ``bench run`` does.

    Records go to a file in the results folder first; the process beside reads them there. No
    method raises or waits for the store, save :meth:`close`, which waits a bounded time. The first
    failure that lasts is told through ``notice``: the records wait on disk then.

    Args:
        uri: the [tracking] uri; empty for an SQLite store inside ``out``.
        out: the results folder.
        experiment: the MLflow experiment.
        register: the name under which every cell's model is registered; empty: none is.
        enabled: False makes every method do nothing.
        notice: told, perhaps from another thread, why the records wait, and when they have been
            sent after all.
    """

    def __init__(
        self,
        *,
        uri: str,
        out: Path,
        experiment: str,
        register: str = "",
        enabled: bool = True,
        notice: Callable[[str], None],
    ) -> None:
        self._opening = {"experiment": experiment, "register": register}
        self._uri, self._out, self._notice, self._on = uri, out, notice, enabled
        self._store = ""  # the uri in its one spelling
        self._thread = threading.Thread(target=self._watch, name="bench-tracking", daemon=True)
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._told = False
        self._numbers = itertools.count()
        self._open: dict[int, CellRun] = {}
        self._parent: CellRun | None = None
        self._writer: Writer | None = None
        self._bell = self._ear = -1  # the two ends of a pipe

    def start(
        self,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        datasets: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Start the parent run of this ``bench run``.

        Args:
            name: what the run is called.
            params: its parameters; those that are None are left out.
            tags: its tags; ``git_commit`` also becomes MLflow's source version.
            datasets: each with its ``name``, its ``digest`` and a ``profile`` of JSON values.
        """
        if not self._on or self._parent is not None:
            return
        try:
            out = self._out.resolve()
            self._store = canonical(self._uri, out)
            shown = without_password(self._store)
            self._writer = Writer(out, {"uri": shown, **self._opening})
            self._ear, self._bell = os.pipe()
            opening = {"uri": self._store, "spool": str(self._writer.spool.path)}
            os.write(self._bell, json.dumps(opening).encode() + b"\n")
            os.set_blocking(self._bell, False)
        except Exception as error:
            self.lose(error)
            return
        self._parent = self._run(name, params, tags, None, datasets)
        self._thread.start()

    def cell(
        self,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        *,
        parent: CellRun | None = None,
        datasets: Sequence[Mapping[str, Any]] = (),
    ) -> CellRun:
        """Start a child of the parent run, or of another run: trials are children of their cell."""
        return self._run(name, params, tags, parent or self._parent, datasets)

    def attach(self, name: str, folder: Path) -> None:
        """Pictures and pages of a folder as artifacts of the parent run, in a folder ``name``."""
        if self._parent is not None:
            self._parent.attach(name, folder)

    def close(
        self,
        status: str = "FINISHED",
        timeout: float = 60.0,
        hurry: Callable[[], bool] = lambda: False,
    ) -> None:
        """End the parent run, and what is still open as KILLED, and wait until MLflow knows.

        Args:
            status: of the parent run: FINISHED, FAILED or KILLED.
            timeout: seconds without progress after which it waits no longer; what MLflow has not
                been told by then waits on disk.
            hurry: asked now and then; True ends the waiting in the same way.
        """
        if self._parent is None:
            return
        for run in list(self._open.values()):
            if run is not self._parent:
                run.finish("KILLED", {})
        self._parent.finish(status, {})
        self._parent = None
        if self._writer is not None:
            self._writer.close()
            os.close(self._bell)
            self._settle(timeout, self._writer.spool, hurry)
        self._on = False

    def _settle(self, timeout: float, spool: Spool, hurry: Callable[[], bool]) -> None:
        """Wait for the other process while it gets on."""
        before = -1
        while True:
            end = time.monotonic() + timeout
            while (left := end - time.monotonic()) > 0 and not hurry():
                self._thread.join(min(left, HURRY_SECONDS))
                if not self._thread.is_alive():
                    return
            if self._process is None:
                return
            now = before
            with suppress(BenchError):
                now = spool.sent(self._store).offset
            if now == before or hurry():
                why = f"the store took nothing for {timeout:g} seconds."
                self.wait_on_disk("its sending was interrupted." if hurry() else why)
                self._process.kill()
                return
            before = now

    def place(self, folder: Path) -> str:
        """A folder as records name it: from the results folder on, if it lies below that."""
        folder, out = folder.resolve(), self._out.resolve()
        return str(folder.relative_to(out) if folder.is_relative_to(out) else folder)

    def forget(self, number: int) -> None:
        """A run has finished."""
        self._open.pop(number, None)

    def send(self, message: dict[str, Any]) -> None:
        """Put a record on disk and wake the other process."""
        if not self._on or self._writer is None:
            return
        try:
            self._writer.write(message)
        except Exception as error:
            self.lose(error)
            return
        with suppress(BlockingIOError, BrokenPipeError):  # it is awake, or has ended
            os.write(self._bell, b".")

    def lose(self, error: Exception) -> None:
        """Records cannot be put on disk: end tracking and tell the user why."""
        self._on = False
        self._tell(
            f"MLflow tracking has stopped: {type(error).__name__}: {error}. The run goes on "
            f"without it; its results are in {self._out}."
        )

    def wait_on_disk(self, reason: str) -> None:
        """Tell the user, once, why records are not sent."""
        with self._lock:
            told, self._told = self._told, True
        if not told:
            self._tell(
                f"MLflow tracking waits: {reason} The run goes on; its records are kept in "
                f"{self._out / FOLDER}, and `bench sync --out {self._out}` sends them."
            )

    def _tell(self, text: str) -> None:
        with suppress(Exception):
            self._notice(text)

    def _run(
        self,
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        parent: CellRun | None,
        datasets: Sequence[Mapping[str, Any]],
    ) -> CellRun:
        number = next(self._numbers)
        self._open[number] = CellRun(self, number, name, params, tags, parent, datasets)
        return self._open[number]

    def _watch(self) -> None:
        """Start the other process and hear what it has to say."""
        try:
            with self._spawn() as self._process:
                os.close(self._ear)
                assert self._process.stdout is not None
                for line in self._process.stdout:
                    self.wait_on_disk(line.strip())
                status = self._process.wait()
            if status != 0:
                self.wait_on_disk(f"its process ended with status {status}.")
            elif self._told:
                self._tell("MLflow answers again: what waited has been sent.")
        except Exception as error:
            # Anything at all: a broken MLflow must not cost a cell.
            self.wait_on_disk(f"{type(error).__name__}: {error}.")

    def _spawn(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command(),
            stdin=self._ear,
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
