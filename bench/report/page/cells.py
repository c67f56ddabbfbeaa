"""The page's table of cells, and a card with the pictures of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.report.labels import label_rows
from bench.report.page.pictures import Embedded, Embedder
from bench.report.page.views import Datum, Head, Table, cell_columns, datum, head
from bench.report.summary import Line, Row, summarise
from bench.store import Store

__all__ = [
    "PICTURES",
    "Card",
    "CellTable",
    "Labels",
    "Shown",
    "cell_cards",
    "cell_table",
    "name_of",
]

PICTURES = {
    "samples.png": "samples of the whole model",
    "categories.png": "samples by category, or by the prior's component: one row each",
    "labels.png": "samples by the label that the classifier sees in them",
    "density.png": "generated density, and the true one",
}
"""The pictures of a cell's folder, with their captions."""

SHOWN = frozenset(
    ("nelbo", "nll", "effective_categories", "category_information", "purity", "nmi", "js",
     "active_units", "seconds")
)  # fmt: skip
"""Metrics whose columns the table of cells shows before any is chosen."""


@dataclass(frozen=True)
class Shown:
    """A picture with its caption; ``link`` leads to the file beside the page.

    One with parts that can be asked what they are has ``drawing``, SVG to be put in as it is.
    """

    picture: Embedded
    caption: str
    link: str = ""
    drawing: str = ""


@dataclass(frozen=True)
class Labels:
    """A cell's labels with their largest categories."""

    headings: Sequence[str]
    rows: Sequence[tuple[list[str], list[tuple[int, str, bool]]]]
    note: str


@dataclass(frozen=True)
class Card:
    """All of one cell that is not a number of the table.

    Attributes:
        cell: its id.
        name: dataset, model, K and seed.
        marks: what a reader must know.
        reason: why it failed.
        folder: where its files are, as seen from the page.
        run: the address of its run in MLflow; empty where it is not known.
        pictures: of its folder, then figures about it alone.
        labels: None without labels.
    """

    cell: str
    name: str
    marks: Sequence[str]
    reason: str
    folder: str
    run: str
    pictures: Sequence[Shown]
    labels: Labels | None


@dataclass(frozen=True)
class CellTable(Table):
    """The table of cells: with every row the id of its cell, with every column whether it shows."""

    ids: Sequence[str] = field(default=())
    visible: Sequence[bool] = field(default=())


def name_of(row: Row) -> str:
    """What a reader calls a cell."""
    model = row.get("model") or f"{row['prior']} x {row['posterior']}"
    size = f" K={row['components']}" if row.get("components") else ""
    return f"{row['dataset']} {model}{size} seed {row['seed']}"


def cell_table(rows: Sequence[Row]) -> CellTable:
    """One row for every cell that ran, one column for every number that any of them has."""
    pairs = [(row, summarise([row])[0]) for row in rows]
    columns = cell_columns([line for _, line in pairs])
    settings = any(mark.startswith("settings") for line in summarise(rows) for mark in line.marks)
    heads = [
        Head("dataset", "what it was trained on", words=True),
        Head("model", "Table 3's name, else prior x posterior", words=True),
        Head("K", "how many categories, or components of the prior's mixture"),
        Head("seed", "of the training"),
        Head("marks", "what must be known before its numbers are read", words=True),
        Head("settings", "hash of all settings but the seed", words=True),
        *(head(column, group) for group, column, _ in columns),
    ]
    visible = (
        [True] * 5
        + [settings]
        + [is_first and column.metrics[0] in SHOWN for _, column, is_first in columns]
    )
    return CellTable(
        title="cells",
        heads=heads,
        rows=[
            [*_names(row, line), *(datum(c, line) for _, c, _ in columns)] for row, line in pairs
        ],
        ids=[str(row["cell"]) for row in rows],
        visible=visible,
    )


def _names(row: Row, line: Line) -> list[Datum]:
    return [
        Datum(str(row["dataset"])),
        Datum(line.model, tip=line.pair),
        Datum(line.components),
        Datum(str(row["seed"])),
        Datum(", ".join(line.marks), tip=line.note),
        Datum(str(row.get("setting") or "")),
    ]


def cell_cards(
    store: Store,
    rows: Sequence[Row],
    embedder: Embedder,
    runs: Mapping[str, str],
    figures: Mapping[str, Sequence[Shown]],
) -> list[Card]:
    """A card for every row.

    Args:
        store: where the cells' files are.
        rows: of the cells that ran.
        embedder: of pictures.
        runs: the address of each cell's MLflow run, where it is known.
        figures: of each cell, where there are any.
    """
    return [_card(store, row, embedder, runs, figures) for row in rows]


def _card(
    store: Store,
    row: Row,
    embedder: Embedder,
    runs: Mapping[str, str],
    figures: Mapping[str, Sequence[Shown]],
) -> Card:
    cell = str(row["cell"])
    folder = f"../cells/{cell}/"
    pictures = []
    for name, caption in PICTURES.items():
        found = embedder.embed(store.folder(cell) / name)
        if found is not None:
            pictures.append(Shown(found, caption, folder + name))
    labels = store.labels(cell)
    (line,) = summarise([row])
    return Card(
        cell=cell,
        name=name_of(row),
        marks=line.marks,
        reason=line.note,
        folder=folder,
        run=runs.get(cell, ""),
        pictures=[*pictures, *figures.get(cell, ())],
        labels=Labels(*label_rows(labels, row.get("components"))) if labels else None,
    )
