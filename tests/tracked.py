"""A tracked run, for the tests of tracking."""

from __future__ import annotations

import math
from collections.abc import Iterator
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


MEASURED = ("seconds", "epoch_seconds", "evaluation_seconds")
"""Metrics that no two runs have in common."""


def snapshot(uri: str, experiment: str) -> dict[str, dict[str, Any]]:
    """All that a store holds of an experiment, by the run's name, but for ids and times."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id], max_results=1000)
    names = {run.info.run_id: name_of(run) for run in runs}
    assert len(set(names.values())) == len(runs), "a run is there twice"
    return {name_of(run): _content(client, run, names) for run in runs}


def name_of(run: Any) -> str:
    """A run's name; of the parent, which has the time in its name, the word `bench`."""
    name = str(run.info.run_name)
    return "bench" if name.startswith("bench run ") else name


def _content(client: Any, run: Any, names: dict[str, str]) -> dict[str, Any]:
    tags = {key: value for key, value in run.data.tags.items() if key != "bench.record"}
    del tags["mlflow.runName"]
    if "mlflow.parentRunId" in tags:
        tags["mlflow.parentRunId"] = names[tags["mlflow.parentRunId"]]
    histories = {}
    for key in run.data.metrics:
        history = client.get_metric_history(run.info.run_id, key)
        points = sorted((metric.step, metric.value) for metric in history)
        histories[key] = len(points) if key in MEASURED else points
    inputs = [(i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs]
    return {
        "status": run.info.status,
        "ended": run.info.end_time is not None and run.info.end_time >= run.info.start_time,
        "params": dict(run.data.params),
        "tags": tags,
        "metrics": histories,
        "inputs": inputs,
        "artifacts": sorted(_files(client, run.info.run_id)),
    }


def _files(client: Any, run: str, path: str | None = None) -> Iterator[str]:
    for found in client.list_artifacts(run, path):
        if found.is_dir:
            yield from _files(client, run, found.path)
        else:
            yield found.path
