"""The report as Python: what ``bench report``, ``compare`` and ``sample`` print, as values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from bench.commands import settings_for
from bench.errors import unknown
from bench.interface import rows_of
from bench.pictures import Wanted, sample_pictures, the_cell
from bench.report.best import mark_best
from bench.report.compare import compare_models
from bench.report.compare_tables import records
from bench.report.document import Choice, chosen_lines, chosen_rows
from bench.report.page import write_page
from bench.report.papertables import KINDS
from bench.report.papertables.collection import of_lines
from bench.report.scorecard.claims import judge_evidence
from bench.report.scorecard.evidence import Evidence
from bench.report.scorecard.show import as_table
from bench.report.search_lines import searched_rows
from bench.report.sections import SECTIONS
from bench.report.selection import Filter
from bench.report.summary import summarise
from bench.report.tables import as_tables
from bench.store import Row, Store

__all__ = ["compare", "page", "sample", "scorecard", "tables"]

Words = Sequence[str]


def compare(
    a: str,
    b: str,
    metric: str = "nelbo",
    *,
    out: str | Path = "runs",
    datasets: Words = (),
    components: Sequence[int] = (),
    settings: Words = (),
) -> pd.DataFrame:
    """``bench compare``: two models on the same test examples, a row for each dataset and K.

    Args:
        a: a model (``CP``, ``CP K=10``, ``mog x joint``) or a cell's id.
        b: the other.
        metric: nelbo, nll, nll_rb, reconstruction, kl_z or kl_c, in nats an example; lower is
            better, and ``difference`` is that of a less that of b.
        out: the results folder.
        datasets: only these.
        components: only these K.
        settings: only these.

    Raises:
        UsageError: no results, an unknown name or metric, or nothing to compare.
    """
    store, rows = _opened(out)
    chosen = Filter(tuple(datasets), tuple(components), tuple(settings))
    return pd.DataFrame(records(compare_models(store, rows, a, b, metric, chosen)))


def scorecard(
    out: str | Path = "runs",
    *,
    models: Words = (),
    datasets: Words = (),
    settings: Words = (),
) -> pd.DataFrame:
    """``bench report --scorecard``: the paper's claims, a row each with its verdict.

    Raises:
        UsageError: no results, or an unknown model, dataset or setting.
    """
    store, rows = _opened(out)
    choice = Choice((), tuple(models), tuple(datasets), tuple(settings))
    evidence = Evidence(store, chosen_rows(store, rows, choice))
    return pd.DataFrame(as_table(judge_evidence(evidence)).records)


def tables(
    out: str | Path = "runs",
    sections: Words = (),
    *,
    models: Words = (),
    datasets: Words = (),
    settings: Words = (),
) -> dict[str, pd.DataFrame]:
    """The tables of ``bench report``, by name: texts as they are printed, errors included.

    Numbers to compute with are in :func:`bench.results`.

    Args:
        out: the results folder.
        sections: keys of sections, or table1, table2, table3, searches; none: all.
        models: only these.
        datasets: only these.
        settings: only these.

    Raises:
        UsageError: no results, or an unknown section, model, dataset or setting.
    """
    keys = [*(section.key for section in SECTIONS), *KINDS]
    for key in sections:
        if key not in keys:
            raise unknown("section", key, keys)
    store, rows = _opened(out, or_searches=True)
    choice = Choice(tuple(sections), tuple(models), tuple(datasets), tuple(settings))
    _, alone = chosen_lines(store, rows, choice)
    lines = summarise(chosen_rows(store, rows, choice))
    mark_best(lines, store)
    wanted = sections or keys
    found = as_tables(lines, [section for section in SECTIONS if section.key in wanted])
    found += of_lines(store, lines, [kind for kind in KINDS if kind in wanted], alone)
    return {table.key: pd.DataFrame(table.rows, columns=table.header) for table in found}


def page(out: str | Path = "runs", notice: Callable[[str], None] = print) -> Path:
    """``bench report --format html``: write the page with all figures, and say where it is.

    Args:
        out: the results folder.
        notice: told, a line each, what had to be left out and why.

    Raises:
        UsageError: no results.
    """
    store, rows = _opened(out, or_searches=True)
    uri = settings_for(store.out, (), None).tracking.uri
    return write_page(store, rows, uri=uri, notice=notice)


def sample(
    cell: str,
    to: str | Path,
    *,
    out: str | Path = "runs",
    category: int | None = None,
    label: str | None = None,
    component: int | None = None,
    grid: bool = False,
    interpolate: bool = False,
    number: int | None = None,
    seed: int = 0,
) -> Path:
    """``bench sample``: write a PNG file of what a trained model generates, and return its path.

    As arrays they are ``bench.load(cell).sample(...)``.

    Args:
        cell: a cell's id, its beginning, or a model's name that means one cell.
        to: the file.
        out: the results folder.
        category: generate only of this one.
        label: generate only of this one.
        component: generate only of this one.
        grid: a row for each of the most used categories.
        interpolate: walks between test data, a row each.
        number: pictures; of a grid a row, of walks rows.
        seed: of the draws.

    Raises:
        UsageError: no such cell, category, label or component; the data are no pictures; the file
            cannot be written.
    """
    wanted = Wanted(category, label, component, grid, interpolate, number, seed)
    store, rows = _opened(out)
    return sample_pictures(store, the_cell(rows, cell), wanted, Path(to))


def _opened(out: str | Path, *, or_searches: bool = False) -> tuple[Store, list[Row]]:
    """A store and its rows; with ``or_searches``, also one in which `bench tune` searched alone."""
    store = Store(Path(out), create=False)
    if or_searches and not store.rows() and searched_rows(store):
        return store, []
    return store, rows_of(store)
