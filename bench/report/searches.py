"""The searches behind a store's cells: what each was allowed, what it spent and what it chose."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.best_file import SEARCHED, budget_text, read_search, settings_text, with_error
from bench.files import read_json
from bench.report.summary import Line
from bench.report.table import Table
from bench.store import Store
from bench.tuning.records import TrialRecord, TuningResult

__all__ = ["Search", "find_searches", "searches_table"]

OWN = ("trial", "state", "validation_bound", "epochs", "repeats", "reason")
"""The columns of trials.csv that are no settings."""


@dataclass(frozen=True)
class Search:
    """A search, as it lies in the folders of the cells that were trained with what it chose.

    Attributes:
        study: its name; all seeds of a setting have one, and so has a search that was extended.
        trials: how many it was allowed; None where that is not known.
        dataset, model, components: what was searched; K is None where it was searched, too.
        cells: those cells.
        result: its trials, and the best of them.
        error: the standard error of the best's bound; None where it is one training's.
        weights: the importance of each setting, largest first; empty where that is not known.
        budget: what it was allowed, in words; empty where that is not known.
        told: what tells it from other searches of the same, in words; empty where it is alone.
        finals: ``tuning.finals`` of the cells' settings; empty where nothing was trained again.
    """

    study: str
    trials: int | None
    dataset: str
    model: str
    components: int | None
    cells: tuple[str, ...]
    result: TuningResult
    error: float | None
    weights: dict[str, float]
    budget: str
    told: str = ""
    finals: Mapping[str, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What no other search of the store is called."""
        if self.trials is None:
            return self.study
        again = f"-{self.finals['settings']}x{self.finals['repeats']}" if self.finals else ""
        return f"{self.study}-{self.trials}{again}"

    @property
    def name(self) -> str:
        """What a reader calls it."""
        size = "" if self.components is None else f" K={self.components}"
        return f"{self.dataset} {self.model}{size}" + (f" ({self.told})" if self.told else "")


def find_searches(store: Store, lines: Iterable[Line]) -> list[Search]:
    """Every search of which the finished cells of ``lines`` have the files, none twice.

    A search that was extended is one for every budget that it was allowed: each chose for cells of
    its own. What is damaged is left out: it is the record of how a number came about,
    not the number.
    """
    found: dict[tuple[Any, str], Search] = {}
    for line in lines:
        for cell in line.cells:
            facts = read_search(store, cell)
            if facts is None:
                continue
            folder = store.folder(cell)
            budget, trials, finals = _allowed(folder)
            if (facts.get("study"), budget) in found:
                continue
            try:
                search = _read(folder, facts, line, budget, trials, finals)
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue
            found[search.study, budget] = search
    many = Counter(one.name for one in found.values())
    return [
        replace(one, told=_told(one.budget)) if many[one.name] > 1 else one
        for one in found.values()
    ]


def searches_table(store: Store, lines: Sequence[Line]) -> list[Table]:
    """One table of all searches; none where nothing was searched."""
    searches = find_searches(store, lines)
    if not searches:
        return []
    budgets = {(one.dataset, one.budget) for one in searches if one.budget}
    said = "; ".join(f"on {dataset} {budget}" for dataset, budget in sorted(budgets))
    equal = len(budgets) == len({dataset for dataset, _ in budgets})
    same = "the same for every system" if equal else "NOT the same for every system of a dataset"
    return [
        Table(
            "searches",
            "The searches and their budgets",
            "Bound: the validation bound of the chosen settings in nats, higher is better. It is "
            "valid, taken with many draws, and neither "
            "labels nor test data were read. Chosen settings are trained again on fresh seeds, "
            "and only these are reported. Again: how often finalists were trained again on further "
            "trial seeds; the bound is then the mean of that for the chosen one, ± its standard "
            "error over seeds. Epochs: of all these together. "
            + (f"Budget, {same}: {said}." if said else "The budgets are not known."),
            ["search", "done", "pruned", "failed", "again", "epochs", "bound", "chosen"],
            [_row(one) for one in searches],
            words=frozenset({0, 7}),
            prose=frozenset({7}),
            records=tuple(_record(one) for one in searches),
        )
    ]


def _row(one: Search) -> list[str]:
    result = one.result
    states = [str(result.count(state)) for state in ("complete", "pruned", "failed")]
    return [
        one.name,
        *states,
        str(len(result.repeats)),
        str(result.epochs),
        with_error(result.value, one.error),
        settings_text(result.best),
    ]


def _record(one: Search) -> dict[str, Any]:
    result = one.result
    return {
        "study": one.study,
        "dataset": one.dataset,
        "model": one.model,
        "components": result.best.get("components", one.components),
        **{f"trials_{state}": result.count(state) for state in ("complete", "pruned", "failed")},
        "repeats": len(result.repeats),
        "trial_epochs": result.epochs,
        "validation_bound": result.value,
        "validation_bound_se": one.error,
        "budget": one.budget,
        "chosen": " ".join(f"{name}={value}" for name, value in result.best.items()),
    }


def _told(budget: str) -> str:
    """What may differ between searches of one name: not the pruning, which is in the name."""
    return "; ".join(part for part in budget.split("; ") if not part.startswith("after epoch"))


def _allowed(folder: Path) -> tuple[str, int | None, dict[str, int]]:
    """The budget of a cell's search in words, its number of trials, and its finals."""
    settings = read_json(folder / "config.json") or read_json(folder / SEARCHED) or {}
    try:
        tuning = settings["tuning"]
        finals = {name: int(count) for name, count in tuning.get("finals", {}).items()}
        words = budget_text(tuning, settings["training"]["epochs"])
        return words, int(tuning["trials"]), finals
    except (KeyError, TypeError, ValueError, AttributeError):
        return "", None, {}


def _read(
    folder: Path,
    facts: dict[str, Any],
    line: Line,
    budget: str,
    trials: int | None,
    finals: Mapping[str, int],
) -> Search:
    searched, records = "components" in facts["best"], _trials(folder)
    return Search(
        str(facts["study"]),
        trials,
        line.dataset,
        line.model,
        None if searched or not line.components else int(line.components),
        line.cells,
        TuningResult(
            dict(facts["best"]),
            float(facts["validation_bound"]),
            [one for one in records if one.repeats is None],
            [one for one in records if one.repeats is not None],
        ),
        facts.get("validation_bound_se"),
        _weights(folder / "tuning_importances.csv"),
        budget,
        finals=finals,
    )


def _trials(folder: Path) -> list[TrialRecord]:
    with (folder / "trials.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [
        TrialRecord(
            int(row["trial"]),
            {name: _value(text) for name, text in row.items() if name not in OWN and text},
            float(row["validation_bound"]) if row["validation_bound"] else None,
            row["state"],  # type: ignore[arg-type]
            row["reason"],
            int(row["epochs"]),
            int(row["repeats"]) if row.get("repeats") else None,
        )
        for row in rows
    ]


def _weights(path: Path) -> dict[str, float]:
    try:
        with path.open(newline="") as stream:
            return {row["setting"]: float(row["importance"]) for row in csv.DictReader(stream)}
    except (OSError, ValueError, KeyError):
        return {}


def _value(text: str) -> int | float | str:
    """What stood there before it was text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
