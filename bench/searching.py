"""A cell's search: its space, its study, and the settings that come out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.best_file import SEARCH
from bench.files import atomic_write
from bench.grid import Cell
from bench.spaces import Range
from bench.store import Store
from bench.trials import Trials
from bench.tuning import Proposal, TuningResult, search
from bench.tuning.figures import study_files
from bench.tuning.finals import finals_name, train_again
from bench.tuning.storage import Storage
from bench.workshop import Workshop

if TYPE_CHECKING:
    from bench.cells import Events


@dataclass(frozen=True)
class Found:
    """The settings that a cell trains with beside its own.

    Attributes:
        values: by dotted key.
        facts: of the search, for its row: the bound that it reached, and what it cost.
        files: its table and figures, by name.
    """

    values: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def keep(self, folder: Path) -> None:
        """Write the files into a cell's folder."""
        for name, content in self.files.items():
            with atomic_write(folder / name) as stream:
                stream.write(content)


def find_best(cell: Cell, workshop: Workshop, store: Store, events: Events) -> Found:
    """The settings that a cell's search finds, or that the configuration has from one.

    Raises:
        BenchError: every trial failed.
        Interrupted: the run was asked to stop; the search goes on the next time.
    """
    if not cell.settings["tuning"]:
        return Found(dict(cell.settings.get("best", {})))
    result = tune(cell, workshop, store, events)
    facts: dict[str, Any] = {"validation_bound": result.value, "trial_epochs": result.epochs}
    for state in ("complete", "pruned", "failed"):
        facts[f"trials_{state}"] = result.count(state)
    facts["repeats"] = len(result.repeats)
    if result.error is not None:
        facts["validation_bound_se"] = result.error
    files = study_files(result, space_of(cell, workshop))
    facts_file = {"best": result.best, **facts, "study": study_name(cell)}
    files[SEARCH] = (json.dumps(facts_file, indent=1) + "\n").encode()
    return Found(dict(result.best), facts, files)


def tune(cell: Cell, workshop: Workshop, store: Store, events: Events) -> TuningResult:
    """Search on the valid validation bound alone.

    Raises:
        BenchError: every trial failed.
        Interrupted: the run was asked to stop; the search goes on the next time.
    """
    events.phase(cell, "tune")

    def begin(proposal: Proposal) -> None:
        events.trying(cell, proposal.number, proposal.params)

    def objective(study: str) -> Trials:
        return Trials(
            cell,
            workshop,
            begin,
            lambda number, epoch: events.epoch(cell, epoch, number),
            events.stop,
            store.out / "trials",
            study,
        )

    tuning, study, space = cell.settings["tuning"], study_name(cell), space_of(cell, workshop)
    trials = objective(study)
    shared: dict[str, Any] = {
        "seed": tuning["seed"],
        "storage": Storage.at(workshop.config.tuning.storage, store.out),
        "study": study,
        "run": workshop.run,
        "on_trial": partial(events.trial, cell),
        "stop": events.stop,
        "notice": partial(events.notice, cell),
    }
    result = search(
        space,
        trials,
        trials=tuning["trials"],
        batch=tuning["batch"],
        start=own_settings(cell, workshop, space),
        **shared,
    )
    finals = tuning["finals"]
    if not finals:
        return result
    repeating = objective(finals_name(study, tuning["trials"], finals))
    repeating.facts, repeating.rungs = trials.facts, []
    return train_again(result, space, repeating, finals=finals, **shared)


def space_of(cell: Cell, workshop: Workshop) -> dict[str, Range]:
    """What the cell's search may change: the configuration's ranges, then those of its plugins."""
    space = workshop.config.for_dataset(cell.dataset).tuning.ranges
    chosen = {key: space[key] for key in cell.settings["tuning"]["space"] if key in space}
    for kind, name in (("prior", cell.prior), ("posterior", cell.posterior)):
        plugin = workshop.registry.load(kind, name)
        for option, declared in plugin.search_space.items():
            chosen.setdefault(f"{kind}s.{name}.{option}", declared)
    return chosen


def own_settings(cell: Cell, workshop: Workshop, space: Iterable[str]) -> dict[str, Any]:
    """What the cell has without a search, of what a space may change, by dotted key."""
    config, found = workshop.config.for_dataset(cell.dataset), {}
    for key in space:
        section, _, rest = key.partition(".")
        if key == "components":
            found[key] = cell.components
        elif section in ("priors", "posteriors"):
            kind, (name, option) = section.removesuffix("s"), rest.split(".", 1)
            options = {**workshop.registry.defaults(kind, name), **config.options(kind, name)}
            found[key] = options.get(option)
        else:
            found[key] = getattr(getattr(config, section), rest)
    return {key: value for key, value in found.items() if value is not None}


def study_name(cell: Cell) -> str:
    """One study serves all seeds of a setting, and grows when more trials are asked for."""
    settings = cell.settings["tuning"].items()
    tuning = {key: value for key, value in settings if key not in ("trials", "finals")}
    any_seed = replace(cell, model="", seed=0, settings={**cell.settings, "tuning": tuning})
    return f"{cell.dataset}-{cell.prior}-{cell.posterior}-{any_seed.training_id}"
