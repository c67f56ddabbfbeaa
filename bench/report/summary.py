"""Rows of a store, one line a model: means over seeds, each with the errors that it has."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any

from bench.store import COLUMNS

Row = dict[str, Any]

ERRORS = {name: name.removesuffix("_se") for name in COLUMNS if name.endswith("_se")}
"""The columns that are the error of another, and of which."""

DESCRIBING = (
    "cell", "dataset", "prior", "posterior", "model", "components", "seed", "status", "reason",
    "device", "evaluation_chunk", "threads", "products", "engine_mode", "replicas", "assignment",
    "setting", "dataset_fingerprint", "tuned",
)  # fmt: skip

AVERAGED = tuple(name for name in COLUMNS if name not in ERRORS and name not in DESCRIBING)
"""The columns of results.csv that are averaged over seeds."""


@dataclass(frozen=True)
class Value:
    """A number with its errors, which are of different kinds and are never added up.

    Attributes:
        mean: over seeds; of a yes or no, the share of seeds.
        sd: standard deviation over training seeds; None with one seed, and for a yes or no.
        se: standard error of the measurement on one trained model, over test examples unless
            the column says otherwise (root mean square over seeds: they share the examples, so
            it does not shrink with their number).
        mc: the part of ``se`` that is Monte Carlo noise of the evaluation, of the mean over
            seeds: independent between them, so it falls as one over the root of their number.
        pooled: standard error of the mean over seeds where those of ``se`` are independent
            between seeds, sqrt(sum of squares) / S.
    """

    mean: float
    sd: float | None = None
    se: float | None = None
    mc: float | None = None
    pooled: float | None = None

    @property
    def error(self) -> float | None:
        """What stands behind ±: ``sd`` where there are several seeds, else ``se``."""
        return self.se if self.sd is None else self.sd

    def text(self, digits: int, *, error: bool = True) -> str:
        """``mean ± error`` with a fixed number of digits."""
        shown = f"{self.mean:.{digits}f}"
        if not error or self.error is None:
            return shown
        return f"{shown} ± {self.error:.{digits}f}"


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
        pair: ``prior x posterior``.
        fingerprint: of the test examples.
        cells: ids of the finished cells, by seed.
        rank: best, tied (not told from the best), worse or unknown; empty where not compared.
    """

    dataset: str
    model: str
    components: str
    seeds: int = 0
    values: dict[str, Value] = field(default_factory=dict)
    marks: list[str] = field(default_factory=list)
    note: str = ""
    assignment: str = ""
    pair: str = ""
    fingerprint: str = ""
    cells: tuple[str, ...] = ()
    rank: str = ""

    @property
    def name(self) -> str:
        """The model, with what tells it from other lines of the model on the same data."""
        told = [mark for mark in self.marks if mark.startswith(("settings", "unverified"))]
        return " ".join([self.model, *told])


def size_of(row: Row) -> int | str | None:
    """K, None without one, or ``tuned`` where the search chose it, for each seed its own."""
    components: int | None = row.get("components")
    return "tuned" if "components" in (row.get("tuned") or {}) else components


def summarise(rows: Iterable[Row]) -> list[Line]:
    """One line for every (dataset, prior, posterior, K), best bound first within a dataset.

    Rows that differ in more than the seed (a store may hold runs of several presets) never share
    a line; such lines are marked with the start of the hash of their settings.
    Rows whose K was tuned may differ in it; they share a line that says so.
    """
    models: dict[tuple[Any, ...], dict[tuple[Any, ...], list[Row]]] = {}
    for row in rows:
        model = (row["dataset"], row["prior"], row["posterior"], size_of(row))
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
    pair = f"{first['prior']} x {first['posterior']}"
    line = Line(
        dataset=first["dataset"],
        model=first.get("model") or pair,
        components=", ".join(str(size) for size in sizes),
        seeds=len(done),
        pair=pair,
        fingerprint=str(first["dataset_fingerprint"]),
        cells=tuple(row["cell"] for row in sorted(done, key=lambda row: int(row["seed"]))),
    )
    for name in AVERAGED:
        found = [row for row in done if isinstance(row.get(name), int | float)]
        if found:
            line.values[name] = _value(name, found)
    sides = {row.get("assignment") for row in done}
    line.assignment = sides.pop() or "" if len(sides) == 1 else "mixed" if sides else ""
    _mark(line, group, done, setting)
    return line


def _value(name: str, rows: Sequence[Row]) -> Value:
    def all_of(column: str) -> list[float]:
        found = [row.get(column) for row in rows]
        return [float(value) for value in found if isinstance(value, int | float)]

    numbers = all_of(name)
    truth = isinstance(rows[0][name], bool)
    errors, noise = all_of(f"{name}_se"), all_of(f"{name}_mc_se")
    return Value(
        mean=fmean(numbers),
        sd=stdev(numbers) if len(numbers) > 1 and not truth else None,
        se=math.hypot(*errors) / math.sqrt(len(errors)) if errors else None,
        mc=math.hypot(*noise) / len(noise) if noise else None,
        pooled=math.hypot(*errors) / len(errors) if errors else None,
    )


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
