"""The commands about MLflow's store: ``bench sync`` and ``bench ui``."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from bench.cli_options import ConfigFile, Out


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(sync)
    app.command()(ui)


def sync(
    out: Out = None,
    uri: Annotated[
        str | None, typer.Option(help="The store to send all to; default: each run's own.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Send to a tracking server what waits on disk."""
    from bench.commands import settings_for
    from bench.tracking.sync import sync as send

    settings = settings_for(out, [], config)
    send(Path(settings.run.out), uri, settings.tracking.uri, typer.echo)


def ui(
    out: Out = None,
    port: Annotated[int, typer.Option(help="Of the local server.")] = 5000,
    config: ConfigFile = None,
) -> None:
    """Open the MLflow UI on a store."""
    from bench.commands import settings_for
    from bench.tracking import open_ui

    signal.signal(signal.SIGINT, signal.default_int_handler)  # to the server first, then to us
    settings = settings_for(out, [], config)
    raise typer.Exit(open_ui(settings.tracking.uri, Path(settings.run.out), port))
