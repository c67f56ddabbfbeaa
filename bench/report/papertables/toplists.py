"""Tables 2 and A1: the five largest categories of every label, repeats marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.evaluation.top_categories import TOP, random_picks
from bench.report.labels import repeated
from bench.report.papertables.published import TOP_LISTS, counts
from bench.report.summary import Line
from bench.report.table import Table
from bench.store import Store

__all__ = ["table_2"]

MODELS = ("CP", "INDq", "INDp", "INDqp")
MOST_LABELS = 100
"""Omniglot has over a thousand labels: the paper has no such table of it."""

NAMES = {"fashion_mnist": "Table 2", "mnist": "Table A1"}

Labels = Sequence[Mapping[str, Any]]


def table_2(store: Store, lines: Sequence[Line]) -> list[Table]:
    """A table for every dataset and K where one of the four models with a category was measured.

    Args:
        store: where the cells' purity.json are.
        lines: of :func:`bench.report.summary.summarise`.
    """
    places: dict[tuple[str, str], list[tuple[Line, Labels]]] = {}
    for line in sorted(lines, key=lambda line: _place(line.model)):
        if line.model not in MODELS or not line.cells or not line.components.isdigit():
            continue
        labels = [label for label in store.labels(line.cells[0]) if label.get("top_categories")]
        if 1 < len(labels) <= MOST_LABELS:
            places.setdefault((line.dataset, line.components), []).append((line, labels))
    return [_table(dataset, int(size), found) for (dataset, size), found in places.items()]


def _place(model: str) -> int:
    return MODELS.index(model) if model in MODELS else len(MODELS)


def _table(dataset: str, size: int, found: Sequence[tuple[Line, Labels]]) -> Table:
    names = list(dict.fromkeys(str(label["label"]) for _, labels in found for label in labels))
    width = min(TOP, size)
    rows = [[name] + [""] * (width * len(found)) for name in names]
    strong: set[tuple[int, int]] = set()
    records = []
    for block, (line, labels) in enumerate(found):
        several = repeated(labels)
        for label in labels:
            row = names.index(str(label["label"]))
            for rank, (k, share) in enumerate(label["top_categories"][:width]):
                column = 1 + block * width + rank
                rows[row][column] = str(k)
                if k in several:
                    strong.add((row, column))
                records.append(
                    {
                        "dataset": dataset, "components": size, "model": line.name,
                        "cell": line.cells[0], "label": label["label"], "rank": rank + 1,
                        "category": k, "share": share, "repeated": k in several,
                    }
                )  # fmt: skip
    number = NAMES.get(dataset, "Table 2")
    return Table(
        key=f"table2-{dataset}-{size}",
        title=f"{number} on {dataset}, K = {size}: the largest categories of each label",
        caption=_caption(dataset, size, found, width),
        header=["label", *(f"{line.name} {n + 1}" for line, _ in found for n in range(width))],
        rows=rows,
        strong=frozenset(strong),
        records=tuple(records),
    )


def _caption(dataset: str, size: int, found: Sequence[tuple[Line, Labels]], width: int) -> str:
    said = [
        "By q(c|label), descending, of the first seed's model; bold: in the list of another label "
        "of the model too. The categories' numbers mean nothing; their counts do."
    ]
    for line, labels in found:
        distinct, marked = counts([[k for k, _ in label["top_categories"]] for label in labels])
        mass = sum(share for label in labels for _, share in label["top_categories"]) / len(labels)
        said.append(
            f"{line.name}: {distinct} categories, {marked} places repeated, a list holds "
            f"{mass:.2f} of its label."
        )
    places = max(len(labels) for _, labels in found)
    random = random_picks(size, places, width)
    said.append(
        f"Picked at random from {size}: {random.distinct:.1f} categories, {random.marked:.1f} "
        f"repeated, {random.mass:.2f} of a label; so little overlap alone is no evidence."
    )
    for model, lists in TOP_LISTS.get((dataset, size), {}).items():
        distinct, marked = counts(lists)
        said.append(f"Published for {model}: {distinct} categories, {marked} places repeated.")
    return " ".join(said)
