"""The cells of one group, from their description to their trained and evaluated models."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from bench.best_file import keep_searched
from bench.engine.replica import Epoch, temperature_at
from bench.errors import BenchError, Interrupted
from bench.evaluation.kept_examples import keep_examples
from bench.evaluation.report_card import ReportCard, evaluate
from bench.files import atomic_write, refusals, sweep, write_text
from bench.grid import Cell
from bench.group_training import Trained, Watch, describe, keep_description, train_group
from bench.grouping import Group, hold_all, settings_of, whole_groups
from bench.memory_limits import within_memory
from bench.model_files import read_model
from bench.products import choose_kernels, multiplying_by
from bench.searching import Found, find_best
from bench.store import TRAINED, Row, Store
from bench.tuning import TrialRecord
from bench.workshop import Workshop

ELSEWHERE = "elsewhere"
"""Set in a row that is told of, and in none on disk: another run on this store has trained it,
unless this one was heard at work on the cell."""


@dataclass
class Events:
    """What a cell tells while it runs; every field may be replaced by the listener's function."""

    epoch: Callable[[Cell, Epoch, int | None], None] = lambda *_: None
    trying: Callable[[Cell, int, dict[str, Any]], None] = lambda *_: None
    trial: Callable[[Cell, TrialRecord], None] = lambda *_: None
    phase: Callable[[Cell, str], None] = lambda *_: None
    notice: Callable[[Cell, str], None] = lambda *_: None
    stop: Callable[[], bool] = lambda: False


def run_group(
    group: Group, workshop: Workshop, store: Store, events: Events
) -> Iterator[tuple[Cell, Row]]:
    """Tune (where asked), train and evaluate cells that differ in their seed alone.

    They train as one program; everything is written to their folders. A failure is recorded with
    its traceback and given as a row; only an interruption is raised.

    Yields:
        Each cell as it ends, with its row; one that another run has ended has ``ELSEWHERE`` in it.

    Raises:
        Interrupted: the run was asked to stop; the cells' state is saved.
        CannotWrite: the store takes no more.
    """
    chosen = None
    untrained = [c for c in group if not store.finished(c) and store.trained(c) is None]
    if untrained or workshop.fresh or workshop.search_only:
        chosen = _choose(group, workshop, store, events)
    if chosen is not None and workshop.search_only:
        with refusals(store.out), store.hold(group[0], events.stop):  # others write there, or sweep
            row = _searched(group[0], chosen, store)
        yield group[0], row
        return
    with refusals(store.out), hold_all(group, store, events.stop):
        todo = []
        for cell in group:
            finished = store.row(cell.id)
            if workshop.fresh:
                store.forget(cell)  # only now, so that an interrupted run has lost no other cell
            elif finished is not None and finished["status"] == "ok":
                yield cell, {**finished, ELSEWHERE: True}  # while this run waited
                continue
            store.folder(cell.id).mkdir(parents=True, exist_ok=True)
            sweep(store.folder(cell.id))
            todo.append(cell)
        wanted = {cell.id for cell in todo}
        untrained = [
            cell
            for cell in todo
            if workshop.fresh or store.trained(cell, partial(events.notice, cell)) is None
        ]
        groups = whole_groups(untrained, store)
        for members in groups:
            if chosen is None:  # another run has forgotten the cell meanwhile
                chosen = _choose(group, workshop, store, events)
            trained = _train(members, wanted, workshop, store, events, chosen)
            for cell in members:
                if cell.id in wanted:
                    yield cell, _end(cell, trained[cell.id], workshop, store, events)
        ended = {cell.id for members in groups for cell in members}
        for cell in todo:
            if cell.id not in ended:
                yield cell, _end(cell, None, workshop, store, events)


def _choose(group: Group, workshop: Workshop, store: Store, events: Events) -> Found | Exception:
    """Search for the cells' settings, or why that found none.

    Processes share a search. So it comes before the cells are held: a process that will find them
    taken helps first.
    """
    try:
        with refusals(store.out):  # before it is taken for a failure of the cell's
            return find_best(group[0], workshop, store, events)
    except (Interrupted, KeyboardInterrupt):
        raise
    except Exception as error:
        return error


def _searched(cell: Cell, chosen: Found | Exception, store: Store) -> Row:
    """How a search ended, where nothing is trained after it."""
    if isinstance(chosen, Exception):
        reason = str(chosen).strip() or type(chosen).__name__
        return {"status": "failed", "reason": " ".join(reason.split())}
    chosen.keep(store.folder(cell.id))
    keep_searched(store, cell)
    return {"status": "ok", "reason": "", "tuned": chosen.values, **chosen.facts}


