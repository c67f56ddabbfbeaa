"""``bench tune``: the searches alone, and the best settings as a configuration."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from rich.console import Console

from bench.best_file import write_best
from bench.errors import UsageError
from bench.execution import Outcome, share_cores
from bench.grid import Cell
from bench.preparation import Prepared, Request, prepare
from bench.recorder import Recorder
from bench.runner import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    as_nodes_need_it,
    carry_out,
    show_plan,
)
from bench.searched import Found, say_place, show
from bench.searching import study_name
from bench.store import Row, Store
from bench.tuning.storage import Storage

TRIALS = 20  # where neither the command line nor the configuration says


def tune(request: Request, console: Console) -> int:
    """Search the settings of every chosen cell.

    Args:
        request: what the user typed.
        console: where progress and the table go.

    Returns:
        The exit status: 0, 1 where a search found nothing, 130 where it was interrupted.

    Raises:
        UsageError: the request cannot be carried out; nothing has trained.
    """

    def notice(text: str) -> None:
        console.print(text, style="yellow", markup=False, highlight=False)

    prepared = searches(prepare(with_trials(request), notice))
    show_plan(prepared, console)
    config, store = prepared.config, Store(prepared.job.out)
    prepared = as_nodes_need_it(prepared, notice)
    place = Storage.at(config.tuning.storage, store.out)
    found: Found = []
    recorder = partial(SearchRecorder, found)
    outcome = carry_out(prepared, request, store, console, notice, recorder, "tune")
    show(found, console)
    done = [cell for cell, row in found if row["status"] == "ok"]
    if path := write_best(store, config, done):
        said = f"best settings: {path} (train them: bench run --config {path})"
        console.print(said, markup=False, highlight=False, soft_wrap=True)
    say_place(place, console)
    if outcome is Outcome.INTERRUPTED:
        notice("interrupted; run the same command again to go on from here")
        return EXIT_INTERRUPTED
    return EXIT_OK if len(done) == len(prepared.todo) else EXIT_FAILED


def with_trials(request: Request) -> Request:
    """The request with a number of trials.

    Raises:
        UsageError: it asks for none.
    """
    flags = {**request.flags}
    if flags.get("tuning.trials") is None:
        flags["tuning.trials"] = request.config().tuning.trials or TRIALS
    if flags["tuning.trials"] < 1:
        raise UsageError(f"--trials: expected at least 1, found {flags['tuning.trials']}")
    return replace(request, flags=flags)


def searches(prepared: Prepared) -> Prepared:
    """The plan of a run as one of its searches: a study is searched once, whatever its seeds."""
    cells = tuple({study_name(cell): cell for cell in reversed(prepared.plan.cells)}.values())[::-1]
    config, job = prepared.config, prepared.job
    hidden = max(config.for_dataset(cell.dataset).model.hidden for cell in cells)
    count = len(cells) * (1 if prepared.cluster else config.tuning.batch)
    workers, threads = share_cores(
        min(prepared.workers, count), config.engine.threads, count, job.device, hidden
    )
    prepared.workshop.threads, prepared.workshop.search_only = threads, True
    return replace(
        prepared,
        plan=replace(prepared.plan, cells=cells),
        todo=cells,
        groups=tuple((cell,) for cell in cells),
        job=replace(job, threads=threads, search_only=True),
        workers=workers,
    )


class SearchRecorder(Recorder):
    """Also keeps how each search ended."""

    def __init__(self, found: Found, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.found = found

    def ended(self, cell: Cell, row: Row) -> None:
        """A search has ended."""
        super().ended(cell, row)
        self.found.append((cell, row))
