"""MLflow tracking that can neither stop nor slow a run: MLflow lives in a process of its own."""

from bench.tracking.cell_run import CellRun
from bench.tracking.runs import Tracker
from bench.tracking.source import git_commit
from bench.tracking.ui import open_ui

__all__ = ["CellRun", "Tracker", "git_commit", "open_ui"]