def _train(
    group: Group,
    wanted: Collection[str],
    workshop: Workshop,
    store: Store,
    events: Events,
    chosen: Found | Exception,
) -> dict[str, Trained | Exception]:
    """Train a group; nobody listens to cells that are not ``wanted``."""
    heard = [cell for cell in group if cell.id in wanted]
    first = heard[0]
    torch.set_num_threads(workshop.threads)
    if isinstance(chosen, Exception):
        return dict.fromkeys((cell.id for cell in group), chosen)
    for cell in heard:
        chosen.keep(store.folder(cell.id))
    for cell in heard:
        events.phase(cell, "train")

    def hear(cell: Cell, epoch: Epoch) -> None:
        if cell.id in wanted:
            events.epoch(cell, epoch, None)

    watch = Watch(hear, partial(events.notice, first), events.stop)
    return train_group(group, workshop, store, chosen.values, watch)


def _end(
    cell: Cell,
    trained: Trained | Exception | None,
    workshop: Workshop,
    store: Store,
    events: Events,
) -> Row:
    """Evaluate a cell, and record how it ended.

    Args:
        cell: the cell.
        trained: its model, why it has none, or None where the store has one.
        workshop, store, events: as in ``run_group``.
    """
    folder = store.folder(cell.id)
    try:
        if isinstance(trained, Exception):
            raise trained
        row = _evaluate(cell, trained or _read(cell, workshop, store), workshop, store, events)
    except (Interrupted, KeyboardInterrupt):
        raise
    except Exception as error:
        write_text(folder / "traceback.txt", "".join(traceback.format_exception(error)))
        reason = str(error).strip() or type(error).__name__
        if not isinstance(error, BenchError):
            reason = f"{type(error).__name__}: {reason}"
        row = {"status": "failed", "reason": " ".join(reason.split())}
    else:
        (folder / "traceback.txt").unlink(missing_ok=True)
    store.finish(cell, row)
    return row


def _read(cell: Cell, workshop: Workshop, store: Store) -> Trained:
    """The model that this cell, or one that differs only in its evaluation, has trained."""
    found, folder = store.trained(cell), store.folder(cell.id)
    if found is None:
        raise BenchError("its trained model has gone; run the same command again")
    if found != folder:
        for name in TRAINED:
            with atomic_write(folder / name) as stream:
                stream.write((found / name).read_bytes())
    weights, facts = read_model(folder, cell.training_id, workshop.device)
    config, components = workshop.settings(cell, facts["tuned"])
    if found != folder or not settings_of(cell, store):
        described = describe(cell, config, components, facts["tuned"], facts["threads"])
        described |= {"mode": facts["engine_mode"], "products": facts["products"]}
        described["recipe"] = workshop.recipe(cell, config, components, cell.seed).as_json()
        keep_description(cell, described, workshop, store)
    model = workshop.model(cell, config, components, cell.seed)
    model.load_state_dict(weights)
    return Trained(model, facts)


def _evaluate(
    cell: Cell, trained: Trained, workshop: Workshop, store: Store, events: Events
) -> Row:
    torch.set_num_threads(trained.facts["threads"])
    events.phase(cell, "evaluate: keep examples")  # no labels are read before
    keep_examples(store.out, workshop.data(cell.dataset))
    trained_by, _ = workshop.settings(cell, trained.facts["tuned"])
    temperature = temperature_at(trained.facts["best_epoch"], trained_by.training)
    started = time.perf_counter()
    config, folder = workshop.config.for_dataset(cell.dataset).evaluation, store.folder(cell.id)

    def measure(chunk: int) -> ReportCard:
        return evaluate(
            trained.model,
            workshop.data(cell.dataset),
            config.model_copy(update={"chunk": chunk}),
            store.out / "classifiers",
            events.stop,
            lambda what: events.phase(cell, f"evaluate: {what}"),
            temperature,
        )

    with multiplying_by(choose_kernels(trained.facts["products"], workshop.device.type)):
        card, chunk = within_memory(config.chunk, folder, measure, partial(events.notice, cell))
    card.write(folder)
    return {
        "status": "ok",
        "reason": "",
        "device": workshop.device.type,
        "evaluation_seconds": round(time.perf_counter() - started, 3),
        "evaluation_chunk": chunk,
        **trained.facts,
        **card.metrics,
    }
