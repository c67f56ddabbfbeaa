"""Tune and train the cells of one group, and leave each one's model in its folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.config import Config
from bench.engine.replica import Epoch, Progress, Replica, TrainingFailed
from bench.errors import Interrupted, first_line
from bench.files import write_json
from bench.grid import Cell
from bench.grouping import CHECKPOINT, Group, settings_of
from bench.history import write_history
from bench.loading import keep_plugins
from bench.memory_limits import out_of_memory
from bench.model import Model
from bench.model_files import keep_model
from bench.products import choose_kernels
from bench.store import Store
from bench.training import ReplicaTrainer
from bench.workshop import Workshop


@dataclass(frozen=True)
class Trained:
    """A cell's model at its best, and what the row says of its training."""

    model: Model
    facts: dict[str, Any]


@dataclass(frozen=True)
class Watch:
    """What training tells while it goes on."""

    epoch: Callable[[Cell, Epoch], None]
    notice: Callable[[str], None]
    stop: Callable[[], bool]


def train_group(
    group: Group, workshop: Workshop, store: Store, tuned: dict[str, Any], watch: Watch
) -> dict[str, Trained | Exception]:
    """Train the cells as one program; where that cannot be done, one after the other.

    Args:
        group: cells that differ in their seed alone.
        workshop: what models are made with.
        store: where they go.
        tuned: settings that a search has chosen.
        watch: told of epochs and of what could not be done as asked.

    Returns:
        By the cell's id, its model, or why it has none.

    Raises:
        Interrupted: the run was asked to stop; the group's state is saved.
    """
    checkpoint = store.folder(group[0].id) / CHECKPOINT
    begun = _stamp(checkpoint)
    try:
        return _together(group, workshop, store, tuned, watch)
    except (Interrupted, KeyboardInterrupt):
        raise
    except Exception as error:
        # Nothing was added to what an earlier run has saved, perhaps on a larger machine: together
        # the seeds would never get further here.
        stuck = out_of_memory(error) and _stamp(checkpoint) == begun
        if len(group) == 1 or (checkpoint.exists() and not stuck):
            # What was trained so far is kept, and the next run goes on from it.
            return dict.fromkeys((cell.id for cell in group), error)
        checkpoint.unlink(missing_ok=True)
        watch.notice(f"its {len(group)} seeds train one after the other: {first_line(error)}")
    found: dict[str, Trained | Exception] = {}
    for cell in group:
        found |= train_group((cell,), workshop, store, tuned, watch)
    return found


def _stamp(path: Path) -> int:
    """When a file was last written; 0 where there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def _together(
    group: Group, workshop: Workshop, store: Store, tuned: dict[str, Any], watch: Watch
) -> dict[str, Trained | Exception]:
    leader, seeds = group[0], [cell.seed for cell in group]
    config, components = workshop.settings(leader, tuned)
    checkpoint = store.folder(leader.id) / CHECKPOINT
    begun = settings_of(leader, store) if checkpoint.exists() else {}
    if begun.get("group") != seeds:
        checkpoint.unlink(missing_ok=True)  # of another group, which has given it up
        begun = {}
    # Sums depend on how they are split and fused: what was begun goes on in the same way.
    threads: int = begun.get("threads", workshop.threads)
    mode = begun.get("mode") or workshop.mode(leader.dataset, config, config.training.epochs)
    wanted = begun.get("products") or workshop.kernels
    kernels = choose_kernels(wanted, workshop.device.type)
    if kernels != wanted:
        watch.notice(f"begun with products by {wanted}, which are not here: goes on by {kernels}")
    torch.set_num_threads(threads)
    replicas = []
    for cell in group:
        if not store.finished(cell):
            described = describe(cell, config, components, tuned, threads)
            described |= {"mode": mode, "products": kernels, "group": seeds}
            described["recipe"] = workshop.recipe(cell, config, components, cell.seed).as_json()
            keep_description(cell, described, workshop, store)
        model = workshop.model(cell, config, components, cell.seed)
        replicas.append(Replica(model, config.training, cell.seed))
    by_seed = {cell.seed: cell for cell in group}
    trainer = ReplicaTrainer(
        replicas,
        workshop.pixels(leader.dataset),
        mode,
        checkpoint,
        watch.notice,
        kernels,
        owner=" ".join(cell.training_id for cell in group),
    )
    trainer.run(lambda replica, epoch: watch.epoch(by_seed[replica.seed], epoch), watch.stop)
    trainer.save()  # a run that is killed before the models are written need not train again
    facts = {
        "tuned": tuned,
        "components": components,
        "threads": threads,
        "products": kernels,
        "engine_mode": trainer.steps.ran,
        "replicas": len(group),
    }
    kept: dict[str, Trained | Exception] = {
        cell.id: _keep(cell, replica, store, facts)
        for cell, replica in zip(group, replicas, strict=True)
        if not store.finished(cell)  # its row describes the model that is there
    }
    checkpoint.unlink(missing_ok=True)  # what has failed begins anew the next time
    return kept


def keep_description(
    cell: Cell, described: dict[str, Any], workshop: Workshop, store: Store
) -> None:
    """Write config.json, and the user's plugin files that the model is built with."""
    folder = store.folder(cell.id)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", described)
    keep_plugins(workshop.registry, cell.prior, cell.posterior, folder)


def _keep(
    cell: Cell, replica: Replica, store: Store, facts: dict[str, Any]
) -> Trained | TrainingFailed:
    """Write what training leaves: the model, its history, and the facts that go into the row."""
    progress, folder = replica.progress, store.folder(cell.id)
    if progress.failure:
        return TrainingFailed(progress.failure)
    write_history(folder / "history.csv", progress.history)
    facts = _facts(progress) | facts
    keep_model(folder, cell.training_id, replica.model.state_dict(), facts)
    store.keep_trained(cell)
    return Trained(replica.model, facts)


def _facts(progress: Progress) -> dict[str, Any]:
    return {
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "validation_bound": progress.best_bound,
        "seconds": round(progress.seconds, 3),
    }


def describe(
    cell: Cell, config: Config, components: int | None, tuned: dict[str, Any], threads: int
) -> dict[str, Any]:
    """Everything about a cell, for its ``config.json``."""
    options = {f"{kind}_options": cell.settings[kind] for kind in ("dataset", "prior", "posterior")}
    return {
        **cell.settings,
        **options,
        "cell": cell.id,
        "dataset": cell.dataset,
        "prior": cell.prior,
        "posterior": cell.posterior,
        "components": components,
        "seed": cell.seed,
        "tuned": tuned,
        "threads": threads,
        **{name: getattr(config, name).model_dump() for name in ("training", "model")},
    }
