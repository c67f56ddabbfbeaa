r"""Successive halving: at every rung the worst trials are stopped.

The rule is ASHA's (Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020).
Of all :math:`n` values that were ever recorded at a rung, the best
:math:`\lfloor n / \eta \rfloor` go on, and at least one. Here a whole round reports before the cut
is made, so that who is stopped depends neither on a clock nor on the number of processes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.config import Config


def rungs(first: int, reduction: int, epochs: int) -> list[int]:
    """The epochs of the rungs: ``first``, times ``reduction``, and so on, below ``epochs``."""
    found, rung = [], first
    while rung < epochs:
        found.append(rung)
        rung *= reduction
    return found


def survivors(values: Mapping[int, float], earlier: Collection[float], reduction: int) -> set[int]:
    """Which trials of a round go on from a rung.

    Args:
        values: the best bound of each trial that has reached the rung, by number.
        earlier: what trials of earlier rounds had there.
        reduction: one in so many of all goes on.
    """
    ranked = sorted([*values.values(), *earlier], reverse=True)
    if not ranked:
        return set()
    least = ranked[max(1, len(ranked) // reduction) - 1]
    return {number for number, value in values.items() if value >= least}


def rungs_of(config: Config) -> list[int]:
    """The epochs after which the worst trials of a search are stopped.

    The first lies at the end of the KL warm-up, where nothing else is said: a trial is judged by
    its bound at KL weight 1, for which it trains only from then on.
    """
    tuning = config.tuning
    highest = {key: getattr(config.training, key) for key in ("epochs", "warmup_epochs")}
    for key in highest:
        found = tuning.space.get(f"training.{key}")
        if found is not None:
            highest[key] = max([found["high"]] if "high" in found else found["options"])
    first = tuning.first_rung or max(1, highest["warmup_epochs"])
    return rungs(first, tuning.reduction, highest["epochs"])
