"""What runs on a node of a Ray cluster: one group of cells, and the desk that hears of it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from ray import exceptions

from bench.errors import BenchError
from bench.execution import Job
from bench.grid import Cell
from bench.grouping import Group
from bench.memory import keep_freed_memory
from bench.store import Store
from bench.work import work_on
from bench.workshop import Workshop

TELL_SECONDS = 0.5
ANSWER_SECONDS = 60.0

Message = tuple[int, str, str, tuple[Any, ...]]  # attempt, kind, cell id, the rest


class Desk:
    """Where tasks leave their news and ask whether to stop; an actor beside the driver.

    Of one thread and not asynchronous: only then does Ray keep the order of each task's calls.
    """

    def __init__(self) -> None:
        self.news: list[Message] = []
        self.stopped = False

    def tell(self, messages: list[Message]) -> None:
        """Leave news."""
        self.news += messages

    def take(self) -> list[Message]:
        """All news since the last call."""
        taken, self.news = self.news, []
        return taken

    def stop(self) -> None:
        """Ask every task to stop."""
        self.stopped = True

    def stopping(self) -> bool:
        """Whether tasks are to stop."""
        return self.stopped


class Wire:
    """A task's side of the desk: news in parcels, and the stop flag asked for once in a while."""

    def __init__(self, desk: Any, attempt: int) -> None:
        self.desk, self.attempt = desk, attempt
        self.parcel: list[Message] = []
        self.sent = self.asked = 0.0
        self.stopped = False
        self.asking: Future[Any] | None = None

    def tell(self, kind: str) -> Callable[..., None]:
        """For a kind of news, the function that passes a cell and the rest on."""

        def said(cell: Cell, *rest: Any) -> None:
            self.parcel.append((self.attempt, kind, cell.id, rest))
            if kind != "epoch" or time.monotonic() - self.sent > TELL_SECONDS:
                self.send()

        return said

    def send(self) -> Any:
        """Send what was kept back."""
        parcel, self.parcel, self.sent = self.parcel, [], time.monotonic()
        return self.desk.tell.remote(parcel)

    def stopping(self) -> bool:
        """Whether the run was asked to stop, or is gone.

        It never waits by ``ray.get``: Ray gives the cores of a task that does to another task.
        """
        if self.asking is not None and self.asking.done():
            try:
                self.stopped = bool(self.asking.result())
            except exceptions.RayActorError:
                self.stopped = True
            self.asking, self.asked = None, time.monotonic()
        due = time.monotonic() - self.asked > TELL_SECONDS
        if not self.stopped and self.asking is None and due:
            self.asking = self.desk.stopping.remote().future()
        return self.stopped

    def stopped_already(self) -> bool:
        """The same with the answer to a question that is put now."""
        if not self.stopping() and self.asking is not None:
            wait([self.asking], ANSWER_SECONDS)
        return self.stopping()


_workshops: dict[str, Workshop] = {}


def perform(job: Job, run: str, attempt: int, group: Group, desk: Any) -> bool:
    """Run one group in this process, which Ray has started on some node.

    Args:
        job: what the workshop is made from.
        run: names the run: its groups share one workshop, and with it the data.
        attempt: goes with all news.
        group: the cells.
        desk: the actor.

    Returns:
        Whether every cell has ended; False where the run was asked to stop.

    Raises:
        BenchError: this node has not what the cells were planned with.
    """
    wire = Wire(desk, attempt)
    if wire.stopped_already():
        return False
    if run not in _workshops:
        _workshops.clear()
        keep_freed_memory()
        threading.Thread(target=_leave_with_raylet, args=(os.getppid(),), daemon=True).start()
        _workshops[run] = job.workshop()
    workshop = _workshops[run]
    workshop.fresh = job.fresh
    found, planned = workshop.data(group[0].dataset).fingerprint, group[0].settings["fingerprint"]
    if found != planned:
        raise BenchError(
            f"its node has other data of {group[0].dataset}: expected the fingerprint {planned}, "
            f"found {found}"
        )
    try:
        return work_on(group, workshop, Store(job.out), wire.tell, wire.stopping)
    finally:
        # Before the result: the driver has then heard all.
        wire.send().future().result(ANSWER_SECONDS)


def _leave_with_raylet(raylet: int) -> None:
    """End this process when its node's Ray is gone: the cells are another node's then."""
    while raylet > 1 and os.getppid() == raylet:
        time.sleep(1.0)
    if raylet > 1:
        os._exit(1)
