"""One cell, from its description to its trained and evaluated model."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from bench.config import Config
from bench.errors import BenchError, Interrupted
from bench.evaluation.report_card import evaluate
from bench.files import atomic_write, write_json, write_text
from bench.grid import Cell
from bench.model import Model
from bench.store import TRAINED, Row, Store
from bench.training import Epoch, Trainer, TrainingFailed
from bench.tuning import TrialRecord, search
from bench.workshop import Workshop

# Trials train on seeds of their own, so that the reported seeds are fresh to the chosen setting.
TRIAL_SEED = 1_000_000


@dataclass
class Events:
    """What a cell tells while it runs; every field may be replaced by the listener's function."""

    epoch: Callable[[Cell, Epoch, int | None], None] = lambda *_: None
    trying: Callable[[Cell, int, dict[str, Any]], None] = lambda *_: None
    trial: Callable[[Cell, TrialRecord], None] = lambda *_: None
    phase: Callable[[Cell, str], None] = lambda *_: None
    stop: Callable[[], bool] = lambda: False


def run_cell(cell: Cell, workshop: Workshop, store: Store, events: Events) -> Row:
    """Tune (where asked), train and evaluate one cell, and write everything to its folder.

    A failure is recorded with its traceback and returned as a row; only an interruption is
    raised.

    Raises:
        Interrupted: the run was asked to stop; the cell's state is saved.
    """
    folder = store.folder(cell.id)
    with store.hold(cell, events.stop):
        finished = store.row(cell.id)
        if workshop.fresh:
            store.forget(cell)  # only now, so that an interrupted run has lost no other cell
        elif finished is not None and finished["status"] == "ok":
            return finished  # by another run on this store, while this one waited
        folder.mkdir(parents=True, exist_ok=True)
        return _attempt(cell, workshop, store, events)


def _attempt(cell: Cell, workshop: Workshop, store: Store, events: Events) -> Row:
    folder = store.folder(cell.id)
    try:
        row = _run(cell, workshop, folder, store, events)
    except (Interrupted, KeyboardInterrupt):
        raise
    except Exception as error:
        write_text(folder / "traceback.txt", traceback.format_exc())
        reason = str(error).strip() or type(error).__name__
        if not isinstance(error, BenchError):
            reason = f"{type(error).__name__}: {reason}"
        row = {"status": "failed", "reason": " ".join(reason.split())}
    else:
        (folder / "traceback.txt").unlink(missing_ok=True)
    store.finish(cell, row)
    return row


def _run(cell: Cell, workshop: Workshop, folder: Path, store: Store, events: Events) -> Row:
    threads = _threads(folder, workshop.threads)
    torch.set_num_threads(threads)
    trained = None if workshop.fresh else store.trained(cell)
    if trained is not None:
        training: dict[str, Any] = json.loads((trained / "training.json").read_text())
        values = training["tuned"]
    else:
        values = _tune(cell, workshop, store.out, events) if cell.settings["tuning"] else {}
    config, components = workshop.settings(cell, values)
    options = {f"{kind}_options": cell.settings[kind] for kind in ("dataset", "prior", "posterior")}
    described = {
        **cell.settings,
        **options,
        "cell": cell.id,
        "dataset": cell.dataset,
        "prior": cell.prior,
        "posterior": cell.posterior,
        "components": components,
        "seed": cell.seed,
        "tuned": values,
        "threads": threads,
        **{name: getattr(config, name).model_dump() for name in ("training", "model")},
    }
    write_json(folder / "config.json", described)

    model = workshop.model(cell, config, components, cell.seed)
    if trained is None:
        events.phase(cell, "train")
        training = _train(cell, workshop, config, model, folder, events)
        training |= {"tuned": values, "components": components, "threads": threads}
        write_json(folder / "training.json", training)
        store.keep_trained(cell)
    else:
        if trained != folder:
            for name in TRAINED:
                with atomic_write(folder / name) as stream:
                    stream.write((trained / name).read_bytes())
        weights = torch.load(folder / "model.pt", map_location=workshop.device, weights_only=True)
        model.load_state_dict(weights)

    started = time.perf_counter()
    card = evaluate(
        model,
        workshop.data(cell.dataset),
        config.evaluation,
        store.out / "classifiers",
        events.stop,
        lambda what: events.phase(cell, f"evaluate: {what}"),
    )
    card.write(folder)
    return {
        "status": "ok",
        "reason": "",
        "device": workshop.device.type,
        "evaluation_seconds": round(time.perf_counter() - started, 3),
        **training,
        **card.metrics,
    }


def _train(
    cell: Cell, workshop: Workshop, config: Config, model: Model, folder: Path, events: Events
) -> dict[str, Any]:
    """Train to the best validation bound; what the row says of it."""
    pixels = workshop.pixels(cell.dataset)
    trainer = Trainer(model, pixels, config.training, cell.seed, folder / "checkpoint.pt")
    progress = trainer.run(lambda epoch: events.epoch(cell, epoch, None), events.stop)
    trainer.save()  # a run that is killed before the model is written need not train again
    _write_history(folder / "history.csv", progress.history)
    with atomic_write(folder / "model.pt") as stream:
        torch.save({name: value.cpu() for name, value in model.state_dict().items()}, stream)
    return {
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "validation_bound": progress.best_bound,
        "seconds": round(progress.seconds, 3),
    }


def _threads(folder: Path, wanted: int) -> int:
    """Those with which the cell was begun, where it goes on: sums depend on how they are split."""
    if (folder / "checkpoint.pt").exists() and (folder / "config.json").exists():
        begun: int = json.loads((folder / "config.json").read_text()).get("threads", wanted)
        return begun
    return wanted


def _tune(cell: Cell, workshop: Workshop, out: Path, events: Events) -> dict[str, Any]:
    """The best values of the cell's search, on the valid validation bound alone."""
    events.phase(cell, "tune")
    space = workshop.config.for_dataset(cell.dataset).tuning.ranges
    chosen = {key: space[key] for key in cell.settings["tuning"]["space"] if key in space}
    for kind, name in (("prior", cell.prior), ("posterior", cell.posterior)):
        plugin = workshop.registry.load(kind, name)
        for option, declared in plugin.search_space.items():
            chosen.setdefault(f"{kind}s.{name}.{option}", declared)

    def objective(number: int, values: dict[str, Any]) -> float:
        events.trying(cell, number, values)
        config, components = workshop.settings(cell, values)
        seed = TRIAL_SEED + number
        model = workshop.model(cell, config, components, seed)
        trainer = Trainer(model, workshop.pixels(cell.dataset), config.training, seed)
        try:
            progress = trainer.run(lambda epoch: events.epoch(cell, epoch, number), events.stop)
        except BenchError:
            raise
        except Exception as error:  # out of memory, say: this setting fails, not the search
            raise TrainingFailed(f"{type(error).__name__}: {error}") from error
        return progress.best_bound

    tuning = cell.settings["tuning"]
    result = search(
        chosen,
        objective,
        trials=tuning["trials"],
        seed=tuning["seed"],
        journal=out / "tuning.journal",
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


def _write_history(path: Path, history: Iterable[Epoch]) -> None:
    lines = [",".join(Epoch.__dataclass_fields__)]
    lines += [",".join(str(value) for value in asdict(record).values()) for record in history]
    write_text(path, "\n".join(lines) + "\n")
