"""Everything that is measured on one assignment of data to categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.evaluation.clusters import matched_accuracy
from bench.evaluation.entropy import Array, CategoryUse, harden
from bench.evaluation.numbers import plain
from bench.evaluation.purity import Purity, cluster_purity_chance, hard_agreement, purity
from bench.store import COLLAPSED_BELOW

__all__ = ["METRICS", "Assigned", "Measured", "measure_assignment"]

METRICS = (
    "entropy", "entropy_se", "entropy_max", "effective_categories", "categories_used",
    "categories_present", "mean_conditional_entropy", "category_information",
    "category_information_se", "collapsed", "purity", "purity_se", "purity_chance",
    "purity_corrected", "purity_micro", "purity_micro_se", "purity_micro_chance",
    "purity_micro_corrected", "purity_hard", "purity_hard_chance", "cluster_purity",
    "cluster_purity_chance", "homogeneity", "completeness", "nmi", "nmi_hard", "ari", "ami",
    "label_overlap", "top_distinct", "top_marked", "top_mass", "accuracy_matched",
)  # fmt: skip
"""The columns that an assignment of the test set fills."""


@dataclass(frozen=True)
class Assigned:
    """Data and the categories that they are assigned to.

    Attributes:
        assignments: rows of probabilities, shape (N, K).
        use: their aggregate and its entropies.
        draws: S, where the assignments are averages over draws, else None.
        noise: the mean total variation between such averages and what they estimate, about.
    """

    assignments: Array
    use: CategoryUse
    draws: int | None = None
    noise: float = 0.0


@dataclass(frozen=True)
class Measured:
    """The numbers of one assignment.

    Attributes:
        metrics: by the names of ``METRICS``; None where one does not apply.
        details: what is too long for a table, as JSON values.
        rows: one for each label that occurs, as JSON values.
    """

    metrics: dict[str, Any]
    details: dict[str, Any]
    rows: list[dict[str, Any]]


def measure_assignment(
    found: Assigned, y: NDArray[np.int64], names: Sequence[str], seed: int
) -> Measured:
    """Entropy, and purity soft and hard with its chance levels and company (MATHS 5, 6).

    Args:
        found: the assignments of N data.
        y: their labels, integers of shape (N,) that index ``names``.
        names: the name of each label.
        seed: of the permutations behind the chance level of cluster purity.

    Raises:
        ValueError: shapes disagree.
    """
    a, use = found.assignments, found.use
    soft, hard = purity(a, y), purity(harden(a), y)
    scores = hard_agreement(a, y)
    metrics: dict[str, Any] = {
        "entropy": use.entropy,
        "entropy_se": use.entropy_se,
        "entropy_max": use.entropy_max,
        "effective_categories": use.effective_categories,
        "categories_used": use.categories_used,
        "categories_present": use.categories_present,
        "mean_conditional_entropy": use.mean_conditional_entropy,
        "category_information": use.category_information,
        "category_information_se": use.category_information_se,
        "collapsed": use.category_information < COLLAPSED_BELOW,
        "purity": soft.macro,
        "purity_se": soft.macro_se,
        "purity_chance": soft.macro_chance,
        "purity_corrected": soft.macro_corrected,
        "purity_micro": soft.micro,
        "purity_micro_se": soft.micro_se,
        "purity_micro_chance": soft.micro_chance,
        "purity_micro_corrected": soft.micro_corrected,
        "purity_hard": hard.macro,
        "purity_hard_chance": hard.macro_chance,
        "cluster_purity": soft.cluster,
        "cluster_purity_chance": cluster_purity_chance(a, y, seed=seed),
        "homogeneity": soft.homogeneity,
        "completeness": soft.completeness,
        "nmi": soft.nmi,
        "nmi_hard": scores.nmi,
        "ari": scores.ari,
        "ami": scores.ami,
        "label_overlap": soft.overlap,
        "top_distinct": soft.top.distinct,
        "top_marked": soft.top.marked,
        "top_mass": soft.top.mass,
        "accuracy_matched": matched_accuracy(a, y),
    }
    rows = _label_rows(soft, hard, names)
    details = {
        "category_probabilities": use.probs.tolist(),
        "hard_entropy": use.hard_entropy,
        "responsibility_draws": found.draws,
        "purity_details": _without_lists(soft),
        "purity_hard_details": _without_lists(hard),
        "label_categories": _label_categories(a, y, names),
        "top_categories": {
            **{key: value for key, value in asdict(soft.top).items() if key != "lists"},
            "labels": [
                {key: row[key] for key in ("label", "top_categories", "marked", "top_mass")}
                for row in rows
            ],
        },
    }
    return Measured(plain(metrics), plain(details), plain(rows))


def _label_rows(soft: Purity, hard: Purity, names: Sequence[str]) -> list[dict[str, Any]]:
    repeated = set(soft.top.repeated)
    return [
        {
            "label": names[row.label],
            "count": row.count,
            "purity": row.purity,
            "purity_se": row.se,
            "chance": row.chance,
            "corrected": row.corrected,
            "purity_hard": certain.purity,
            "top_categories": [[k, share] for k, share in row.top],
            "marked": [k for k, _ in row.top if k in repeated],
            "top_mass": row.top_mass,
        }
        for row, certain in zip(soft.labels, hard.labels, strict=True)
    ]


def _label_categories(a: Array, y: NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    """q(k | y) for every label with data, the paper's Figures 10 to 12."""
    present = np.unique(y)
    return {
        "labels": [names[label] for label in present],
        "shares": [[float(f"{p:.6g}") for p in a[y == label].mean(axis=0)] for label in present],
    }


def _without_lists(found: Purity) -> dict[str, Any]:
    return {key: value for key, value in asdict(found).items() if key not in ("labels", "top")}
