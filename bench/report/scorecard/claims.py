"""All claims, and their verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.scorecard.bounds import BOUNDS
from bench.report.scorecard.categories import CATEGORIES
from bench.report.scorecard.evidence import Evidence
from bench.report.scorecard.synthetic import SYNTHETIC
from bench.report.scorecard.verdict import Claim, Verdict, conclude
from bench.store import Row, Store

__all__ = ["CLAIMS", "judge", "judge_evidence"]

CLAIMS: tuple[Claim, ...] = (*BOUNDS, *CATEGORIES, *SYNTHETIC)


def judge(store: Store, rows: Sequence[Row]) -> list[Verdict]:
    """The verdict on every claim, from finished cells alone; nothing is trained.

    Where a model has cells of several settings, those of the paper's protocol are judged; of the
    released code's choices, where the store has none of the paper's protocol on images.

    Args:
        store: where the cells' files are.
        rows: those that count.
    """
    return judge_evidence(Evidence(store, rows))


def judge_evidence(evidence: Evidence) -> list[Verdict]:
    """The verdict on every claim."""
    verdicts = []
    for claim in CLAIMS:
        evidence.passed_over.clear()
        tests = claim.tests(evidence)
        verdicts.append(conclude(claim, tests, tuple(evidence.passed_over)))
    return verdicts
