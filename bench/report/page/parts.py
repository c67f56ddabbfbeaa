"""Parts of the page that other modules make: figures, tables of the paper and the scorecard."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.errors import BenchError
from bench.report.summary import Row
from bench.store import Store

__all__ = ["Figure", "PaperTable", "Parts", "Verdict", "make_parts"]

Notice = Callable[[str], None]


class Figure(Protocol):
    """What a figure must say of itself."""

    title: str
    caption: str
    png: Path
    svg: Path | None
    cell: str | None
    asked: bool


class PaperTable(Protocol):
    """A table that is ready to be shown."""

    key: str
    title: str
    caption: str
    header: list[str]
    rows: list[list[str]]


class Verdict(Protocol):
    """One claim and what the store says to it."""

    key: str
    claim: str
    source: str
    verdict: str
    numbers: str
    test: str
    detail: str


@dataclass(frozen=True)
class Parts:
    """What could be made; an empty part is left out of the page."""

    figures: Sequence[Figure] = ()
    tables: Sequence[PaperTable] = ()
    scorecard: Sequence[Verdict] = ()


def make_parts(store: Store, rows: Sequence[Row], notice: Notice) -> Parts:
    """Every part for which there is a module, each alone: one that fails is told and left out."""
    return Parts(
        figures=_made("bench.report.figures", "make_figures", notice, store, rows, notice),
        tables=_made("bench.report.papertables", "tables", notice, store, rows),
        # Of searches alone it would say 25 times that nothing can be told.
        scorecard=_made("bench.report.scorecard", "judge", notice, store, rows) if rows else (),
    )


def _made(module: str, function: str, notice: Notice, *arguments: Any) -> Sequence[Any]:
    if importlib.util.find_spec(module) is None:
        return ()
    try:
        found: Sequence[Any] = getattr(importlib.import_module(module), function)(*arguments)
    except Exception as error:  # one damaged file must not cost the page
        why = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
        notice(f"{module.rpartition('.')[2]} are left out of the page: {why}")
        return ()
    return found
