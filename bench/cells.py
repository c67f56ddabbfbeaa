"""The cells of one group, from their description to their trained and evaluated models."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from bench.engine.replica import Epoch
from bench.errors import BenchError, Interrupted
from bench.evaluation.kept_examples import keep_examples
from bench.evaluation.report_card import evaluate
from bench.files import atomic_write, write_json, write_text
from bench.grid import Cell
from bench.group_training import Trained, Watch, describe, train_group
from bench.grouping import Group, hold_all, whole_groups
from bench.loading import keep_plugins
from bench.products import choose_kernels, multiplying_by
from bench.store import TRAINED, Row, Store
from bench.trials import Trials
from bench.tuning import Proposal, TrialRecord, search
from bench.workshop import Workshop


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
        Each cell as it ends, with its row.

    Raises:
        Interrupted: the run was asked to stop; the cells' state is saved.
    """
    with hold_all(group, store, events.stop):
        todo = []
        for cell in group:
            finished = store.row(cell.id)
            if workshop.fresh:
                store.forget(cell)  # only now, so that an interrupted run has lost no other cell
            elif finished is not None and finished["status"] == "ok":
                yield cell, finished  # by another run on this store, while this one waited
                continue
            store.folder(cell.id).mkdir(parents=True, exist_ok=True)
            todo.append(cell)
        wanted = {cell.id for cell in todo}
        untrained = [c for c in todo if workshop.fresh or store.trained(c) is None]
        groups = whole_groups(untrained, store)
        for members in groups:
            trained = _train(members, wanted, workshop, store, events)
            for cell in members:
                if cell.id in wanted:
                    yield cell, _end(cell, trained[cell.id], workshop, store, events)
        ended = {cell.id for members in groups for cell in members}
        for cell in todo:
            if cell.id not in ended:
                yield cell, _end(cell, None, workshop, store, events)


def _train(
    group: Group, wanted: Collection[str], workshop: Workshop, store: Store, events: Events
) -> dict[str, Trained | Exception]:
    """Tune and train a group; nobody listens to cells that are not ``wanted``."""
    heard = [cell for cell in group if cell.id in wanted]
    first = heard[0]
    torch.set_num_threads(workshop.threads)
    try:
        tuned = _tune(first, workshop, store, events) if first.settings["tuning"] else {}
    except (Interrupted, KeyboardInterrupt):
        raise
    except Exception as error:
        return dict.fromkeys((cell.id for cell in group), error)
    for cell in heard:
        events.phase(cell, "train")

    def hear(cell: Cell, epoch: Epoch) -> None:
        if cell.id in wanted:
            events.epoch(cell, epoch, None)

    watch = Watch(hear, partial(events.notice, first), events.stop)
    return train_group(group, workshop, store, tuned, watch)


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
    facts: dict[str, Any] = json.loads((folder / "training.json").read_text())
    config, components = workshop.settings(cell, facts["tuned"])
    described = describe(cell, config, components, facts["tuned"], facts["threads"])
    engine = {"mode": facts["engine_mode"], "products": facts["products"]}
    recipe = workshop.recipe(cell, config, components, cell.seed).as_json()
    write_json(folder / "config.json", {**described, **engine, "recipe": recipe})
    keep_plugins(workshop.registry, cell.prior, cell.posterior, folder)
    model = workshop.model(cell, config, components, cell.seed)
    weights = torch.load(folder / "model.pt", map_location=workshop.device, weights_only=True)
    model.load_state_dict(weights)
    return Trained(model, facts)


def _evaluate(
    cell: Cell, trained: Trained, workshop: Workshop, store: Store, events: Events
) -> Row:
    torch.set_num_threads(trained.facts["threads"])
    keep_examples(store.out, workshop.data(cell.dataset))
    started = time.perf_counter()
    with multiplying_by(choose_kernels(trained.facts["products"], workshop.device.type)):
        card = evaluate(
            trained.model,
            workshop.data(cell.dataset),
            workshop.config.for_dataset(cell.dataset).evaluation,
            store.out / "classifiers",
            events.stop,
            lambda what: events.phase(cell, f"evaluate: {what}"),
        )
    card.write(store.folder(cell.id))
    return {
        "status": "ok",
        "reason": "",
        "device": workshop.device.type,
        "evaluation_seconds": round(time.perf_counter() - started, 3),
        **trained.facts,
        **card.metrics,
    }


def _tune(cell: Cell, workshop: Workshop, store: Store, events: Events) -> dict[str, Any]:
    """The best values of the cell's search, on the valid validation bound alone."""
    events.phase(cell, "tune")
    space = workshop.config.for_dataset(cell.dataset).tuning.ranges
    chosen = {key: space[key] for key in cell.settings["tuning"]["space"] if key in space}
    for kind, name in (("prior", cell.prior), ("posterior", cell.posterior)):
        plugin = workshop.registry.load(kind, name)
        for option, declared in plugin.search_space.items():
            chosen.setdefault(f"{kind}s.{name}.{option}", declared)

    trials = Trials(
        cell, workshop, lambda number, epoch: events.epoch(cell, epoch, number), events.stop
    )

    def objective(proposals: Sequence[Proposal]) -> Sequence[float | BenchError]:
        for proposal in proposals:
            events.trying(cell, proposal.number, proposal.params)
        return trials(proposals)

    tuning = cell.settings["tuning"]
    result = search(
        chosen,
        objective,
        trials=tuning["trials"],
        batch=tuning["batch"],
        seed=tuning["seed"],
        journal=store.out / "tuning.journal",
        study=study_name(cell),
        on_trial=lambda record: events.trial(cell, record),
    )
    return dict(result.best)


def study_name(cell: Cell) -> str:
    """One study serves all seeds of a setting, and grows when more trials are asked for."""
    tuning = {key: value for key, value in cell.settings["tuning"].items() if key != "trials"}
    settings = {**cell.settings, "tuning": tuning}
    any_seed = Cell(cell.dataset, cell.prior, cell.posterior, "", cell.components, 0, settings)
    return f"{cell.dataset}-{cell.prior}-{cell.posterior}-{any_seed.id}"
