"""A cell's search: its space, its study, and the settings that come out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench.grid import Cell
from bench.spaces import Range
from bench.store import Store
from bench.trials import Trials
from bench.tuning import Proposal, TuningResult, search
from bench.tuning.storage import Storage
from bench.workshop import Workshop

if TYPE_CHECKING:
    from bench.cells import Events


def find_best(cell: Cell, workshop: Workshop, store: Store, events: Events) -> dict[str, Any]:
    """The settings that a cell trains with beside its own: those that its search has found.

    Raises:
        BenchError: every trial failed.
        Interrupted: the run was asked to stop; the search goes on the next time.
    """
    if not cell.settings["tuning"]:
        return dict(cell.settings.get("best", {}))
    return dict(tune(cell, workshop, store, events).best)


def tune(cell: Cell, workshop: Workshop, store: Store, events: Events) -> TuningResult:
    """Search on the valid validation bound alone.

    Raises:
        BenchError: every trial failed.
        Interrupted: the run was asked to stop; the search goes on the next time.
    """
    events.phase(cell, "tune")

    def begin(proposal: Proposal) -> None:
        events.trying(cell, proposal.number, proposal.params)

    trials = Trials(
        cell,
        workshop,
        begin,
        lambda number, epoch: events.epoch(cell, epoch, number),
        events.stop,
        store.out / "trials",
    )
    tuning = cell.settings["tuning"]
    return search(
        space_of(cell, workshop),
        trials,
        trials=tuning["trials"],
        batch=tuning["batch"],
        seed=tuning["seed"],
        storage=Storage.at(workshop.config.tuning.storage, store.out),
        study=study_name(cell),
        on_trial=lambda record: events.trial(cell, record),
        stop=events.stop,
    )


def space_of(cell: Cell, workshop: Workshop) -> dict[str, Range]:
    """What the cell's search may change: the configuration's ranges, then those of its plugins."""
    space = workshop.config.for_dataset(cell.dataset).tuning.ranges
    chosen = {key: space[key] for key in cell.settings["tuning"]["space"] if key in space}
    for kind, name in (("prior", cell.prior), ("posterior", cell.posterior)):
        plugin = workshop.registry.load(kind, name)
        for option, declared in plugin.search_space.items():
            chosen.setdefault(f"{kind}s.{name}.{option}", declared)
    return chosen


def study_name(cell: Cell) -> str:
    """One study serves all seeds of a setting, and grows when more trials are asked for."""
    tuning = {key: value for key, value in cell.settings["tuning"].items() if key != "trials"}
    any_seed = replace(cell, model="", seed=0, settings={**cell.settings, "tuning": tuning})
    return f"{cell.dataset}-{cell.prior}-{cell.posterior}-{any_seed.training_id}"
