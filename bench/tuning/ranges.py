"""A search's space as Optuna takes it and draws from it, and as its study's name has it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from bench.spaces import Choice, Float, Int, Range

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import TPESampler

# Trials that are drawn uniformly before the sampler learns. Not a share of the budget: a search
# that is extended then draws as one that had the larger budget from the start.
UNIFORM = 8
FORMAT = 5  # of a study's attributes, and raised when an unchanged search finds other numbers


def distributions(space: Mapping[str, Range]) -> dict[str, BaseDistribution]:
    """Optuna's types of the ranges, by key in alphabetical order, as draws depend on the order."""
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    found: dict[str, BaseDistribution] = {}
    for key, values in sorted(space.items()):
        match values:
            case Float(low, high, log):
                found[key] = FloatDistribution(low, high, log=log)
            case Int(low, high, log):
                found[key] = IntDistribution(low, high, log=log)
            case Choice(options):
                found[key] = CategoricalDistribution(options)
    return found


def sampler(seed: int, slot: int) -> TPESampler:
    """What draws one trial, by its number in the search: no other draw moves it."""
    from optuna.samplers import TPESampler

    word = int(np.random.SeedSequence([seed, slot]).generate_state(1)[0])
    return TPESampler(n_startup_trials=UNIFORM, seed=word)


def digest(space: Mapping[str, Range], seed: int) -> str:
    """What keeps studies of one name apart."""
    content = [seed, sorted((key, type(r).__name__, asdict(r)) for key, r in space.items()), FORMAT]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:8]
