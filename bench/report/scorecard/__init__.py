"""The paper's claims, each tested on the results of a store."""

from bench.report.scorecard.claims import CLAIMS, judge
from bench.report.scorecard.show import as_table
from bench.report.scorecard.verdict import Verdict

__all__ = ["CLAIMS", "Verdict", "as_table", "judge"]
