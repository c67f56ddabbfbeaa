"""One model's labels: how pure each is, and the categories that hold it (Tables 2 and A1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from bench.evaluation.top_categories import random_picks
from bench.report.table import Table

__all__ = ["label_rows", "repeated", "top_as_table", "top_markdown", "top_table"]

Label = Mapping[str, Any]

LISTS = "largest categories"
PRIOR = "prior purity (chance)"
"""The heading of the purity by the prior's components, where a cell has it beside q(c|x)'s."""


def repeated(labels: Sequence[Label]) -> set[int]:
    """The categories that are in the lists of several labels."""
    times = Counter(k for label in labels for k in {k for k, _ in label.get("top_categories", ())})
    return {k for k, count in times.items() if count > 1}


def top_table(
    labels: Sequence[Label], title: str, console: Console, categories: int | None = None
) -> None:
    """Print the labels of one model; categories in the lists of several labels are bold.

    Args:
        labels: the rows of a cell's purity.json.
        title: what the table is of.
        console: where to.
        categories: K, where it is known: what random lists would give is said as well.
    """
    if not labels:
        return
    table = Grid(title=Text(title), title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    several = repeated(labels)
    for heading in _headings(labels):
        text = heading in ("label", LISTS)
        table.add_column(heading, justify="left" if text else "right", no_wrap=not text)
    for label in labels:
        listed = Text("  ").join(
            Text(f"{k}:{share}", style="bold" if marked else "")
            for k, share, marked in _shown(label, several)
        )
        name, *numbers, mass = _cells(label, labels)
        table.add_row(Text(name), *numbers, listed, mass)
    console.print(table)
    console.print(_summary(labels, categories), style="dim", markup=False, highlight=False)


def top_markdown(labels: Sequence[Label], title: str, categories: int | None = None) -> str:
    """The labels of one model as a Markdown table under a heading; empty without labels.

    Args:
        labels, title, categories: as for ``top_table``; here bold is ``**k**``.
    """
    if not labels:
        return ""
    headings, several = _headings(labels), repeated(labels)
    lines = [f"#### {title}", "", _row(headings), _row(["---"] * len(headings))]
    for label in labels:
        listed = ", ".join(
            f"**{k}** {share}" if marked else f"{k} {share}"
            for k, share, marked in _shown(label, several)
        )
        name, *numbers, mass = _cells(label, labels)
        lines.append(_row([name.replace("|", r"\|"), *numbers, listed, mass]))
    return "\n".join([*lines, "", _summary(labels, categories), ""])


def top_as_table(
    title: str, labels: Sequence[Label], categories: int | None, key: str
) -> list[Table]:
    """The labels of one model as a table for the other formats; none without labels."""
    if not labels:
        return []
    several = repeated(labels)
    rows = []
    for label in labels:
        listed = ", ".join(
            f"{k}{'*' if marked else ''} {share}" for k, share, marked in _shown(label, several)
        )
        name, *numbers, mass = _cells(label, labels)
        rows.append([name, *numbers, listed, mass])
    headings = _headings(labels)
    caption = _summary(labels, categories).replace("in bold", "marked *")
    words = frozenset({0, headings.index(LISTS)})
    return [Table(key, title, caption, headings, rows, words)]


def _summary(labels: Sequence[Label], categories: int | None = None) -> str:
    """What the lists come to, in one line, beside what random picks would give."""
    several = repeated(labels)
    places = [place for label in labels for place in label["top_categories"]]
    marked = sum(k in several for k, _ in places)
    distinct = len({k for k, _ in places})
    mass = sum(share for _, share in places) / len(labels)
    said = (
        f"{distinct} categories in {len(places)} places; {marked} places, in bold, hold a category "
        f"of several labels; a list holds {mass:.2f} of its label on average."
    )
    if categories is None:
        return said
    random = random_picks(
        categories, len(labels), max(len(label["top_categories"]) for label in labels)
    )
    return (
        f"{said} Picked at random from {categories}: {random.distinct:.1f} categories, "
        f"{random.marked:.1f} such places, {random.mass:.2f} of a label."
    )


def _shown(label: Label, several: set[int]) -> Iterator[tuple[int, str, bool]]:
    """Category, its share of the label, and whether another label's list has it."""
    for k, share in label["top_categories"]:
        yield k, f"{share:.2f}".removeprefix("0"), k in several


def _both(labels: Sequence[Label]) -> bool:
    return any(label.get("prior_purity") is not None for label in labels)


def _headings(labels: Sequence[Label]) -> list[str]:
    prior = [PRIOR] if _both(labels) else []
    return ["label", "n", "purity (chance)", *prior, "hard", LISTS, "mass"]


def _cells(label: Label, labels: Sequence[Label]) -> list[str]:
    """All but the list: name, count, purities, hard purity and mass."""
    prior = [_purity(label, "prior_")] if _both(labels) else []
    return [
        str(label["label"]),
        str(label["count"]),
        _purity(label),
        *prior,
        _number(label, "purity_hard"),
        _number(label, "top_mass"),
    ]


def _purity(label: Label, side: str = "") -> str:
    purity = _number(label, f"{side}purity")
    if purity and label.get(f"{side}purity_se") is not None:
        purity += f" ± {_number(label, f'{side}purity_se')}"
    if purity and label.get(f"{side}chance") is not None:
        purity += f" ({_number(label, f'{side}chance')})"
    return purity


def _number(label: Label, name: str) -> str:
    value = label.get(name)
    return "" if value is None else f"{value:.2f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def label_rows(
    labels: Sequence[Label], categories: int | None = None
) -> tuple[list[str], list[tuple[list[str], list[tuple[int, str, bool]]]], str]:
    """Headings, the last the lists'; each label's texts and its list; what the lists come to.

    A list has for each category its number, its share, and whether several labels have it.
    """
    *headings, lists, mass = _headings(labels)
    several = repeated(labels)
    rows = [(_cells(label, labels), list(_shown(label, several))) for label in labels]
    return [*headings, mass, lists], rows, _summary(labels, categories)
