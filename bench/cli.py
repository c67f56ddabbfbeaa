"""The command line. Importing it is cheap: torch, mlflow and optuna come with the commands."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench import __version__, cli_pictures, cli_tracking
from bench.cli_options import ConfigFile, DataDir, Format, Out, Plugin, Ray, selects
from bench.errors import BenchError, UsageError
from bench.memory import keep_freed_memory

if TYPE_CHECKING:
    from bench.preparation import Request

app = typer.Typer(
    name="bench",
    help="Benchmark variational autoencoders with mixture priors. Bare `bench run` takes minutes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="List, fetch and import datasets.", no_args_is_help=True)
app.add_typer(data_app, name="data")


def version(shown: bool) -> None:
    """Print the version and leave."""
    if shown:
        typer.echo(f"bench {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Benchmark variational autoencoders with mixture priors."""


@app.command()
@selects
def run(
    request: Request,
    ray: Ray = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and its cost; train nothing.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train finished cells again.")] = False,
) -> None:
    """Train and evaluate every chosen prior x posterior x dataset; go on where a run stopped."""
    from bench.runner import run as run_request
    from bench.terminal import open_console

    request = replace(request, fresh=fresh, ray=ray)
    raise typer.Exit(run_request(request, open_console(), dry=dry_run))


@app.command()
@selects
def tune(request: Request, ray: Ray = None) -> None:
    """Search each chosen cell's settings, and write the best to best.toml; go on as `run` does."""
    from bench.terminal import open_console
    from bench.tune_command import tune as tune_request

    raise typer.Exit(tune_request(replace(request, ray=ray), open_console()))


@app.command(name="list")
def list_(
    what: Annotated[
        str | None, typer.Argument(help="priors, posteriors, datasets, models or presets")
    ] = None,
    plugin: Plugin = None,
    config: ConfigFile = None,
) -> None:
    """Say which plugins, systems and presets there are, without importing any."""
    from bench.listing import show

    show(what, plugin or [], config)


@app.command()
def report(
    out: Out = None,
    format_: Annotated[
        str, typer.Option("--format", help="terminal, html, csv, markdown or latex")
    ] = "terminal",
    section: Annotated[
        str | None,
        typer.Option(
            help="bounds, likelihood, decomposition, categories, prior-side, kmeans, generation, "
            "density, labels, table1, table2, table3, searches; several with commas"
        ),
    ] = None,
    models: Annotated[str | None, typer.Option(help="Only these: CP,mog x joint")] = None,
    datasets: Annotated[str | None, typer.Option(help="Only these: digits,mnist")] = None,
    settings: Annotated[
        str | None,
        typer.Option(help="Only cells of a preset (paper), or of models with several, 1a2b3c"),
    ] = None,
    scorecard: Annotated[
        bool, typer.Option("--scorecard", help="The paper's claims, each tested on these results.")
    ] = False,
    track: Annotated[
        bool, typer.Option("--track", help="With --format html: figures and page to MLflow, too.")
    ] = False,
    config: ConfigFile = None,
) -> None:
    """Show the results of a store: the best, all that cannot be told from it, and why.

    --format html writes a page; with --section, html and latex print the tables alone.
    """
    from bench.commands import show_report

    show_report(out, format_, config, section, models, datasets, scorecard, settings, track=track)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="A model (CP, 'mog x joint', 'CP K=10') or a cell's id")],
    b: Annotated[str, typer.Argument(help="Another.")],
    metric: Annotated[
        str, typer.Option(help="nelbo, nll, nll_rb, reconstruction, kl_z or kl_c")
    ] = "nelbo",
    out: Out = None,
    datasets: Annotated[str | None, typer.Option(help="Only these: digits,mnist")] = None,
    components: Annotated[str | None, typer.Option(help="Only these K: 10,150")] = None,
    settings: Annotated[
        str | None, typer.Option(help="Only these, as the report prints them: 1a2b3c")
    ] = None,
    format_: Format = "terminal",
    config: ConfigFile = None,
) -> None:
    """Compare two models on the same test examples: paired tests, over seeds where there are."""
    from bench.commands import show_comparison

    show_comparison((a, b), metric, out, format_, config, datasets, components, settings)


@app.command()
def doctor(
    out: Out = None, data_dir: DataDir = None, plugin: Plugin = None, config: ConfigFile = None
) -> None:
    """Say what works here, and what to do about what does not."""
    from bench.doctor import examine

    raise typer.Exit(examine(out, data_dir or [], plugin or [], config))


@app.command()
def check(
    kind: Annotated[
        str | None, typer.Argument(help="prior, posterior or dataset; none: all of them")
    ] = None,
    name: Annotated[
        str | None, typer.Argument(help="The plugin's name; none: all of its kind.")
    ] = None,
    plugin: Plugin = None,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    partners: Annotated[
        str | None, typer.Option("--with", help="Only in pairs with these: joint,continuous")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print what passed, too.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="At real sizes, really compiled: minutes a pair.")
    ] = False,
) -> None:
    """Prove a plugin: its density, samples, gradients, bounds; its splits and labels."""
    from bench.checking import check_plugins

    where = (plugin or [], data_dir or [], config)
    status = check_plugins(kind, name, *where, partners=partners, verbose=verbose, full=full)
    raise typer.Exit(status)


@app.command()
def new(
    kind: Annotated[str, typer.Argument(help="prior, posterior or dataset")],
    name: Annotated[str, typer.Argument(help="Lowercase, as a Python module: student_t")],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Where to write; default: ./NAME.")
    ] = None,
) -> None:
    """Write a small package with a plugin of your own that passes `bench check` at once."""
    from bench.registry import Registry
    from bench.scaffold import write_package

    typer.echo(write_package(kind, name, to, Registry()).summary())


@data_app.command("list")
def data_list(data_dir: DataDir = None, plugin: Plugin = None, config: ConfigFile = None) -> None:
    """Say which datasets are here, verified or not, and which are missing."""
    from bench.commands import list_data

    list_data(data_dir or [], plugin or [], config)


@data_app.command("fetch")
def data_fetch(
    names: Annotated[list[str], typer.Argument(help="Names of datasets.")],
    data_dir: DataDir = None,
    plugin: Plugin = None,
    config: ConfigFile = None,
) -> None:
    """Download datasets: checked, resumed, placed when whole."""
    from bench.commands import fetch_data

    fetch_data(names, data_dir or [], plugin or [], config)


@data_app.command("import")
def data_import(
    name: Annotated[str, typer.Argument(help="Name of the dataset.")],
    path: Annotated[Path, typer.Argument(help="The file or folder that you have.")],
    unverified: Annotated[
        bool, typer.Option("--unverified", help="Take files that are not the published ones.")
    ] = False,
    data_dir: DataDir = None,
    plugin: Plugin = None,
    config: ConfigFile = None,
) -> None:
    """Copy files that you already have to where they are looked for, after checking them."""
    from bench.commands import import_data

    import_data(name, path, unverified, data_dir or [], plugin or [], config)


cli_tracking.add_to(app)
cli_pictures.add_to(app)


def main() -> None:
    """The entry point: every mistake of the user's is one message, never a traceback."""
    # Outside of training, which saves first, Ctrl-C simply ends; typer would exit with status 1.
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    keep_freed_memory()
    try:
        app()
    except UsageError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except BenchError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
