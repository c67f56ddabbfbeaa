"""What searches have tried, found and cost: in a terminal, after a search and after a run."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from bench.best_file import budget_of, read_search, settings_text, with_error
from bench.grid import Cell
from bench.searching import study_name
from bench.store import Row, Store
from bench.tuning.storage import Storage

Found = list[tuple[Cell, Row]]


def searched(cells: Iterable[Cell], store: Store) -> Found:
    """How the searches of a run's cells have ended, each once; without those still going on."""
    found: dict[str, tuple[Cell, Row]] = {}
    for cell in cells:
        if not cell.settings["tuning"]:
            continue
        study = study_name(cell)
        facts, row = read_search(store, cell.id), store.row(cell.id)
        if facts is not None:
            found[study] = cell, {"status": "ok", "tuned": facts["best"], **facts}
        elif row is not None and row["status"] == "failed":
            found.setdefault(study, (cell, row))
    return list(found.values())


def show(found: Found, console: Console) -> None:
    """The table: what was tried, what was found, and what it cost."""
    table = Table(
        title="searches, validation bound of the chosen settings in nats", title_justify="left"
    )
    for heading in (
        "dataset",
        "model",
        "K",
        "done",
        "pruned",
        "failed",
        "again",
        "epochs",
        "bound",
    ):
        table.add_column(heading, justify="left" if heading in ("dataset", "model") else "right")
    table.add_column("best settings")
    for cell, row in found:
        best = row.get("tuned", {})
        chosen = "components" in cell.settings["tuning"]["space"]
        size = best.get("components", "") if chosen else cell.components
        settings = settings_text(best)
        ended = [str(row.get(f"trials_{state}", "")) for state in ("complete", "pruned", "failed")]
        bound = with_error(row["validation_bound"], row.get("validation_bound_se")) if best else ""
        name = cell.model or f"{cell.prior} x {cell.posterior}"
        ended.append(str(row.get("repeats", "")))
        spent = str(row.get("trial_epochs", ""))
        size = "" if size is None else str(size)
        table.add_row(cell.dataset, name, size, *ended, spent, bound, settings or row["reason"])
    console.print(table)
    if any(row.get("repeats") for _, row in found):
        said = (
            "again: how often finalists were trained again; the bound is the mean of that for the "
            "chosen one, ± its standard error over training seeds"
        )
        console.print(said, markup=False, highlight=False)
    budgets = {(cell.dataset, budget_of(cell)) for cell, _ in found}
    for dataset, budget in sorted(budgets):
        said = f"budget on {dataset}, the same for every prior: {budget}"
        console.print(said, markup=False, highlight=False)


def say_place(place: Storage, console: Console) -> None:
    """Where the trials are, and what shows them."""
    said = f"trials: {place.shown} (look at them: optuna-dashboard {place.shown})"
    console.print(said, markup=False, highlight=False, soft_wrap=True)
