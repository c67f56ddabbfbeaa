"""All claims, and their verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.scorecard.bounds import BOUNDS
from bench.report.scorecard.categories import CATEGORIES
from bench.report.scorecard.evidence import Evidence
from bench.report.scorecard.synthetic import SYNTHETIC
from bench.report.scorecard.verdict import Claim, Verdict, conclude
from bench.store import Row, Store

__all__ = ["CLAIMS", "judge"]

CLAIMS: tuple[Claim, ...] = (*BOUNDS, *CATEGORIES, *SYNTHETIC)


def judge(store: Store, rows: Sequence[Row]) -> list[Verdict]:
    """The verdict on every claim, from finished cells alone; nothing is trained.

    Args:
        store: where the cells' files are.
        rows: those that count.
    """
    evidence = Evidence(store, rows)
    return [conclude(claim, claim.tests(evidence)) for claim in CLAIMS]
