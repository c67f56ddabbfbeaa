"""What must not pass between the parts of a dataset: rows between splits, labels into x."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from itertools import combinations, permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.base import Split
from bench.testing.finding import Breach

Integers = npt.NDArray[np.int64]
RARE = 0.01  # share of repeated rows below which two in a row are no chance
SCREENED = 2000
EVIDENCE = 10  # rows for each value or label, below which a pattern may be chance


def check_overlap(parts: Mapping[str, Split]) -> str | None:
    r"""No row of one split is in another, beyond what the data themselves repeat.

    Real data hold a few exact duplicates, and coarse ones many, so that equal rows alone prove
    nothing. But rows that merely repeat fall on the splits by chance. A cluster of m equal rows
    gives two splits with shares f and g of all rows m (m - 1) f g equal pairs on average, and
    splits that share rows give more: pairs above that mean by 5 standard deviations are a breach.
    Where repeats are rare, so are two equal rows in a row and an equal row on both sides of a cut,
    which is how ranges of indices overlap.

    Returns:
        How many equal pairs there are, if any.

    Raises:
        Breach: two splits share rows.
    """
    ids = _row_ids(parts)
    sizes = np.array([len(part) for part in ids.values()], dtype=np.float64)
    shares = dict(zip(ids, sizes / sizes.sum(), strict=True))
    counts = {name: np.bincount(part, minlength=_top(ids)) for name, part in ids.items()}
    clusters = sum(counts.values())
    assert not isinstance(clusters, int)
    repeated = clusters > 1
    m = clusters[repeated].astype(np.float64)
    rare = m.sum() < RARE * sizes.sum()
    notes = []
    for one, other in combinations(ids, 2):
        pairs = int((counts[one][repeated] * counts[other][repeated]).sum())
        mean, deviation = _expected_pairs(m, shares[one], shares[other])
        if pairs > mean + 5.0 * deviation + 1.0:
            first = _example(ids, one, other)
            raise Breach(
                f"no row of {one} in {other}, or as few equal pairs as the data's own repeats "
                f"make ({mean:.1f} ± {deviation:.1f})",
                f"{pairs:,} equal pairs, as {first}",
                "Cut the splits from one permutation, each row once.",
            )
        if pairs:
            notes.append(f"{one} and {other} {pairs}")
    if rare:
        _check_runs(ids, repeated)
    return f"equal pairs of rows, as many as by chance: {', '.join(notes)}" if notes else None


def _row_ids(parts: Mapping[str, Split]) -> dict[str, Integers]:
    """A number for each row, equal where rows are."""
    numbers: dict[bytes, int] = {}
    found = {}
    for name, part in parts.items():
        flat = np.ascontiguousarray(part.x.reshape(len(part.x), -1))
        keys = (hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in flat)
        rows = [numbers.setdefault(key, len(numbers)) for key in keys]
        found[name] = np.array(rows, dtype=np.int64)
    return found


def _top(ids: Mapping[str, Integers]) -> int:
    return 1 + max(int(part.max()) for part in ids.values())


def _expected_pairs(m: npt.NDArray[np.float64], f: float, g: float) -> tuple[float, float]:
    """Mean and standard deviation of equal pairs between two random splits of clusters of m."""
    two = m * (m - 1.0)
    three, four = two * (m - 2.0), two * (m - 2.0) * (m - 3.0)
    square = four * (f * g) ** 2 + three * f * g * (f + g) + two * f * g
    variance = square - (two * f * g) ** 2
    return float((two * f * g).sum()), math.sqrt(max(0.0, float(variance.sum())))


def _example(ids: Mapping[str, Integers], one: str, other: str) -> str:
    _, first, second = np.intersect1d(ids[one], ids[other], return_indices=True)
    return f"{one} row {first[0]:,} and {other} row {second[0]:,}"


def _check_runs(ids: Mapping[str, Integers], repeated: npt.NDArray[np.bool_]) -> None:
    for one, other in permutations(ids, 2):
        shared = ids[one][-1] == ids[other][0]
        if shared:
            where = f"the last row of {one} is the first of {other}"
        else:
            runs = [_neighbours(ids[name], repeated) for name in (one, other)]
            both = runs[0].keys() & runs[1].keys()
            if not both:
                continue
            run = min(both)
            where = (
                f"rows {runs[0][run]:,} and {runs[0][run] + 1:,} of {one} are rows "
                f"{runs[1][run]:,} and {runs[1][run] + 1:,} of {other}"
            )
        raise Breach(
            f"no row of {one} in {other}",
            f"{where}: ranges of indices overlap",
            "Cut the splits from one permutation, each row once.",
        )


def _neighbours(ids: Integers, repeated: npt.NDArray[np.bool_]) -> dict[tuple[int, int], int]:
    """Where two rows that are repeated somewhere follow each other."""
    again = repeated[ids]
    starts = np.flatnonzero(again[:-1] & again[1:])
    return {(int(ids[i]), int(ids[i + 1])): int(i) for i in starts if ids[i] != ids[i + 1]}


def check_labels(parts: Mapping[str, Split]) -> None:
    """No coordinate of x is a recoding of a label.

    Two things give a label away that no measurement does. A coordinate that has one value for each
    label, and more than one in all: the label itself, scaled, or one column or one bit of its code.
    And, with more than two labels, a coordinate of few values each of which occurs with one label
    only. Coordinates with about as many values as rows are measurements: that a threshold on one
    separates the labels, as in well-separated clusters, is no leak.

    Raises:
        Breach: with the split, the coordinate and the label.
    """
    for name, part in parts.items():
        flat = part.x.reshape(len(part.x), -1)
        for label, y in (("y", part.y), *part.extra.items()):
            for coordinate, how in _revealing(flat, y):
                raise Breach(
                    f"x without the label {label}",
                    f"coordinate {coordinate} of {name}.x, {how}",
                    "Take the label's columns out of x: training sees all of x, and labels are "
                    "for evaluation.",
                )


def _revealing(flat: npt.NDArray[Any], y: Integers) -> Iterator[tuple[int, str]]:
    labels = np.unique(y, return_inverse=True)[1].reshape(-1)
    if len(np.unique(labels)) < 2 or len(labels) < EVIDENCE * (int(labels.max()) + 1):
        return
    for coordinate in _suspects(flat, labels):
        how = _reveals(flat[:, coordinate], labels)
        if how:
            yield int(coordinate), how


def _suspects(flat: npt.NDArray[Any], labels: Integers) -> Integers:
    """The coordinates that some pairs of rows leave possible: all others are cleared quickly."""
    random = np.random.default_rng(0)
    order = random.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    same = np.flatnonzero(labels[order[1:]] == labels[order[:-1]])
    same = random.permutation(same)[:SCREENED]
    function = (flat[order[same]] == flat[order[same + 1]]).all(0)
    one, other = random.integers(len(labels), size=(2, SCREENED))
    apart = labels[one] != labels[other]
    telling = (flat[one[apart]] != flat[other[apart]]).all(0)
    return np.flatnonzero(function | telling)


def _reveals(column: npt.NDArray[Any], labels: Integers) -> str:
    values, which = np.unique(column, return_inverse=True)
    count = int(labels.max()) + 1
    pairs = len(np.unique(which.reshape(-1) * count + labels))
    if len(values) > 1 and pairs == count:
        return "which has one value for each label"
    if count > 2 and 1 < len(values) == pairs and len(values) * EVIDENCE <= len(labels):
        return f"whose {len(values)} values each occur with one label only"
    return ""
