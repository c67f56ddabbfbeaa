"""A tracked run, for the tests of tracking."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.tracking import Tracker
from bench.tracking.location import locate
from bench.training import Epoch

PURITY = [
    {"label": "0", "purity": 0.5, "chance": 0.1, "count": 12},
    {"label": "1", "purity": math.nan, "chance": 0.1, "count": 0},
]


def epoch(number: int) -> Epoch:
    return Epoch(number, -20.0 - number, -30.0 + number, 0.1, number / 10, 0.5, 0.25)


@dataclass
class Story:
    """A ``bench run`` that has been tracked, and what its store says."""

    out: Path
    notices: list[str] = field(default_factory=list)
    runs: dict[str, Any] = field(default_factory=dict)
    client: Any = None

    def tracker(self, **changes: Any) -> Tracker:
        settings = {"uri": "", "out": self.out, "experiment": "bench", **changes}
        return Tracker(notice=self.notices.append, **settings)

    def read(self) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=locate("", self.out).uri)
        experiment = self.client.get_experiment_by_name("bench")
        found = self.client.search_runs([experiment.experiment_id])
        self.runs = {run.info.run_name: run for run in found}
