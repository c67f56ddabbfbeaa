"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
Format = Annotated[str, typer.Option("--format", help="terminal, csv or markdown")]
