"""The whole report of a store: which lines, which sections, in which format."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console

from bench.errors import UsageError, unknown
from bench.report import render
from bench.report.best import mark_best
from bench.report.columns import Section
from bench.report.labels import repeated, top_as_table, top_markdown, top_table
from bench.report.latex import to_latex
from bench.report.papertables import KINDS, Table
from bench.report.papertables.collection import of_lines
from bench.report.protocols import choose_settings
from bench.report.search_lines import ALONE, search_lines
from bench.report.sections import LABELS, SECTIONS
from bench.report.summary import Line, summarise
from bench.report.tables import FORMATS, as_tables
from bench.report.tables_terminal import to_terminal
from bench.store import Row, Store

__all__ = ["Choice", "chosen_lines", "chosen_rows", "show"]

LABEL_LINES = 12
"""With more lines than this the labels' tables are left out unless they are asked for."""


@dataclass(frozen=True)
class Choice:
    """What of a report is wanted; an empty list means all.

    Attributes:
        sections: keys of sections.
        models: names of models, or ``prior x posterior``.
        datasets: names of datasets.
        settings: of :func:`bench.report.protocols.choose_settings`.
    """

    sections: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()


def show(store: Store, rows: Sequence[Row], choice: Choice, format_: str, console: Console) -> None:
    """Print the report of ``rows``.

    Args:
        store: where the cells' files are.
        rows: of the store.
        choice: what of it.
        format_: terminal, markdown, csv, latex, or html (tables alone, to be put into a page).
        console: where a terminal's tables go; the other formats go to standard output.

    Raises:
        UsageError: an unknown section, model, dataset or setting; sections that CSV cannot join;
            nothing to show, in a format that cannot say so itself (CSV, LaTeX, HTML).
    """
    keys = [*(section.key for section in SECTIONS), LABELS, *KINDS]
    for key in choice.sections:
        if key not in keys:
            raise unknown("section", key, keys)
    lines, alone = chosen_lines(store, rows, choice)
    if alone and not lines and not choice.sections:  # nothing was trained: it is all that there is
        choice = replace(choice, sections=("searches",))
    mark_best(lines, store)
    sections = [s for s in SECTIONS if not choice.sections or s.key in choice.sections]
    finished = [line for line in lines if line.cells]
    labelled = LABELS in choice.sections
    if not choice.sections:
        labelled = len(finished) <= LABEL_LINES and format_ != "csv"
    kinds = [kind for kind in KINDS if kind in choice.sections]
    if not choice.sections and format_ != "csv":
        kinds = ["table3", "searches"] if format_ == "terminal" else list(KINDS)
    papers = of_lines(store, lines, kinds, alone)
    if not choice.sections and format_ == "terminal":  # of other data it repeats the first section
        papers = [t for t in papers if any(r.get("published", True) for r in t.records)]
    empty = [s.key for s in sections if choice.sections and not s.lines(lines)]
    if LABELS in choice.sections and not any(_labels(line, store)[1] for line in finished):
        empty.append(LABELS)
    if choice.sections:
        empty += [kind for kind in kinds if not any(t.key.startswith(kind) for t in papers)]
    said = [f"{key}: nothing to show; no line has any of its values" for key in empty]

    if format_ == "terminal":
        if sections:
            to_terminal(lines, console, sections)
        for line in finished if labelled else ():
            title, labels, size = _labels(line, store)
            top_table(labels, title, console, size)
        render.to_terminal(papers, console)
        if not choice.sections and not labelled:
            said.append(
                f"labels: left out for {len(finished)} lines; "
                "`bench report --section labels --models A,B` shows them"
            )
        for text in said:
            console.print(text, style="dim", markup=False, highlight=False)
    elif format_ == "csv":
        _write(_csv(store, lines, sections, papers, choice), said, len(lines))
    elif format_ == "markdown":
        text = FORMATS[format_](lines, sections) if sections else ""
        for line in finished if labelled else ():
            title, labels, size = _labels(line, store)
            text += "\n" + top_markdown(labels, title, size) if labels else ""
        text += "\n" + render.to_markdown(papers) if papers else ""
        sys.stdout.write(text + "".join(f"{sentence}\n" for sentence in said))
    else:
        found = as_tables(lines, sections)
        for line in finished if labelled else ():
            found += top_as_table(*_labels(line, store), key=f"{LABELS}-{line.cells[0]}")
        write = {"html": render.to_html, "latex": to_latex}[format_]
        _write(write([*found, *papers]), said, len(lines))


