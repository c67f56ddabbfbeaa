"""Two models side by side on the same test examples: what is computed, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bench.errors import UsageError, unknown
from bench.report.bootstrap import LEVEL
from bench.report.examples import load_examples
from bench.report.selection import Filter, Match, Side, match, select
from bench.report.statistics import Comparison, Estimate, compare, holm
from bench.report.summary import Row, summarise
from bench.store import Store

__all__ = ["METRICS", "Compared", "Report", "compare_models"]

METRICS = {
    "nelbo": "minus the ELBO",
    "nll": "minus the importance-weighted bound",
    "nll_rb": "minus the importance-weighted bound with c summed out",
    "reconstruction": "minus the expected log-likelihood of x",
    "kl_z": "the divergence of z",
    "kl_c": "the divergence of c",
}
"""What each example has in its cell's examples.npz; costs all, in nats."""

SAMPLES = {"nll": "importance_samples", "nll_rb": "rb_samples"}
"""The columns that say by how many samples a bound was estimated."""

TRUST = {"nll": "weights_trusted", "nll_rb": "rb_weights_trusted"}
"""The columns that say whether a bound's importance weights can be trusted."""

FEW_SAMPLES = 100
"""With fewer the bias of a bound is of the size of what models differ by."""


@dataclass(frozen=True)
class Compared:
    """One comparison, and what a reader must know of it.

    Attributes:
        match: which cells.
        found: the numbers.
        models_p: p of claim (a), these trained models, adjusted for the number of comparisons.
        procedures_p: p of claim (b), the training procedures, likewise; None where not tested.
        warnings: what may mislead.
    """

    match: Match
    found: Comparison
    models_p: float = 1.0
    procedures_p: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """All comparisons of two names on one metric.

    Attributes:
        a, b: what to call the two.
        metric: of METRICS.
        compared: one entry for every dataset and K.
        missing: why other datasets were not compared.
    """

    a: str
    b: str
    metric: str
    compared: tuple[Compared, ...]
    missing: tuple[str, ...] = field(default=())

    def verdict(self, difference: float, p: float) -> str:
        """Which side is lower, in words, or that they cannot be told apart."""
        if p >= LEVEL:
            return "cannot be told apart"
        word = "lower" if self.metric.startswith("kl_") else "better"
        return f"{self.a if difference < 0 else self.b} is {word}"


def compare_models(
    store: Store, rows: Sequence[Row], a: str, b: str, metric: str, chosen: Filter
) -> Report:
    """Compare what two names mean, wherever they were measured on the same test examples.

    Args:
        store: where the cells' files are.
        rows: of the store.
        a, b: names that :func:`bench.report.selection.select` understands.
        metric: of METRICS.
        chosen: which cells of the names.

    Raises:
        UsageError: an unknown name or metric, nothing to compare, or no per-example values.
    """
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    datasets = {row["dataset"] for row in rows}
    for dataset in chosen.datasets:
        if dataset not in datasets:
            raise unknown("dataset", dataset, datasets)
    left, right = select(rows, a, chosen), select(rows, b, chosen)
    matches, missing = match(left, right)
    found = [_compare(store, left, right, pair, metric) for pair in matches]

    models = holm([one.found.models.p for one in found])
    tested = [one for one in found if one.found.procedures is not None]
    procedures = dict(
        zip(map(id, tested), holm([_p(one.found.procedures) for one in tested]), strict=True)
    )
    compared = tuple(
        replace(one, models_p=p, procedures_p=procedures.get(id(one)))
        for one, p in zip(found, models, strict=True)
    )
    return Report(left.name, right.name, metric, compared, tuple(missing))


def _p(estimate: Estimate | None) -> float:
    return 1.0 if estimate is None else estimate.p


def _compare(store: Store, a: Side, b: Side, pair: Match, metric: str) -> Compared:
    costs = []
    for side, cells in ((a, pair.a), (b, pair.b)):
        if all(row.get(metric) is None for row in cells):
            raise UsageError(
                f"{metric} does not apply to {side.name} on {pair.dataset}: its column is blank in "
                "results.csv. Choose another with --metric."
            )
        costs.append(load_examples(store, [row["cell"] for row in cells], metric))
    left, right = costs
    if left.shape[1] != right.shape[1]:
        raise UsageError(
            f"not the same test examples: {left.shape[1]} of {a.name} and {right.shape[1]} of "
            f"{b.name} on {pair.dataset}, though their fingerprints agree. Run them anew with "
            "--fresh."
        )
    return Compared(pair, compare(left, right), warnings=_warnings(a, b, pair, metric))


def _warnings(a: Side, b: Side, pair: Match, metric: str) -> tuple[str, ...]:
    found = []
    for side, cells in ((a, pair.a), (b, pair.b)):
        (line,) = summarise(cells)
        found += [f"{side.name}: {mark}" for mark in line.marks]
    if column := SAMPLES.get(metric):
        counts = [{row.get(column) for row in cells} for cells in (pair.a, pair.b)]
        if counts[0] != counts[1] or len(counts[0]) > 1:
            shown = (", ".join(str(count) for count in sorted(c, key=str)) for c in counts)
            found.append(f"the bounds are not equally tight: {column} is {' and '.join(shown)}")
        found += _bias(a, b, pair, metric)
    if min(len(pair.a), len(pair.b)) == 2:
        found.append(
            "2 seeds on a side: of true nulls the test over seeds may reject up to 12%, not 5%"
        )
    if min(len(pair.a), len(pair.b)) == 1:
        found.append("the training procedures are not compared: a side has one seed")
    return tuple(found)


def _bias(a: Side, b: Side, pair: Match, metric: str) -> list[str]:
    """At most one line: where the bound's bias may decide."""
    reasons = []
    for side, cells in ((a, pair.a), (b, pair.b)):
        if not all(row.get(TRUST[metric]) for row in cells):
            reasons.append(f"weights of {side.name} are not known to be trusted")
        counts = [row[SAMPLES[metric]] for row in cells if row.get(SAMPLES[metric]) is not None]
        if counts and min(counts) < FEW_SAMPLES:
            reasons.append(f"{side.name} has {SAMPLES[metric]} {min(counts)}")
    if not reasons:
        return []
    return [f"the bias of {metric} may decide, not the models: {'; '.join(reasons)}"]
