"""Groups as tasks of a Ray cluster. Ray places them; this module hears them and mourns them.

What a killed task has done lies on the storage that all nodes share, so that a task that takes its
place goes on from there. Ray itself retries nothing: it cannot tell a group that has made progress
since its last death from one that dies of itself.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import ray
from ray import exceptions

from bench.best_file import read_search
from bench.burial import IF_MEMORY, Burials
from bench.errors import BenchError, first_line
from bench.execution import Job, Listener, Outcome, Stop
from bench.grid import Cell
from bench.grouping import Group
from bench.ray_cluster import Cluster
from bench.ray_nodes import on_node
from bench.ray_worker import TELL_SECONDS, Desk, perform
from bench.store import Store
from bench.workers import listeners

CRASHES = 3
"""A group whose process died so often, without an epoch that was new, has failed."""
LOSSES = 10
"""The same for the nodes that it was on: it may be what kills them."""
SEEN_SECONDS = 90.0
"""Longer than a network file system remembers that a file was not there."""

LOST = (exceptions.NodeDiedError, exceptions.LocalRayletDiedError, exceptions.ObjectLostError)
CRASHED = (exceptions.WorkerCrashedError, exceptions.OutOfMemoryError)


@dataclass
class Task:
    """One group: the cells that are left of it, and how often it has died since its last epoch."""

    group: Group
    fresh: bool
    crashes: int = 0
    losses: int = 0


def on_cluster(groups: Sequence[Group], job: Job, cluster: Cluster, listener: Listener) -> Outcome:
    """Run ``groups`` on the cluster; ``job`` is as :func:`bench.ray_nodes.check_nodes` gave it.

    Raises:
        BenchError: the cluster is gone; what was trained is kept.
    """
    stop = Stop()
    with stop.on_signals():
        try:
            return _run(groups, job, cluster, listener, stop)
        except exceptions.RayActorError as error:
            raise BenchError(
                f"the connection to the Ray cluster is lost ({first_line(error)}); run the same "
                "command again to go on from here"
            ) from error
        finally:
            cluster.close()


def _run(
    groups: Sequence[Group], job: Job, cluster: Cluster, listener: Listener, stop: Stop
) -> Outcome:
    context = ray.get_runtime_context()
    here = on_node(context.get_node_id())
    desk: Any = ray.remote(num_cpus=0)(Desk).options(scheduling_strategy=here).remote()
    remote = ray.remote(max_retries=0, **cluster.resources(job.threads, job.device))(perform)
    jobs = {fresh: ray.put(replace(job, fresh=fresh)) for fresh in (False, True)}
    settled: queue.SimpleQueue[tuple[int, Future[bool]]] = queue.SimpleQueue()

    def submit(attempt: int, task: Task) -> None:
        result = remote.remote(jobs[task.fresh], context.get_job_id(), attempt, task.group, desk)
        result.future().add_done_callback(lambda future: settled.put((attempt, future)))

    ledger = Ledger(
        groups, job.fresh, Store(job.out), listener, submit, search_only=job.search_only
    )
    told = False
    while ledger.tasks and not (told and not ledger.running):
        if stop.flag.is_set() and not told:
            ray.get(desk.stop.remote())
            told = True
        done = []
        with suppress(queue.Empty):
            while True:
                done.append(settled.get_nowait())
        # After the queue: what has settled had told all before.
        news = ray.get(desk.take.remote())
        for message in news:
            ledger.hear(*message)
        for attempt, future in done:
            ledger.settle(attempt, future.exception(), told)
        if not done and not news:
            time.sleep(TELL_SECONDS / 2)
    if job.search_only:
        ledger.see_searches()
    else:
        ledger.see_rows()
    if ledger.complete:
        return Outcome.DONE
    return Outcome.INTERRUPTED if told else Outcome.INCOMPLETE


class Ledger:
    """What is known of every group and cell of a run, from what tasks tell and how they end.

    The listener hears the beginning and the end of each cell once, whatever was done twice.

    Args:
        groups: all that is to run; they are submitted at once.
        fresh: whether what earlier runs left of them is forgotten.
        store: where rows lie.
        listener: hears all.
        submit: hands a group to Ray, under the number of its attempt.
        search_only: whether cells are only searched for, which gives them no rows.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        fresh: bool,
        store: Store,
        listener: Listener,
        submit: Callable[[int, Task], None],
        *,
        search_only: bool = False,
    ) -> None:
        self.store, self.listener, self.hand_over = store, listener, submit
        self.calls = listeners(listener)
        self.cells = {cell.id: cell for group in groups for cell in group}
        self.burials = Burials(self.cells.values(), store, fresh=fresh, search_only=search_only)
        self.tasks: dict[int, Task] = {}  # by attempt: those that Ray has now
        self.attempts = 0
        self.attempt_of: dict[str, int] = {}  # of each cell, the last
        self.running: set[int] = set()  # attempts that have begun
        self.begun: set[str] = set()
        self.ended: set[str] = set()
        self.succeeded: set[str] = set()
        self.heard: set[tuple[Any, ...]] = set()  # trials that began, trials that ended
        self.epochs: dict[tuple[str, int | None], int] = {}
        for group in groups:
            self.submit(Task(group, fresh))

    @property
    def complete(self) -> bool:
        """Whether every cell has ended."""
        return len(self.ended) == len(self.cells)

    def submit(self, task: Task) -> None:
        """Hand a group to Ray."""
        self.attempts += 1
        self.tasks[self.attempts] = task
        self.attempt_of |= dict.fromkeys((cell.id for cell in task.group), self.attempts)
        self.hand_over(self.attempts, task)

    def hear(self, attempt: int, kind: str, cell_id: str, rest: tuple[Any, ...]) -> None:
        """Pass news on, if they are."""
        cell = self.cells[cell_id]
        if cell_id in self.ended:
            return
        if kind == "ended":
            self._end(cell)
            if rest[0]["status"] == "ok":
                self.succeeded.add(cell_id)
            self.listener.ended(cell, rest[0])
        elif attempt != self.attempt_of[cell_id]:
            pass  # of a process that was given up, and told it late
        elif kind == "started":
            self.running.add(attempt)
            if cell_id not in self.begun:
                self.begun.add(cell_id)
                self.listener.started(cell)
        elif self._is_new(attempt, kind, cell_id, rest):
            self.calls[kind](cell, *rest)

    def _is_new(self, attempt: int, kind: str, cell_id: str, rest: tuple[Any, ...]) -> bool:
        task = self.tasks.get(attempt)
        if task is not None and kind == "phase" and rest[0] != "tune":  # a search forgets nothing
            task.fresh = False  # what it was to forget is forgotten
        if kind == "trying":
            key: tuple[Any, ...] = ("trying", cell_id, rest[0])
        elif kind == "trial":
            key = ("trial", cell_id, rest[0].number)
        elif kind == "epoch":
            epoch, trial = rest
            closed = ("trial", cell_id, trial) in self.heard
            if closed or epoch.epoch <= self.epochs.get((cell_id, trial), 0):
                return False
            self.epochs[cell_id, trial] = epoch.epoch
            if task is not None:
                task.crashes = task.losses = 0
            return True
        else:
            return True
        new = key not in self.heard
        self.heard.add(key)
        return new

    def settle(self, attempt: int, error: BaseException | None, stopping: bool) -> None:
        """A task has returned, or its process or its node has died."""
        task = self.tasks.pop(attempt)
        self.running.discard(attempt)
        left = tuple(cell for cell in task.group if cell.id not in self.ended)
        if error is None or stopping or not left:
            return
        if isinstance(error, LOST):
            task.losses += 1
            why = f"the node that it was on was lost, {task.losses} times without an epoch between"
            again = task.losses < LOSSES
            self._retell(left, "its node was lost; it goes on from its last checkpoint", again)
        elif isinstance(error, CRASHED):
            task.crashes += 1
            why = f"its worker process died {task.crashes} times without an epoch between; "
            why += f"{IF_MEMORY} ({first_line(error)})"
            again = task.crashes < CRASHES
            self._retell(left, "its process died; it goes on from its last checkpoint", again)
        else:
            cause = getattr(error, "cause", None) or error
            why = first_line(cause)
            if not isinstance(cause, BenchError):
                why = f"{type(cause).__name__}: {why}"
            again = False
        if again:
            self.submit(replace(task, group=left))
            return
        for cell in left:
            self._end(cell)
            self.listener.ended(cell, self.burials.bury(cell, why))

    def _retell(self, cells: Group, text: str, again: bool) -> None:
        if again and cells[0].id in self.begun:
            self.listener.notice(cells[0], text)

    def _end(self, cell: Cell) -> None:
        """From here on its end is known, and is told by the caller."""
        if cell.id not in self.begun:
            self.begun.add(cell.id)
            self.listener.started(cell)
        self.ended.add(cell.id)

    def see_rows(self) -> None:
        """Wait until this machine sees the rows of which it has heard."""
        _see(self.ended, self.store.row)

    def see_searches(self) -> None:
        """The same for what searches have found, where nothing is trained after them."""
        _see(self.succeeded, partial(read_search, self.store))


def _see(cells: Iterable[str], read: Callable[[str], object]) -> None:
    end = time.monotonic() + SEEN_SECONDS
    for cell_id in cells:
        while read(cell_id) is None and time.monotonic() < end:
            time.sleep(0.5)
