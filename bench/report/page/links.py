"""Where MLflow shows a cell."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.errors import first_line
from bench.tracking.environment import ENVIRONMENT
from bench.tracking.location import Location, locate

__all__ = ["LOCAL", "Links", "find_links"]

LOCAL = "http://127.0.0.1:5000"
"""Where `bench ui` serves a store that is no server, unless it is told another port."""


@dataclass(frozen=True)
class Links:
    """Addresses of MLflow's pages.

    Attributes:
        home: of the whole store; empty where there is none.
        is_server: whether it is up without `bench ui`.
        runs: of each cell's latest run.
    """

    home: str = ""
    is_server: bool = False
    runs: dict[str, str] = field(default_factory=dict)


def find_links(uri: str, out: Path, notice: Callable[[str], None]) -> Links:
    """Ask the MLflow store which run is whose; a store that does not answer costs the links alone.

    Args:
        uri: the [tracking] uri; empty for the store inside ``out``.
        out: the results folder.
        notice: told why there are no links to runs.
    """
    location = locate(uri, out)
    if location.file is not None and not location.file.is_file():
        return Links()
    home = location.uri.rstrip("/") if location.is_server else LOCAL
    try:
        runs = {
            cell: f"{home}/#/experiments/{experiment}/runs/{run}"
            for cell, (experiment, run) in _runs(location).items()
        }
    except Exception as error:  # whatever MLflow, its database or the network has to say
        notice(f"no links to MLflow's runs: {first_line(error)}")
        runs = {}
    return Links(home, location.is_server, runs)


def _runs(location: Location) -> dict[str, tuple[str, str]]:
    """The experiment and the run of every cell, the latest where it has several."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=location.uri)
    experiments = [found.experiment_id for found in client.search_experiments()]
    found: dict[str, tuple[str, str]] = {}
    token: Any = None
    while True:
        page = client.search_runs(
            experiments,
            max_results=1000,
            order_by=["attributes.start_time DESC"],
            page_token=token,
        )
        for run in page:
            tags = run.data.tags
            if "cell" in tags and "trial" not in tags:
                found.setdefault(tags["cell"], (run.info.experiment_id, run.info.run_id))
        token = page.token
        if not token:
            return found
