"""Run the cells of a plan, here or in worker processes, and survive whatever happens to them."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import torch

from bench.cells import Events, Workshop, run_cell
from bench.config import Config
from bench.grid import Cell
from bench.registry import Registry
from bench.store import Row, Store
from bench.training import Epoch, Interrupted
from bench.tuning import TrialRecord


class Listener(Protocol):
    """Who hears what cells do, always in the main process: progress, tracking, the store."""

    def started(self, cell: Cell) -> None: ...

    def phase(self, cell: Cell, name: str) -> None: ...

    def epoch(self, cell: Cell, epoch: Epoch, trial: int | None) -> None: ...

    def trying(self, cell: Cell, trial: int, values: dict[str, Any]) -> None: ...

    def trial(self, cell: Cell, record: TrialRecord) -> None: ...

    def ended(self, cell: Cell, row: Row) -> None: ...


SMALL_LAYER = 200


class Outcome(Enum):
    """How a run ended."""

    DONE = "done"
    INTERRUPTED = "interrupted"
    INCOMPLETE = "incomplete"
    """Every worker died before all cells were reached."""


@dataclass(frozen=True)
class Job:
    """What a worker process needs to make its own workshop."""

    config: Config
    plugins: tuple[Path, ...]
    roots: tuple[Path, ...]
    device: str
    out: Path
    threads: int

    def workshop(self) -> Workshop:
        """The workshop of this process."""
        device = torch.device(self.device)
        return Workshop(self.config, Registry(self.plugins), self.roots, device, self.threads)


def resolve_device(wanted: str) -> str:
    """``auto`` as the device that is there."""
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def share_cores(
    wanted_workers: int, wanted_threads: int, cells: int, device: str, hidden: int
) -> tuple[int, int]:
    """Worker processes and threads for each.

    Cells are small: two of them side by side use two cores better than one cell with two
    threads, whose matrix products are too short to share. Below ``SMALL_LAYER`` units threads
    only wait for each other: on a busy machine, for many times as long as the product takes.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cores = cores or 1
    workers = wanted_workers or (1 if device.startswith("cuda") else cores)
    workers = max(1, min(workers, cells))
    return workers, wanted_threads or (1 if hidden < SMALL_LAYER else max(1, cores // workers))


@dataclass
class Stop:
    """Set by Ctrl-C: cells finish their epoch, save and end."""

    flag: Any = field(default_factory=threading.Event)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM set the flag; a second Ctrl-C interrupts at once."""

        def handle(number: int, _frame: Any) -> None:
            if self.flag.is_set() and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.flag.set()

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, handle) for number in numbers}
        try:
            yield
        finally:
            for number, previous in before.items():
                signal.signal(number, previous)


def execute(cells: Sequence[Cell], job: Job, workers: int, listener: Listener) -> Outcome:
    """Run ``cells`` here, or in ``workers`` processes."""
    if workers <= 1:
        return _here(cells, job, listener)
    return _in_processes(cells, job, workers, listener)


def _here(cells: Sequence[Cell], job: Job, listener: Listener) -> Outcome:
    stop = Stop()
    store, workshop = Store(job.out), job.workshop()
    events = Events(
        listener.epoch, listener.trying, listener.trial, listener.phase, stop.flag.is_set
    )
    with stop.on_signals():
        for cell in cells:
            listener.started(cell)
            try:
                row = run_cell(cell, workshop, store, events)
            except Interrupted:
                return Outcome.INTERRUPTED
            listener.ended(cell, row)
            if stop.flag.is_set():
                return Outcome.INTERRUPTED
    return Outcome.DONE


def _in_processes(cells: Sequence[Cell], job: Job, workers: int, listener: Listener) -> Outcome:
    """A few spawned workers that take cells from one queue and report through another."""
    context = multiprocessing.get_context("spawn")
    stop = Stop(context.Event())
    todo, news = context.Queue(), context.Queue()
    for cell in cells:
        todo.put(cell)
    for _ in range(workers):
        todo.put(None)

    def hire() -> Any:
        process = context.Process(target=_work, args=(job, todo, news, stop.flag), daemon=True)
        process.start()
        return process

    crew: list[Any] = []
    with stop.on_signals():
        try:
            crew += [hire() for _ in range(workers)]
            reached = _listen(cells, crew, hire, news, listener, job.out)
        finally:
            if stop.flag.is_set():
                for process in crew:
                    process.join(timeout=60)
            for process in crew:
                if process.is_alive():
                    process.terminate()
    if stop.flag.is_set():
        return Outcome.INTERRUPTED
    return Outcome.DONE if reached else Outcome.INCOMPLETE


def _listen(
    cells: Sequence[Cell],
    crew: list[Any],
    hire: Callable[[], Any],
    news: Any,
    listener: Listener,
    out: Path,
) -> bool:
    """Pass on what the crew reports until all have left; whoever dies over a cell is replaced.

    Returns:
        Whether every cell has ended.
    """
    by_id = {cell.id: cell for cell in cells}
    held: dict[int, Cell] = {}  # what each process is working on
    working = {process.pid: process for process in crew}
    mourned: set[int] = set()
    calls: dict[str, Callable[..., None]] = {
        "phase": listener.phase,
        "epoch": listener.epoch,
        "trying": listener.trying,
        "trial": listener.trial,
    }
    ended = 0
    while working:
        for pid in working.keys() - mourned:
            if not working[pid].is_alive():
                mourned.add(pid)
                news.put((pid, "died", ""))  # behind all that it said itself
        try:
            pid, kind, cell_id, *rest = news.get(timeout=1.0)
        except queue.Empty:
            continue
        if kind in ("bye", "died"):
            process, cell = working.pop(pid, None), held.pop(pid, None)
            if process is not None and cell is not None and kind == "died":
                ended += 1
                _bury(cell, process.exitcode, out, listener)
                if ended + len(held) < len(cells):
                    crew.append(hire())
                    working[crew[-1].pid] = crew[-1]
            continue
        cell = by_id[cell_id]
        if kind == "started":
            held[pid] = cell
            listener.started(cell)
        elif kind == "ended":
            held.pop(pid, None)
            ended += 1
            listener.ended(cell, rest[0])
        else:
            calls[kind](cell, *rest)
    return ended == len(cells)


def _bury(cell: Cell, exitcode: int | None, out: Path, listener: Listener) -> None:
    """Record a cell whose worker process died under it (killed, out of memory)."""
    row: Row = {
        "status": "failed",
        "reason": f"its worker process ended with exit status {exitcode}; if it was killed for "
        "want of memory, run with fewer --workers or a smaller evaluation.chunk",
    }
    Store(out).finish(cell, row)
    listener.ended(cell, row)


def _work(job: Job, todo: Any, news: Any, stop: Any) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells when to stop
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    pid = os.getpid()

    def stopping() -> bool:
        return bool(stop.is_set()) or (parent is not None and not parent.is_alive())

    def tell(kind: str) -> Callable[..., None]:
        return lambda cell, *rest: news.put((pid, kind, cell.id, *rest))

    events = Events(tell("epoch"), tell("trying"), tell("trial"), tell("phase"), stopping)
    store, workshop = Store(job.out), job.workshop()
    while not stopping():
        cell = todo.get()
        if cell is None:
            break
        tell("started")(cell)
        try:
            row = run_cell(cell, workshop, store, events)
        except Interrupted:
            break
        tell("ended")(cell, row)
    news.put((pid, "bye", ""))
