"""A search's space as Optuna takes it and draws from it, and as its study's name has it."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.spaces import Choice, Float, Int, Range

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

# Trials before the sampler learns: the settings that one has, then uniform draws. Not a share of
# the budget: a search that is extended then draws as one that had the larger one from the start.
UNIFORM = 8
FORMAT = 6  # of a study's attributes, and raised when an unchanged search finds other numbers


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


def fitting(space: Mapping[str, Range], start: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the settings that one has which the space may give."""
    return {key: start[key] for key in space if key in start and start[key] in space[key]}


def sampler(seed: int, slot: int, start: Mapping[str, Any]) -> BaseSampler:
    """What draws one trial, by its number in the search: no other draw moves it.

    The first tries ``start``, and draws what is not in it.
    """
    from optuna.exceptions import ExperimentalWarning
    from optuna.samplers import PartialFixedSampler, TPESampler

    word = int(np.random.SeedSequence([seed, slot]).generate_state(1)[0])
    drawn = TPESampler(n_startup_trials=UNIFORM, seed=word)
    if slot or not start:
        return drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return PartialFixedSampler(dict(start), drawn)


def digest(space: Mapping[str, Range], seed: int, start: Mapping[str, Any]) -> str:
    """What keeps studies of one name apart."""
    ranges = sorted((key, type(r).__name__, asdict(r)) for key, r in space.items())
    content = [seed, ranges, FORMAT, sorted(start.items())]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:8]
