"""``bench run``: prepare, execute, record, show."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rich.console import Console

from bench import __version__
from bench.best_file import write_best
from bench.estimate import estimate
from bench.execution import Outcome, Stop, execute
from bench.preparation import Prepared, Request, prepare
from bench.recorder import Recorder
from bench.report.best import mark_best
from bench.report.summary import summarise
from bench.report.tables_terminal import to_terminal
from bench.searched import say_place, searched, show
from bench.store import Store
from bench.terminal import Display, duration
from bench.tracking import Tracker, git_commit
from bench.tracking.content import dataset_input
from bench.tuning.storage import Storage

EXIT_OK, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130


def run(request: Request, console: Console, *, dry: bool = False) -> int:
    """Run a request to its end.

    Args:
        request: what the user typed.
        console: where progress and the table go.
        dry: print the plan and what it will cost; train and write nothing.

    Returns:
        The exit status: 0, 1 where a cell failed, 130 where the run was interrupted.

    Raises:
        UsageError: the request cannot be carried out; nothing has trained.
    """

    def notice(text: str) -> None:
        console.print(text, style="yellow", markup=False, highlight=False)

    prepared = prepare(request, notice)
    show_plan(prepared, console)
    if dry:
        estimate(prepared, console)
        return EXIT_OK
    store = Store(prepared.job.out)
    prepared = as_nodes_need_it(prepared, notice)
    store.skip(prepared.plan.skipped)
    store.write_results()

    outcome = Outcome.DONE
    if prepared.todo:
        outcome = carry_out(prepared, request, store, console, notice)
    config = prepared.config
    mine = {cell.id for cell in prepared.plan.cells}
    rows = [row for row in store.rows() if row["cell"] in mine]
    lines = summarise(rows)
    mark_best(lines, store)
    to_terminal(lines, console)
    if found := searched(prepared.plan.cells, store):
        show(found, console)
    if config.tuning.trials and (path := write_best(store, config, prepared.plan.cells)):
        said = f"best settings: {path} (train them: bench run --config {path})"
        console.print(said, markup=False, highlight=False, soft_wrap=True)
    if config.tuning.trials:
        say_place(Storage.at(config.tuning.storage, store.out), console)
    where = f"results: {store.out / 'results.csv'}"
    console.print(where, markup=False, highlight=False, soft_wrap=True)
    if outcome is Outcome.INTERRUPTED:
        again = "the same command without --fresh" if request.fresh else "the same command again"
        notice(f"interrupted; run {again} to go on from here")
        return EXIT_INTERRUPTED
    failed = sum(row["status"] == "failed" for row in rows)
    if outcome is Outcome.INCOMPLETE:
        notice("the workers died before every cell was reached; run the same command again")
    if failed:
        notice(f"{failed} cells failed; their folders under {store.out / 'cells'} say why")
    if failed or outcome is Outcome.INCOMPLETE:
        return EXIT_FAILED
    return EXIT_OK


def as_nodes_need_it(prepared: Prepared, notice: Callable[[str], None]) -> Prepared:
    """The run with a job that every node of its Ray cluster can do; without a cluster as it is.

    Raises:
        UsageError: some node cannot take part; nothing has trained.
    """
    if prepared.cluster is None or not prepared.todo:
        return prepared
    from bench.ray_nodes import check_nodes

    job = check_nodes(prepared.cluster, prepared.job, prepared.todo, notice)
    return replace(prepared, job=job)


def show_plan(prepared: Prepared, console: Console) -> None:
    """One line about the size of the run, and the skipped pairs with their reasons."""
    plan, job = prepared.plan, prepared.job
    finished = len(plan.cells) - len(prepared.todo)
    text = f"{len(plan.cells)} cells"
    if finished:
        text += f", {finished} finished before"
    if plan.skipped:
        text += f"; {len({(c.prior, c.posterior) for c in plan.skipped})} pairs skipped"
    console.print(
        f"{text}; {prepared.workers} worker(s) with {job.threads} thread(s) on {job.device}"
        + (f", Ray at {prepared.cluster.address}" if prepared.cluster else ""),
        highlight=False,
    )
    reasons = {f"{c.prior} x {c.posterior}": c.reason for c in plan.skipped}
    for pair, reason in reasons.items():
        said = f"skipped: {pair}: {reason}"
        console.print(said, style="dim", markup=False, highlight=False)


def carry_out(
    prepared: Prepared,
    request: Request,
    store: Store,
    console: Console,
    notice: Any,
    recorder: Callable[..., Recorder] | None = None,
    command: str = "run",
) -> Outcome:
    """Do what is left of a plan, shown and tracked.

    Args:
        prepared, request, store, console: what, as whom and where.
        notice: hears what is worth knowing.
        recorder: makes what hears the cells; None for a ``Recorder``.
        command: names the run in the tracking store.

    Raises:
        UsageError: trials cannot be kept where they are to be; nothing has trained.
    """
    config = prepared.config
    if config.tuning.trials:
        Storage.at(config.tuning.storage, store.out).make()
    tracker = Tracker(
        uri=config.tracking.uri,
        out=store.out,
        experiment=config.tracking.experiment,
        register=config.tracking.register_models_as,
        enabled=config.tracking.enabled,
        notice=notice,
    )
    tags = {"bench.version": __version__}
    if commit := git_commit():
        tags["git_commit"] = commit
    names = dict.fromkeys(cell.dataset for cell in prepared.plan.cells)
    inputs = {name: dataset_input(prepared.workshop.data(name)) for name in names}
    tracker.start(
        time.strftime(f"bench {command} %Y-%m-%d %H:%M:%S"),
        {
            "datasets": ", ".join(names),
            "cells": len(prepared.plan.cells),
            "seeds": str(config.run.seeds),
            "preset": request.preset or "default",
        },
        tags,
        list(inputs.values()),
    )
    datasets = {cell.dataset for cell in prepared.todo}
    epochs = {name: config.for_dataset(name).training.epochs for name in datasets}
    started = time.monotonic()
    outcome = Outcome.INTERRUPTED
    try:
        with Display(console, prepared.todo, epochs) as display:
            listener = (recorder or Recorder)(
                display, tracker, store, tags, inputs, prepared.workshop.registry
            )
            outcome = execute(
                prepared.groups,
                prepared.job,
                prepared.workers,
                listener,
                prepared.workshop,
                prepared.cluster,
            )
    finally:
        statuses = {Outcome.DONE: "FINISHED", Outcome.INCOMPLETE: "FAILED"}
        ending = Stop()
        with ending.on_signals():  # Ctrl-C no longer ends a run that has ended, only its waiting
            tracker.close(statuses.get(outcome, "KILLED"), hurry=ending.flag.is_set)
            store.write_results()
    console.print(f"took {duration(time.monotonic() - started)}", highlight=False)
    return outcome
