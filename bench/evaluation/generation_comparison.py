"""What categories generate, compared with the real data that are put in them (MATHS 9)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.evaluation.classifier import Judgement
from bench.evaluation.component_sampling import Generated
from bench.evaluation.diversity import paired_distance
from bench.evaluation.entropy import Array
from bench.evaluation.generation_metrics import (
    Agreement,
    active_set,
    agreement,
    collision,
    consistency,
    coverage,
    label_table,
    majority_chance,
    present_set,
    weighted_mean,
)

__all__ = ["Real", "compare_categories", "finite"]

Weightings = Mapping[str, Array]


@dataclass(frozen=True)
class Real:
    """The test set as the classifier sees it: N data, L labels.

    Attributes:
        shown: judged in the form that decoder probabilities have: grey levels, where known.
        drawn: judged as the models are: binarized, where the likelihood is Bernoulli.
        labels: the true labels, shape (N,).
        count: L.
    """

    shown: Judgement
    drawn: Judgement
    labels: NDArray[np.int64]
    count: int


def compare_categories(
    made: Generated,
    real: Real,
    assignments: Array,
    weights: Array,
    label_names: Sequence[str],
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns of results.csv and details of what the categories generate.

    Everything is told over all categories weighted by q, and again with equal weights over the
    active ones (the paper's figures). The same formulas on the real data of each category, as
    the classifier sees them, are the ceiling.

    Args:
        made: n data from each of K categories.
        real: the test set.
        assignments: of the test set, shape (N, K).
        weights: q, shape (K,).
        label_names: of the L labels.
        seed: of bootstraps, simulated chance and pairs.

    References: MATHS 9.
    """
    q = weights / weights.sum()
    active = active_set(q)
    weightings = {"all": q, "active": active / active.sum()}
    owners = label_table(assignments, real.labels, real.count)  # (K, L)
    counts, main = made.shown_labels, agreement(made.shown_labels, q, seed=seed)
    spread = made.shown_distance / paired_distance(real.shown.features, assignments, seed)
    shown = _column(counts, spread, real.shown, assignments, owners, weightings, seed)
    details: dict[str, Any] = {"active_categories": int(active.sum()), "shown": shown}
    if made.binary:
        drawn = made.drawn_distance / paired_distance(real.drawn.features, assignments, seed)
        details["drawn"] = _column(
            made.drawn_labels, drawn, real.drawn, assignments, owners, weightings, seed
        )
    own = details["self_consistency"] = _self_consistency(made, assignments, weightings)
    details["categories"] = [
        {
            "category": k,
            "weight": float(q[k]),
            "active": bool(active[k]),
            "label": label_names[int(counts[k].argmax())],
            "majority": finite(main.majority[k]),
            "collision": finite(main.collision[k]),
            "diversity": finite(spread[k]),
        }
        for k in range(len(q))
    ]
    metrics = {
        "generation_purity": main.purity,
        "generation_purity_se": main.purity_se,
        "generation_purity_corrected": main.corrected,
        "generation_purity_corrected_se": main.corrected_se,
        "generation_majority": main.majority_mean,
        "generation_majority_chance": shown["agreement"]["all"]["majority_chance"],
        "generation_information": main.information,
        "generation_labels": main.labels,
        # Of those that are used at all: 1/K splits categories of nearly equal use by chance.
        "generation_coverage": shown["coverage"]["present"],
        "generation_diversity": shown["diversity"]["all"],
        "generation_ceiling": shown["real"]["all"]["corrected"],
        "generation_consistency": shown["consistency"],
        "generation_self_consistency": own["all"] if own else None,
    }
    return metrics, details


def finite(value: float) -> float | None:
    """The number, or None where it is none."""
    return float(value) if math.isfinite(value) else None


def _column(
    counts: Array,
    spread: Array,
    judged: Judgement,
    assignments: Array,
    owners: Array,
    weightings: Weightings,
    seed: int,
) -> dict[str, Any]:
    """All that is told of one form of the data: label counts (K, L) and diversities (K,)."""
    q = weightings["all"]
    size = int(counts[0].sum())
    seen = label_table(assignments, judged.labels, counts.shape[1])
    return {
        "agreement": {
            name: _scalars(agreement(counts, w, seed=seed), size, seed)
            for name, w in weightings.items()
        },
        "coverage": {
            "all": coverage(counts, q > 0),
            "present": coverage(counts, present_set(q)),
            "active": coverage(counts, active_set(q)),
        },
        "diversity": {name: weighted_mean(spread, w) for name, w in weightings.items()},
        "consistency": consistency(counts, owners, q),
        "real": {
            **{
                name: _scalars(_ceiling(seen, judged.labels, assignments, w, seed), None, seed)
                for name, w in weightings.items()
            },
            "consistency": consistency(seen, owners, q),
        },
    }


def _ceiling(
    seen: Array, labels: NDArray[np.int64], assignments: Array, weights: Array, seed: int
) -> Agreement:
    """``agreement`` of the real data in each category, counted by their soft assignments."""
    squares = (assignments**2).sum(axis=0)
    mass = seen.sum(axis=1)
    used = np.where(np.isfinite(collision(seen, squares)), weights, 0.0)
    share = np.divide(used, mass, out=np.zeros_like(used), where=mass > 0)
    each = assignments @ share  # (N,): a datum is in many categories, but makes no pair with itself
    pooled = collision(np.bincount(labels, each, seen.shape[1]), (each**2).sum())
    return agreement(seen, weights, squares=squares, pooled=float(pooled), seed=seed)


def _scalars(found: Agreement, size: int | None, seed: int) -> dict[str, float | None]:
    """An agreement in numbers, with the chance level of its majority for ``size`` data."""
    chance = None
    if size is not None and found.purity is not None:
        chance = majority_chance(found.label_probs, size, seed)
    return {
        "purity": found.purity,
        "purity_se": found.purity_se,
        "purity_chance": found.pooled,
        "corrected": found.corrected,
        "corrected_se": found.corrected_se,
        "majority": found.majority_mean,
        "majority_chance": chance,
        "information": found.information,
        "labels": found.labels,
    }


def _self_consistency(
    made: Generated, assignments: Array, weightings: Weightings
) -> dict[str, Any] | None:
    """How surely data from k are put in k again; by chance; and the same of real data."""
    if made.assignments is None:
        return None
    q, own = weightings["all"], made.assignments.diagonal()
    mass = assignments.sum(axis=0)
    real = np.divide(
        (assignments**2).sum(axis=0), mass, out=np.full(len(mass), np.nan), where=mass > 0
    )
    return {
        **{name: weighted_mean(own, w) for name, w in weightings.items()},
        "chance": float(q @ made.assignments @ q),
        "real": weighted_mean(real, q),
        "categories": own.tolist(),
    }
