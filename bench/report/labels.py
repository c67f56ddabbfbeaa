"""One model's labels: how pure each is, and the categories that hold it (Tables 2 and A1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.evaluation.top_categories import random_picks

__all__ = ["top_markdown", "top_table"]

Label = Mapping[str, Any]

HEADINGS = ("label", "n", "purity (chance)", "hard", "largest categories", "mass")


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
    table = Table(title=Text(title), title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    for heading in HEADINGS:
        text = heading in ("label", HEADINGS[4])
        table.add_column(heading, justify="left" if text else "right", no_wrap=not text)
    for label in labels:
        listed = Text("  ").join(
            Text(f"{k}:{share}", style="bold" if marked else "")
            for k, share, marked in _shown(label)
        )
        name, *numbers, mass = _cells(label)
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
    lines = [f"#### {title}", "", _row(HEADINGS), _row(["---"] * len(HEADINGS))]
    for label in labels:
        listed = ", ".join(
            f"**{k}** {share}" if marked else f"{k} {share}" for k, share, marked in _shown(label)
        )
        name, *numbers, mass = _cells(label)
        lines.append(_row([name.replace("|", r"\|"), *numbers, listed, mass]))
    return "\n".join([*lines, "", _summary(labels, categories), ""])


def _summary(labels: Sequence[Label], categories: int | None = None) -> str:
    """What the lists come to, in one line, beside what random picks would give."""
    places = [place for label in labels for place in _listed(label)]
    marked = sum(repeated for _, _, repeated in places)
    distinct = len({k for k, _, _ in places})
    mass = sum(share for _, share, _ in places) / len(labels)
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


def _listed(label: Label) -> Iterator[tuple[int, float, bool]]:
    """Category, its share of the label, and whether another label's list has it."""
    marked = set(label.get("marked", ()))
    for k, share in label["top_categories"]:
        yield k, share, k in marked


def _shown(label: Label) -> Iterator[tuple[int, str, bool]]:
    for k, share, marked in _listed(label):
        yield k, f"{share:.2f}".removeprefix("0"), marked


def _cells(label: Label) -> list[str]:
    """All but the list: name, count, purity, hard purity and mass."""
    purity = _number(label, "purity")
    if purity and label.get("purity_se") is not None:
        purity += f" ± {_number(label, 'purity_se')}"
    if purity and label.get("chance") is not None:
        purity += f" ({_number(label, 'chance')})"
    return [
        str(label["label"]),
        str(label["count"]),
        purity,
        _number(label, "purity_hard"),
        _number(label, "top_mass"),
    ]


def _number(label: Label, name: str) -> str:
    value = label.get(name)
    return "" if value is None else f"{value:.2f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
