"""Cells in spawned processes: one queue of work, one of news, and no orphans."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bench.cells import Events, run_group
from bench.errors import CannotWrite, Interrupted
from bench.execution import Job, Listener, Outcome, Stop, devices
from bench.files import refusals
from bench.grid import Cell
from bench.grouping import Group
from bench.memory import keep_freed_memory
from bench.searching import tune
from bench.store import Store
from bench.workshop import Workshop

IF_MEMORY = (
    "if it was killed for want of memory, run with fewer --workers, a smaller evaluation.chunk or "
    "a smaller engine.replicas"
)


def in_processes(groups: Sequence[Group], job: Job, workers: int, listener: Listener) -> Outcome:
    """A few spawned workers that take groups from one queue and report through another."""
    context = multiprocessing.get_context("spawn")
    stop = Stop(context.Event())
    todo, news = context.Queue(), context.Queue()
    for item in (*groups, *helping(groups, workers)):
        todo.put(item)
    for _ in range(workers):
        todo.put(None)

    places = devices(job.device)
    crew: list[Any] = []

    def hire() -> Any:
        here = replace(job, device=place(places, [p.device for p in crew if p.is_alive()]))
        process: Any = context.Process(
            target=_work, args=(here, todo, news, stop.flag), daemon=True
        )
        process.device = here.device
        process.start()
        return process

    with stop.on_signals():
        try:
            for _ in range(workers):
                crew.append(hire())
            reached = _listen(groups, crew, hire, news, listener, job.out)
            for process in crew:
                process.join(timeout=60)
        finally:  # at once after a second Ctrl-C, which interrupts the waiting
            for process in crew:
                if process.is_alive():
                    process.terminate()
    if stop.flag.is_set():
        return Outcome.INTERRUPTED
    return Outcome.DONE if reached else Outcome.INCOMPLETE


@dataclass(frozen=True)
class Help:
    """A share in the search of a cell that another worker has taken."""

    cell: Cell


def helping(groups: Sequence[Group], workers: int) -> list[Help]:
    """What workers do that find no group left: they train trials for those who search.

    What a search draws and stops does not depend on how many processes train for it.
    """
    searching = [group[0] for group in groups if group[0].settings["tuning"]]
    return [Help(cell) for cell in searching] * (workers - 1)


def place(places: Sequence[str], taken: Sequence[str]) -> str:
    """The device with the fewest of the workers, which are on those ``taken``."""
    return min(places, key=taken.count)


def _listen(
    groups: Sequence[Group],
    crew: list[Any],
    hire: Callable[[], Any],
    news: Any,
    listener: Listener,
    out: Path,
) -> bool:
    """Pass on what the crew reports until all have left; whoever dies over a cell is replaced.

    Returns:
        Whether every cell has ended.

    Raises:
        CannotWrite: the store takes no more.
    """
    by_id = {cell.id: cell for group in groups for cell in group}
    held: dict[int, dict[str, Cell]] = {}  # what each process is working on
    working = {process.pid: process for process in crew}
    mourned: set[int] = set()
    calls = listeners(listener)
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
            process, cells = working.pop(pid, None), held.pop(pid, {})
            if process is not None and cells and kind == "died":
                ended += len(cells)
                for cell in cells.values():
                    how = f"its worker process ended with exit status {process.exitcode}"
                    bury(cell, f"{how}; {IF_MEMORY}", Store(out), listener)
                if ended + sum(map(len, held.values())) < len(by_id):
                    crew.append(hire())
                    working[crew[-1].pid] = crew[-1]
            continue
        if kind == "refused":
            raise CannotWrite(*rest)  # the others would meet the same
        cell = by_id[cell_id]
        if kind == "started":
            held.setdefault(pid, {})[cell.id] = cell
            listener.started(cell)
        elif kind == "ended":
            held.get(pid, {}).pop(cell.id, None)
            ended += 1
            listener.ended(cell, rest[0])
        elif any(cell_id in cells for cells in held.values()):  # not what a helper tells late
            calls[kind](cell, *rest)
    return ended == len(by_id)


def listeners(listener: Listener) -> dict[str, Callable[..., None]]:
    """By the kind of news, who hears it; the beginning and the end of a cell are not among them."""
    return {
        "phase": listener.phase,
        "epoch": listener.epoch,
        "trying": listener.trying,
        "trial": listener.trial,
        "notice": listener.notice,
    }


def bury(cell: Cell, reason: str, store: Store, listener: Listener) -> None:
    """Record a cell whose process died under it (killed, out of memory).

    A row that says ``ok`` stays: the process died between writing it and telling of it.
    """
    row = store.row(cell.id)
    if row is None or row["status"] != "ok":
        row = {"status": "failed", "reason": reason}
        (store.folder(cell.id) / "traceback.txt").unlink(missing_ok=True)  # of an earlier failure
        store.finish(cell, row)
    listener.ended(cell, row)


def work_on(
    group: Group,
    workshop: Workshop,
    store: Store,
    tell: Callable[[str], Callable[..., None]],
    stopping: Callable[[], bool],
) -> bool:
    """Run one group and tell of all that happens.

    Args:
        group: cells that differ in their seed alone.
        workshop, store: this process's own.
        tell: for a kind of news, the function that passes a cell and the rest on.
        stopping: whether the run was asked to stop.

    Returns:
        False where the run was asked to stop before every cell had ended.

    Raises:
        CannotWrite: the store takes no more.
    """
    events = Events(
        tell("epoch"), tell("trying"), tell("trial"), tell("phase"), tell("notice"), stopping
    )
    for cell in group:
        tell("started")(cell)
    left = len(group)
    try:
        for cell, row in run_group(group, workshop, store, events):
            tell("ended")(cell, row)
            left -= 1
            if left and stopping():
                return False
    except CannotWrite:
        raise
    except Interrupted:
        return False
    return True


def help_search(
    cell: Cell,
    workshop: Workshop,
    store: Store,
    tell: Callable[[str], Callable[..., None]],
    stopping: Callable[[], bool],
) -> bool:
    """Train trials of a cell's search until it has ended.

    Returns:
        False where the run was asked to stop.

    Raises:
        CannotWrite: the store takes no more.
    """

    def unheard(*_: object) -> None:
        """The cell's own worker tells of the cell."""

    events = Events(tell("epoch"), tell("trying"), tell("trial"), unheard, unheard, stopping)
    torch.set_num_threads(workshop.threads)
    try:
        with refusals(store.out):
            tune(cell, workshop, store, events)
    except CannotWrite:
        raise
    except Interrupted:
        return False
    except Exception:  # the cell's own worker meets it too, and records it
        return True
    return True


def _work(job: Job, todo: Any, news: Any, stop: Any) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells when to stop
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    keep_freed_memory()
    pid = os.getpid()

    def stopping() -> bool:
        return bool(stop.is_set())

    def tell(kind: str) -> Callable[..., None]:
        return lambda cell, *rest: news.put((pid, kind, cell.id, *rest))

    store, workshop = Store(job.out), job.workshop()
    while not stopping():
        item = todo.get()
        if item is None:
            break
        try:
            if isinstance(item, Help):
                goes_on = help_search(item.cell, workshop, store, tell, stopping)
            else:
                goes_on = work_on(item, workshop, store, tell, stopping)
            if not goes_on:
                break
        except CannotWrite as error:
            news.put((pid, "refused", "", str(error)))
            break
    news.put((pid, "bye", ""))


def _leave_with_parent() -> None:
    """End this process when the main one is gone, even in the middle of an evaluation.

    Two runs would otherwise work on one store: the orphans', and the one that goes on. Nothing is
    lost, as every file is written whole.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
