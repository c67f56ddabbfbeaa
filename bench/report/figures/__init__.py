"""The figures of the report, drawn from stored cells: no training, no dataset."""

from bench.report.figures.making import make_figures
from bench.report.figures.record import Figure

__all__ = ["Figure", "make_figures"]
