"""The paper's tables with our numbers in them, and tables in every format."""

from bench.report.papertables.collection import KINDS, tables
from bench.report.table import Formula, Table

__all__ = ["KINDS", "Formula", "Table", "tables"]
