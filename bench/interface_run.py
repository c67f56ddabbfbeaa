"""Training as Python: ``bench.run`` and ``bench.tune``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.best_file import BEST
from bench.errors import BenchError
from bench.interface import results
from bench.preparation import Request
from bench.runner import run as run_request
from bench.terminal import open_console
from bench.tune_command import tune as tune_request

__all__ = ["run", "tune"]

INTERRUPTED = 130
Words = str | Sequence[str]


def run(
    *,
    models: Words | None = None,
    priors: Words | None = None,
    posteriors: Words | None = None,
    datasets: Words | None = None,
    components: int | Sequence[int] | None = None,
    seeds: int | Sequence[int] | None = None,
    preset: str | None = None,
    epochs: int | None = None,
    trials: int | None = None,
    out: str | Path = "runs",
    data_dirs: Sequence[str | Path] = (),
    plugins: Sequence[str | Path] = (),
    settings: Mapping[str, Any] | None = None,
    workers: int = 0,
    fresh: bool = False,
) -> pd.DataFrame:
    """``bench run``: train and evaluate what is chosen and not there yet.

    Args:
        models: names of systems; None leaves this and every other choice to the preset.
        priors: their names.
        posteriors: their names.
        datasets: their names.
        components: K, or several.
        seeds: a number of them, or a list.
        preset: its name.
        epochs: the most that a cell may take.
        trials: of each cell's search.
        workers: processes; 0: from the cores.
        fresh: train finished cells again.
        out: the results folder.
        data_dirs: where data lie.
        plugins: plugin files.
        settings: any of bench.toml's, by their key: ``{"training.learning_rate": 1e-3}``.

    Returns:
        ``results(out)``.

    Raises:
        UsageError: bad usage, configuration or data, before anything trains.
        BenchError: the run was interrupted. Cells that failed are rows that say why.
    """
    flags = _flags(
        models, priors, posteriors, datasets, components, seeds, epochs, trials, out, data_dirs
    )
    request = Request(preset, None, _paths(plugins), _sets(settings), flags, workers, fresh)
    if run_request(request, open_console()) == INTERRUPTED:
        raise BenchError("interrupted: call it again to go on from here")
    return results(out)


def tune(
    *,
    models: Words | None = None,
    priors: Words | None = None,
    posteriors: Words | None = None,
    datasets: Words | None = None,
    components: int | Sequence[int] | None = None,
    seeds: int | Sequence[int] | None = None,
    preset: str | None = None,
    epochs: int | None = None,
    trials: int | None = None,
    out: str | Path = "runs",
    data_dirs: Sequence[str | Path] = (),
    plugins: Sequence[str | Path] = (),
    settings: Mapping[str, Any] | None = None,
    workers: int = 0,
) -> Path:
    """``bench tune``: search each chosen cell's settings.

    Args:
        models: names of systems; None leaves this and every other choice to the preset.
        priors: their names.
        posteriors: their names.
        datasets: their names.
        components: K, or several.
        seeds: a number of them, or a list.
        preset: its name.
        epochs: the most that a cell may take.
        trials: of each cell's search.
        workers: processes; 0: from the cores.
        out: the results folder.
        data_dirs: where data lie.
        plugins: plugin files.
        settings: any of bench.toml's, as of :func:`run`.

    Returns:
        ``best.toml`` in the results folder: the settings that won, for ``bench run --config``.

    Raises:
        UsageError: bad usage, configuration or data, before anything trains.
        BenchError: the search was interrupted, or found nothing for some cell.
    """
    flags = _flags(
        models, priors, posteriors, datasets, components, seeds, epochs, trials, out, data_dirs
    )
    request = Request(preset, None, _paths(plugins), _sets(settings), flags, workers)
    status = tune_request(request, open_console())
    if status == INTERRUPTED:
        raise BenchError("interrupted: call it again to go on from here")
    if status:
        raise BenchError("a search found nothing: what it said above has the reason")
    return Path(out) / BEST


def _flags(
    models: Words | None,
    priors: Words | None,
    posteriors: Words | None,
    datasets: Words | None,
    components: int | Sequence[int] | None,
    seeds: int | Sequence[int] | None,
    epochs: int | None,
    trials: int | None,
    out: str | Path,
    data_dirs: Sequence[str | Path],
) -> dict[str, Any]:
    """The command line's flags by dotted key."""
    return {
        "run.models": _words(models),
        "run.priors": _words(priors),
        "run.posteriors": _words(posteriors),
        "run.datasets": _words(datasets),
        "run.components": _words(components),
        "run.seeds": _words(seeds),
        "run.out": str(out),
        "run.data_dirs": [str(folder) for folder in data_dirs] or None,
        "training.epochs": epochs,
        "tuning.trials": trials,
    }


def _sets(settings: Mapping[str, Any] | None) -> tuple[str, ...]:
    return tuple(f"{key}={_toml(value)}" for key, value in (settings or {}).items())


def _paths(plugins: Sequence[str | Path]) -> tuple[Path, ...]:
    return tuple(Path(plugin) for plugin in plugins)


def _words(given: Words | int | Sequence[int] | None) -> str | None:
    """Several values as the command line has them."""
    if given is None or isinstance(given, str):
        return given
    return str(given) if isinstance(given, int) else ",".join(str(value) for value in given)


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
