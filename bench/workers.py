"""Cells in spawned processes: the parent hands out the work, and no process outlives it.

Each worker has a pipe of its own and nothing is shared but one byte, so that a worker that is
killed in the middle of a word keeps nobody else from going on.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker, sharedctypes
from typing import Any

from bench.burial import IF_MEMORY, Burials
from bench.errors import CannotWrite
from bench.execution import Job, Listener, Outcome, Stop, devices
from bench.grid import Cell
from bench.grouping import Group
from bench.memory import keep_freed_memory
from bench.store import Store
from bench.work import Help, help_search, work_on

BARREN = 3
"""So many workers may die one after the other without having begun a cell; then none is hired."""
LEAVE_SECONDS = 60.0
STOPPING = (signal.SIGINT, signal.SIGTERM)


class Flag:
    """One byte that all processes see. Without a lock: a killed process would keep it for ever."""

    def __init__(self) -> None:
        self._byte = sharedctypes.RawValue(ctypes.c_bool, False)

    def set(self) -> None:
        """From now on ``is_set`` answers True."""
        self._byte.value = True

    def is_set(self) -> bool:
        """Whether it was set."""
        return bool(self._byte.value)


def in_processes(groups: Sequence[Group], job: Job, workers: int, listener: Listener) -> Outcome:
    """A few spawned workers, each of which asks for its next group when it has ended the last."""
    stop = Stop(Flag())
    crew = Crew(groups, job, workers, listener, stop.flag)
    with stop.on_signals():
        try:
            reached = crew.work()
        finally:  # at once after a second Ctrl-C, which interrupts the waiting
            crew.dismiss()
    if reached:
        return Outcome.DONE
    return Outcome.INTERRUPTED if stop.flag.is_set() else Outcome.INCOMPLETE


def helping(groups: Sequence[Group], workers: int) -> list[Help]:
    """What workers do that find no group left: they train trials for those who search.

    What a search draws and stops does not depend on how many processes train for it.
    """
    searching = [group[0] for group in groups if group[0].settings["tuning"]]
    return [Help(cell) for cell in searching] * (workers - 1)


def place(places: Sequence[str], taken: Sequence[str]) -> str:
    """The device with the fewest of the workers, which are on those ``taken``."""
    return min(places, key=taken.count)


def listeners(listener: Listener) -> dict[str, Callable[..., None]]:
    """By the kind of news, who hears it; the beginning and the end of a cell are not among them."""
    return {
        "phase": listener.phase,
        "epoch": listener.epoch,
        "trying": listener.trying,
        "trial": listener.trial,
        "notice": listener.notice,
    }


@dataclass(eq=False)
class Worker:
    """A process, this side of its pipe, and what it is at work on."""

    process: Any
    line: Any
    device: str
    waiting: Group = ()  # handed out, and not begun
    held: dict[str, Cell] = field(default_factory=dict)  # begun, and not ended


class Crew:
    """Hands groups to workers, passes on what they tell, and replaces whoever dies over a cell.

    Args:
        groups: all that is to be done.
        job, workers, listener, flag: as for ``in_processes``; the flag asks all to stop.
        life: what a worker's process does with its job, its side of the pipe and the flag.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        job: Job,
        workers: int,
        listener: Listener,
        flag: Flag,
        life: Callable[..., None] | None = None,
    ) -> None:
        self.job, self.count, self.listener, self.flag = job, workers, listener, flag
        self.life = life or _work
        self.cells = {cell.id: cell for group in groups for cell in group}
        self.burials = Burials(
            self.cells.values(), Store(job.out), fresh=job.fresh, search_only=job.search_only
        )
        self.groups = deque(groups)
        self.helps = deque(helping(groups, workers))
        self.calls = listeners(listener)
        self.places = devices(job.device)
        self.working: list[Worker] = []
        self.left: list[Worker] = []
        self.ended = self.barren = 0

    def work(self) -> bool:
        """Work until all workers have left.

        Returns:
            Whether every cell has ended.

        Raises:
            CannotWrite: the store takes no more.
        """
        for _ in range(self.count):
            self._hire()
        while self.working:
            awaited = [end for w in self.working for end in (w.line, w.process.sentinel)]
            ready = multiprocessing.connection.wait(awaited, timeout=1.0)
            for worker in [*self.working]:
                # Its last words come before its death.
                if worker.line in ready:
                    self._hear(worker)
                elif worker.process.sentinel in ready:
                    self._mourn(worker)
        for worker in self.left:
            worker.process.join(timeout=LEAVE_SECONDS)
        return self.ended == len(self.cells)

    def dismiss(self) -> None:
        """End whoever is still there."""
        for worker in (*self.working, *self.left):
            if worker.process.is_alive():
                worker.process.kill()  # nothing is lost, as every file is written whole
            worker.line.close()

    def _hire(self) -> None:
        context = multiprocessing.get_context("spawn")
        device = place(self.places, [worker.device for worker in self.working])
        line, theirs = context.Pipe()
        here = replace(self.job, device=device)
        process = context.Process(target=self.life, args=(here, theirs, self.flag), daemon=True)
        with _unstopped():
            process.start()
        theirs.close()  # with the worker's own copy the last is gone, which is how we hear of it
        self.working.append(Worker(process, line, device))

    def _hear(self, worker: Worker) -> None:
        try:
            kind, cell_id, *rest = worker.line.recv()
        except (EOFError, OSError):  # perhaps in the middle of a word
            self._mourn(worker)
            return
        if kind == "idle":
            self._hand_out(worker)
        elif kind == "bye":
            self._part(worker)
        elif kind == "refused":
            raise CannotWrite(*rest)  # the others would meet the same
        else:
            self._pass_on(worker, kind, self.cells[cell_id], rest)

    def _pass_on(self, worker: Worker, kind: str, cell: Cell, rest: Sequence[Any]) -> None:
        if kind == "started":
            self.barren = 0
            worker.held[cell.id] = cell
            worker.waiting = tuple(other for other in worker.waiting if other.id != cell.id)
            self.listener.started(cell)
        elif kind == "ended":
            worker.held.pop(cell.id, None)
            self.ended += 1
            self.listener.ended(cell, rest[0])
        elif any(cell.id in other.held for other in self.working):  # not what a helper tells late
            self.calls[kind](cell, *rest)

    def _hand_out(self, worker: Worker) -> None:
        item: Group | Help | None = None
        if self.groups:
            item = worker.waiting = self.groups.popleft()
        elif self.helps:
            item = self.helps.popleft()
        with suppress(OSError):  # it died since; that is told by its pipe
            worker.line.send(item)

    def _part(self, worker: Worker) -> None:
        self.working.remove(worker)
        self.left.append(worker)

    def _mourn(self, worker: Worker) -> None:
        """A worker has died: its cells have failed, and what it had not begun is another's."""
        self._part(worker)
        worker.process.join(timeout=LEAVE_SECONDS)
        how = f"its worker process ended with exit status {worker.process.exitcode}"
        for cell in worker.held.values():
            self.ended += 1
            self.listener.ended(cell, self.burials.bury(cell, f"{how}; {IF_MEMORY}"))
        self.helps = deque(share for share in self.helps if share.cell.id not in worker.held)
        if worker.waiting:
            self.groups.appendleft(worker.waiting)
        self.barren = 0 if worker.held else self.barren + 1
        if self.groups and self.barren < BARREN and not self.flag.is_set():
            self._hire()


@contextmanager
def _unstopped() -> Iterator[None]:
    """What starts here hears no Ctrl-C before it can ignore it; this process hears it later."""
    resource_tracker.ensure_running()  # which else lets the signals in
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(job: Job, line: Any, flag: Flag) -> None:
    """The life of a worker process."""
    for number in STOPPING:  # they come to the whole group; the parent tells when to stop
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    keep_freed_memory()

    def tell(kind: str) -> Callable[..., None]:
        return lambda cell, *rest: line.send((kind, cell.id, *rest))

    store, workshop = Store(job.out), job.workshop()
    while not flag.is_set():
        line.send(("idle", ""))
        item = line.recv()
        if item is None:
            break
        try:
            if isinstance(item, Help):
                goes_on = help_search(item.cell, workshop, store, tell, flag.is_set)
            else:
                goes_on = work_on(item, workshop, store, tell, flag.is_set)
            if not goes_on:
                break
        except CannotWrite as error:
            line.send(("refused", "", str(error)))
            break
    line.send(("bye", ""))


def _leave_with_parent() -> None:
    """End this process when the main one is gone, even in the middle of an evaluation.

    Two runs would otherwise work on one store: the orphans', and the one that goes on. Nothing is
    lost, as every file is written whole.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
