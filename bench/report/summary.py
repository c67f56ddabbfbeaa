"""Rows of a store, one line a model: means over seeds, with the error that a reader needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Value:
    """A number and its error.

    Attributes:
        mean: over seeds.
        error: standard deviation over training seeds where there are several, else the standard
            error over test examples.
    """

    mean: float
    error: float | None = None

    def text(self, digits: int) -> str:
        """``mean ± error`` with a fixed number of digits."""
        shown = f"{self.mean:.{digits}f}"
        return shown if self.error is None else f"{shown} ± {self.error:.{digits}f}"


@dataclass
class Line:
    """One model on one dataset.

    Attributes:
        dataset, model, components: what it is.
        seeds: how many finished.
        values: the averaged columns.
        marks: what a reader must know: collapsed, unverified, tuned, failed, skipped, settings.
        note: the reason behind a mark.
        assignment: which side the categories come from: posterior, prior, none or mixed.
    """

    dataset: str
    model: str
    components: str
    seeds: int = 0
    values: dict[str, Value] = field(default_factory=dict)
    marks: list[str] = field(default_factory=list)
    note: str = ""
    assignment: str = ""


AVERAGED = (
    "nelbo", "nll", "reconstruction", "kl_z", "kl_c", "effective_categories",
    "category_information", "purity", "purity_chance", "purity_corrected", "nmi", "ari",
    "active_units", "entropy", "entropy_max", "seconds",
)  # fmt: skip


def summarise(rows: Iterable[Row]) -> list[Line]:
    """One line for every (dataset, prior, posterior, K), best bound first within a dataset.

    Rows that differ in more than the seed (a store may hold runs of several presets) never share
    a line; such lines are marked with the start of the hash of their settings.
    Tuned rows of one setting may differ in K; they share a line that says so.
    """
    models: dict[tuple[Any, ...], dict[tuple[Any, ...], list[Row]]] = {}
    for row in rows:
        size = "tuned" if row.get("tuned") else row.get("components")
        model = (row["dataset"], row["prior"], row["posterior"], size)
        key = (row.get("setting"), row["dataset_fingerprint"])
        models.setdefault(model, {}).setdefault(key, []).append(row)
    lines = [
        _line(group, setting if len(groups) > 1 else None)
        for groups in models.values()
        for (setting, _), group in groups.items()
    ]
    datasets = list(dict.fromkeys(line.dataset for line in lines))

    def order(line: Line) -> tuple[int, int, float]:
        bound = line.values.get("nelbo")
        rank = 0 if bound else 1 if "failed" in line.marks else 2
        return datasets.index(line.dataset), rank, bound.mean if bound else math.inf

    return sorted(lines, key=order)


def _line(group: Sequence[Row], setting: str | None) -> Line:
    first = group[0]
    done = [row for row in group if row["status"] == "ok"]
    sizes = sorted({row["components"] for row in done or group if row.get("components")})
    line = Line(
        dataset=first["dataset"],
        model=first.get("model") or f"{first['prior']} x {first['posterior']}",
        components=", ".join(str(size) for size in sizes),
        seeds=len(done),
    )
    for name in AVERAGED:
        found = [row for row in done if isinstance(row.get(name), int | float)]
        if not found:
            continue
        numbers = [float(row[name]) for row in found]
        error = stdev(numbers) if len(numbers) > 1 else found[0].get(f"{name}_se")
        line.values[name] = Value(fmean(numbers), error)
    sides = {row.get("assignment") for row in done}
    line.assignment = sides.pop() or "" if len(sides) == 1 else "mixed" if sides else ""
    _mark(line, group, done, setting)
    return line


def _mark(line: Line, group: Sequence[Row], done: Sequence[Row], setting: str | None) -> None:
    collapsed = sum(bool(row.get("collapsed")) for row in done)
    if collapsed:
        line.marks.append(
            "collapsed" if collapsed == len(done) else f"collapsed {collapsed}/{len(done)}"
        )
    if str(group[0].get("dataset_fingerprint", "")).startswith("unverified"):
        line.marks.append("unverified data")
    if any(row.get("tuned") for row in done):
        line.marks.append("tuned")
    if setting and done:
        line.marks.append(f"settings {setting}")
    for status in ("failed", "skipped"):
        hit = [row for row in group if row["status"] == status]
        if hit:
            line.marks.append(status if len(hit) == len(group) else f"failed {len(hit)}")
            line.note = hit[0].get("reason", "")
