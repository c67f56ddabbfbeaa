"""What searches have tried, found and cost, beside the results that they led to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.best_file import read_search, settings_text
from bench.report.summary import Line
from bench.report.table import Table
from bench.store import Store

__all__ = ["search_tables"]

STATES = ("complete", "pruned", "failed")
HEADER = ["model", "K", *STATES, "trial epochs", "validation bound", "best settings"]


def search_tables(store: Store, lines: Sequence[Line]) -> list[Table]:
    """A table for each dataset on which finished cells have been searched.

    Args:
        store: where the cells' files are.
        lines: of :func:`bench.report.summary.summarise`; the seeds of one share a search.
    """
    by_dataset: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        found = next((one for cell in line.cells if (one := read_search(store, cell))), None)
        if found is not None:
            by_dataset.setdefault(line.dataset, []).append(_record(line, found))
    return [_table(dataset, records) for dataset, records in by_dataset.items()]


def _record(line: Line, found: dict[str, Any]) -> dict[str, Any]:
    return {
        "dataset": line.dataset,
        "model": line.name,
        "components": found["best"].get("components", line.components),
        **{state: found.get(f"trials_{state}") for state in STATES},
        "trial_epochs": found.get("trial_epochs"),
        "validation_bound": found["validation_bound"],
        "best": settings_text(found["best"]),
        "budget": found.get("budget", ""),
    }


def _table(dataset: str, records: Sequence[dict[str, Any]]) -> Table:
    budgets = list(dict.fromkeys(record["budget"] for record in records if record["budget"]))
    shared = "the same for every prior" if len(budgets) == 1 else "which differ: compare with care"
    rows = [
        [
            record["model"],
            str(record["components"]),
            *(_text(record[state]) for state in STATES),
            _text(record["trial_epochs"]),
            f"{record['validation_bound']:.2f}",
            record["best"],
        ]
        for record in records
    ]
    return Table(
        key=f"searches-{dataset}",
        title=f"Searches on {dataset}",
        caption=(
            "How many trials each search has trained to their end, stopped early or seen fail, the "
            "epochs that all of them have trained, and the best validation bound in nats, on seeds "
            f"of their own. Budget, {shared}: {' / '.join(budgets) or 'not recorded'}."
        ),
        header=list(HEADER),
        rows=rows,
        words=frozenset({0, len(HEADER) - 1}),
        prose=frozenset({len(HEADER) - 1}),
        records=tuple(records),
    )


def _text(value: Any) -> str:
    return "" if value is None else str(value)
