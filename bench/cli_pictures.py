"""`bench sample` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli_options import ConfigFile, Out

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Give the application its command."""
    app.command()(sample)


def sample(
    cell: Annotated[
        str, typer.Argument(help="A cell's id, its beginning, or a model's name if it has one cell")
    ],
    category: Annotated[int | None, typer.Option(help="Of this category, from 0.")] = None,
    label: Annotated[
        str | None, typer.Option(help="Of this label, through the categories that hold it.")
    ] = None,
    component: Annotated[
        int | None, typer.Option(help="Of this component of the prior, from 0.")
    ] = None,
    grid: Annotated[
        bool, typer.Option("--grid", help="A row for each of the most used categories.")
    ] = False,
    interpolate: Annotated[
        bool, typer.Option("--interpolate", help="Walks between test data, a row each.")
    ] = False,
    number: Annotated[
        int | None, typer.Option(help="Pictures; of --grid: a row; of --interpolate: rows.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE.png", help="Default: ./sample-CELL.png.")
    ] = None,
    out: Out = None,
    config: ConfigFile = None,
) -> None:
    """Write pictures of what a trained model generates."""
    from bench.commands import results_of
    from bench.pictures import Wanted, sample_pictures, the_cell

    wanted = Wanted(category, label, component, grid, interpolate, number, seed)
    store, rows = results_of(out, config)
    row = the_cell(rows, cell)
    typer.echo(sample_pictures(store, row, wanted, to or Path(f"sample-{row['cell']}.png")))
