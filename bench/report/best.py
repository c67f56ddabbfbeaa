"""The best model of a dataset, and all that cannot be told from it."""

from __future__ import annotations

from collections.abc import Sequence

from bench.errors import UsageError
from bench.report.bootstrap import LEVEL, Array
from bench.report.examples import load_examples
from bench.report.statistics import holm, models_test, procedures_test
from bench.report.summary import Line
from bench.store import Store

__all__ = ["BEST", "TIED", "UNKNOWN", "WORSE", "mark_best"]

BEST, TIED, WORSE, UNKNOWN = "best", "not told from the best", "worse", "not compared"


def mark_best(lines: Sequence[Line], store: Store, metric: str = "nelbo") -> None:
    """Set the ``rank`` of every finished line, among those on the same test examples.

    The line with the lowest mean is BEST. Every other is compared with it, paired over the
    examples: over seeds and examples where both have several seeds, otherwise as the trained
    models that they are. Where the p value, adjusted by Holm for that dataset's comparisons, is
    not below 5%, the line is TIED, else WORSE. A line without per-example values is UNKNOWN.

    What this promises: the model with the lowest expected cost is BEST or TIED with a chance of
    at least 95% (in simulations of 2 to 22 models, 96.5% to 100%). For that it has to be beaten
    significantly by the one that came out lowest, which is a smaller event than any false
    rejection. It does not promise that of many equal models none is called WORSE: the one to
    compare with was chosen for being low, and of 10 equal ones that happens in 13% to 16%.

    Args:
        lines: of :func:`bench.report.summary.summarise`.
        store: where their cells are.
        metric: a cost of examples.npz.

    Source: Holm 1979; Hsu 1984 (comparisons with the best).
    """
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        if line.cells and metric in line.values:
            groups.setdefault((line.dataset, line.fingerprint), []).append(line)
    for group in groups.values():
        if len(group) > 1:
            _rank(sorted(group, key=lambda line: line.values[metric].mean), store, metric)


def _rank(group: Sequence[Line], store: Store, metric: str) -> None:
    best, *others = group
    best.rank = BEST
    reference = _costs(best, store, metric)
    tested: dict[int, float] = {}
    for index, line in enumerate(others):
        line.rank = UNKNOWN
        costs = None if reference is None else _costs(line, store, metric)
        if reference is not None and costs is not None and costs.shape[1] == reference.shape[1]:
            several = min(len(costs), len(reference)) > 1
            test = procedures_test if several else models_test
            tested[index] = test(costs, reference).p
    for index, p in zip(tested, holm(list(tested.values())), strict=True):
        others[index].rank = WORSE if p < LEVEL else TIED


def _costs(line: Line, store: Store, metric: str) -> Array | None:
    try:
        return load_examples(store, line.cells, metric)
    except UsageError:
        return None  # the report goes on without this line's mark