def _write(text: str, said: Sequence[str], lines: int) -> None:
    """A document on standard output, and what it lacks on the other; an empty one is a mistake."""
    if not text:
        raise UsageError(
            f"{'; '.join(said) or 'nothing to show'}. Expected finished cells with such values, "
            f"found none in {lines} lines; `bench report` shows what there is."
        )
    sys.stdout.write(text)
    for sentence in said:
        sys.stderr.write(f"{sentence}\n")


def _csv(
    store: Store,
    lines: Sequence[Line],
    sections: Sequence[Section],
    papers: Sequence[Table],
    choice: Choice,
) -> str:
    """One kind of rows: of lines, of labels, or of one of the paper's tables."""
    apart = [key for key in choice.sections if key == LABELS or key in KINDS]
    if len(apart) > 1 or (apart and sections):
        raise UsageError(
            f"{apart[0]} has rows of its own: expected --section {apart[0]} alone for CSV, found "
            f"{','.join(choice.sections)}"
        )
    if apart == [LABELS]:
        return _labels_csv([line for line in lines if line.cells], store)
    if apart:
        return render.to_csv(papers)
    return FORMATS["csv"](lines, sections if choice.sections else ())


def _chosen(lines: list[Line], choice: Choice) -> list[Line]:
    """Those of the chosen models and datasets; a name that no line has is a mistake."""
    names = {name.casefold() for line in lines for name in (line.model, line.pair)}
    for model in choice.models:
        if model.casefold() not in names:
            raise unknown("model", model, {line.model for line in lines})
    datasets = {line.dataset for line in lines}
    for dataset in choice.datasets:
        if dataset not in datasets:
            raise unknown("dataset", dataset, datasets)
    models = {model.casefold() for model in choice.models}
    return [
        line
        for line in lines
        if (not choice.datasets or line.dataset in choice.datasets)
        and (not models or models & {line.model.casefold(), line.pair.casefold()})
    ]


def chosen_lines(
    store: Store, rows: Sequence[Row], choice: Choice
) -> tuple[list[Line], list[Line]]:
    """The lines of the chosen models, datasets and settings, and those that were only searched for.

    Args:
        store: where the cells' files are.
        rows: of the store.
        choice: what of it; with settings, which are those of trained cells, no search alone.

    Raises:
        UsageError: an unknown model, dataset or setting.
    """
    rows = choose_settings(store, rows, choice.settings)
    alone = [] if choice.settings else search_lines(store)
    named = _chosen([*summarise(rows), *alone], choice)
    apart = [line for line in named if ALONE in line.marks]
    return [line for line in named if ALONE not in line.marks], apart


def chosen_rows(store: Store, rows: Sequence[Row], choice: Choice) -> list[Row]:
    """The rows of the chosen models, datasets and settings.

    Raises:
        UsageError: an unknown model, dataset or setting.
    """
    lines, _ = chosen_lines(store, rows, choice)
    cells = {cell for line in lines for cell in line.cells}
    return [row for row in rows if row["cell"] in cells]


def _labels(line: Line, store: Store) -> tuple[str, list[Row], int | None]:
    """What a line's first cell is called, its labels, and its K."""
    cell = line.cells[0]
    row = store.row(cell) or {}
    size: int | None = row.get("components")
    shown = f" K={size}" if size else ""
    settings = "".join(f" {mark}" for mark in line.marks if mark.startswith("settings"))
    title = f"{line.dataset} {line.model}{shown}{settings} seed {row.get('seed', '')}"
    return title, store.labels(cell), size


def _labels_csv(lines: Sequence[Line], store: Store) -> str:
    """One row a label of purity.json: lists as ``k:share`` and ``k k``, parted by spaces."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    numbers = (
        "label", "count", "purity", "purity_se", "chance", "corrected", "purity_hard",
        "prior_purity", "prior_purity_se", "prior_chance", "top_mass",
    )  # fmt: skip
    lists = ("top_categories", "marked")
    writer.writerow(["dataset", "model", "components", "cell", *numbers, *lists])
    for line in lines:
        labels = store.labels(line.cells[0])
        several = repeated(labels)
        for row in labels:
            top = " ".join(f"{k}:{share:.6g}" for k, share in row.get("top_categories", []))
            known = ["" if row.get(name) is None else row[name] for name in numbers]
            marked = " ".join(str(k) for k, _ in row.get("top_categories", []) if k in several)
            named = (line.dataset, line.model, line.components, line.cells[0])
            writer.writerow([*named, *known, top, marked])
    return text.getvalue()
