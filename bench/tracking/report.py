"""The report in MLflow: a run of its own, with every figure and the page as artifacts."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from bench import __version__
from bench.config import Config
from bench.errors import BenchError, UsageError
from bench.tracking.location import canonical
from bench.tracking.runs import Tracker
from bench.tracking.source import git_commit
from bench.tracking.spool import Spool, spools, without_password

__all__ = ["track_report"]

FIGURES, PAGE = "figures", "page"
"""The folders of the run's artifacts."""
MARK = "bench.report"
"""The tag that holds a digest of what was drawn."""


def track_report(
    out: Path, cells: int, config: Config, notice: Callable[[str], None]
) -> str | None:
    """Put the page and the figures of a results folder into the MLflow store.

    They go the way of all records: on disk first, so that a store that does not answer costs
    nothing, and are read from ``out/report`` when they are sent. What has been recorded for this
    store as it is drawn now is not recorded again.

    Args:
        out: the results folder, whose report has been written.
        cells: how many cells are in it.
        config: the settings; of [tracking] the uri and the experiment count.
        notice: told why the records wait.

    Returns:
        The name of the new run; None where there is one of the same figures.

    Raises:
        UsageError: no figure was drawn.
    """
    index = out / "report" / "figures" / "index.json"
    if not index.is_file():
        raise UsageError(f"{index.parent} holds no figures: expected those of finished cells")
    digest = hashlib.sha256(index.read_bytes()).hexdigest()[:16]
    uri = without_password(canonical(config.tracking.uri, out.resolve()))
    experiment = config.tracking.experiment
    if any(_holds(spool, digest, uri, experiment) for spool in spools(out)):
        return None
    tags = {"bench.version": __version__, MARK: digest}
    if commit := git_commit():
        tags["git_commit"] = commit
    tracker = Tracker(uri=config.tracking.uri, out=out, experiment=experiment, notice=notice)
    name = time.strftime("bench report %Y-%m-%d %H:%M:%S")
    tracker.start(name, {"cells": cells}, tags)
    tracker.attach(FIGURES, index.parent)
    tracker.attach(PAGE, out / "report")
    tracker.close()
    return name


def _holds(spool: Spool, digest: str, uri: str, experiment: str) -> bool:
    """Whether these are the records of a report with those figures, for that experiment."""
    try:
        opening = spool.opening()
        if (opening.get("uri"), opening.get("experiment")) != (uri, experiment):
            return False
        records = spool.records(0)
        next(records)
        first, _ = next(records)
        return bool(first["tags"].get(MARK) == digest)
    except (BenchError, OSError, StopIteration, KeyError):
        return False
