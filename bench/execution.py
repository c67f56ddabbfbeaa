"""Run the cells of a plan, here or in worker processes, and survive whatever happens to them."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import torch

from bench.cells import Events, run_group
from bench.config import Config
from bench.errors import CannotWrite, Interrupted
from bench.grid import Cell
from bench.grouping import Group
from bench.registry import Registry
from bench.store import Row, Store
from bench.training import Epoch
from bench.tuning import TrialRecord
from bench.workshop import Workshop

if TYPE_CHECKING:
    from bench.ray_cluster import Cluster


class Listener(Protocol):
    """Who hears what cells do, always in the main process: progress, tracking, the store."""

    def started(self, cell: Cell) -> None: ...

    def phase(self, cell: Cell, name: str) -> None: ...

    def epoch(self, cell: Cell, epoch: Epoch, trial: int | None) -> None: ...

    def trying(self, cell: Cell, trial: int, values: dict[str, Any]) -> None: ...

    def trial(self, cell: Cell, record: TrialRecord) -> None: ...

    def notice(self, cell: Cell, text: str) -> None: ...

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
    """What a worker process needs to make its own workshop, of the same run."""

    config: Config
    plugins: tuple[Path, ...]
    roots: tuple[Path, ...]
    device: str
    out: Path
    threads: int
    fresh: bool = False
    search_only: bool = False
    run: str = field(default_factory=lambda: uuid4().hex)

    def workshop(self) -> Workshop:
        """The workshop of this process."""
        device = torch.device(self.device)
        if device.index is not None:
            torch.cuda.set_device(device)  # graphs are captured on the current one
        registry = Registry(self.plugins)
        return Workshop(
            self.config,
            registry,
            self.roots,
            device,
            self.threads,
            self.fresh,
            self.search_only,
            self.run,
        )


def resolve_device(wanted: str) -> str:
    """``auto`` as the device that is there."""
    if wanted != "auto":
        return wanted
    return "cuda" if torch.cuda.is_available() else "cpu"


def share_cores(
    wanted_workers: int,
    wanted_threads: int,
    cells: int,
    device: str,
    hidden: int,
    cores: int | None = None,
) -> tuple[int, int]:
    """Worker processes and threads for each, on this machine or on one of so many ``cores``.

    Cells are small: two of them side by side use two cores better than one cell with two
    threads, whose matrix products are too short to share. Below ``SMALL_LAYER`` units threads
    only wait for each other: on a busy machine, for many times as long as the product takes.
    """
    cores = cores or _cores()
    workers = wanted_workers or (len(devices(device)) if device.startswith("cuda") else cores)
    workers = max(1, min(workers, cells))
    return workers, wanted_threads or (1 if hidden < SMALL_LAYER else max(1, cores // workers))


def _cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return cores or 1


def devices(device: str) -> list[str]:
    """Those that workers share: every GPU of this machine where none is named."""
    count = torch.cuda.device_count() if device == "cuda" else 1
    return [device] if count < 2 else [f"cuda:{index}" for index in range(count)]


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


def execute(
    groups: Sequence[Group],
    job: Job,
    workers: int,
    listener: Listener,
    workshop: Workshop,
    cluster: Cluster | None = None,
) -> Outcome:
    """Run ``groups`` here, in ``workshop``, or in ``workers`` processes, or on a Ray cluster."""
    if cluster is not None:
        from bench.ray_tasks import on_cluster

        return on_cluster(groups, job, cluster, listener)
    if workers <= 1:
        return _here(groups, workshop, Store(job.out), listener)
    from bench.workers import in_processes

    return in_processes(groups, job, workers, listener)


def _here(groups: Sequence[Group], workshop: Workshop, store: Store, listener: Listener) -> Outcome:
    stop = Stop()
    events = Events(
        listener.epoch,
        listener.trying,
        listener.trial,
        listener.phase,
        listener.notice,
        stop.flag.is_set,
    )
    left = sum(map(len, groups))
    with stop.on_signals():
        for group in groups:
            for cell in group:
                listener.started(cell)
            try:
                for cell, row in run_group(group, workshop, store, events):
                    listener.ended(cell, row)
                    left -= 1
                    if left and stop.flag.is_set():
                        return Outcome.INTERRUPTED
            except CannotWrite:
                raise
            except Interrupted:
                return Outcome.INTERRUPTED
    return Outcome.DONE
