"""Searching a cell's space with Optuna: seeded, shared by processes, resumable at any moment."""

from bench.tuning.records import Objective, Part, Proposal, Standing, TrialRecord, TuningResult
from bench.tuning.search import search

__all__ = [
    "Objective",
    "Part",
    "Proposal",
    "Standing",
    "TrialRecord",
    "TuningResult",
    "search",
]
