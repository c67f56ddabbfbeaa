"""Options that several commands share; what a run trains is chosen by the same ones everywhere."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from bench.preparation import Request

__all__ = ["ConfigFile", "DataDir", "Format", "Out", "Plugin", "Ray", "selects"]

Plugin = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="A plugin file; may be given several times."),
]
DataDir = Annotated[
    list[Path] | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        help="Where data lie; may be given several times: all are read, the first is written.",
    ),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Settings, instead of ./bench.toml.")
]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where results are.")]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray", metavar="ADDRESS", help="Run on this Ray cluster: HOST:PORT, auto or local."
    ),
]
Format = Annotated[str, typer.Option("--format", help="terminal, csv or markdown")]


def _selection(
    priors: Annotated[str | None, typer.Option(help="all, or names: standard,vamp")] = None,
    posteriors: Annotated[str | None, typer.Option(help="all, or names: joint,independent")] = None,
    models: Annotated[str | None, typer.Option(help="Systems by name: CP,INDq,VAE")] = None,
    datasets: Annotated[str | None, typer.Option(help="Names: mnist,omniglot")] = None,
    components: Annotated[str | None, typer.Option(help="K, or several: 10,150")] = None,
    seeds: Annotated[str | None, typer.Option(help="3 means 0,1,2; 0,4 lists them.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="demo, quick, paper, released or yours")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="The most epochs a cell may take.")] = None,
    trials: Annotated[int | None, typer.Option(help="Tune each cell with so many trials.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: from the cores.")] = 0,
    out: Out = None,
    data_dir: DataDir = None,
    plugin: Plugin = None,
    config: ConfigFile = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any setting of bench.toml."),
    ] = None,
) -> Request:
    from bench.preparation import Request

    flags = {
        "run.priors": priors,
        "run.posteriors": posteriors,
        "run.models": models,
        "run.datasets": datasets,
        "run.components": components,
        "run.seeds": seeds,
        "run.out": None if out is None else str(out),
        "run.data_dirs": [str(folder) for folder in data_dir] if data_dir else None,
        "training.epochs": epochs,
        "tuning.trials": trials,
        "engine.device": device,
    }
    return Request(preset, config, tuple(plugin or ()), tuple(settings or ()), flags, workers)


def selects(command: Callable[..., None]) -> Callable[..., None]:
    """A command that takes the options which choose what to train, as its first argument."""
    chosen = inspect.signature(_selection).parameters
    _, *own = inspect.signature(command).parameters.values()

    @wraps(command)
    def call(**options: Any) -> None:
        request = _selection(**{name: options.pop(name) for name in chosen})
        command(request, **options)

    hints = get_type_hints(_selection, {**globals(), "Request": Any}, include_extras=True)
    hints |= get_type_hints(command, {**command.__globals__, "Request": Any}, include_extras=True)
    parameters = [p.replace(annotation=hints[p.name]) for p in (*chosen.values(), *own)]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    return call
