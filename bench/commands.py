"""The smaller commands: report, check and data."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.config import Config, load_config
from bench.data.base import Dataset
from bench.data.store import fetch_dataset, import_dataset, list_datasets
from bench.errors import DataError, PluginError, UsageError, unknown
from bench.registry import KINDS, Registry
from bench.report.summary import summarise
from bench.report.tables import FORMATS, to_terminal
from bench.store import Store
from bench.terminal import open_console


def settings_for(out: Path | None, data_dirs: Sequence[Path], config_file: Path | None) -> Config:
    """The settings of a command that trains nothing."""
    flags = {
        "run.out": None if out is None else str(out),
        "run.data_dirs": [str(folder) for folder in data_dirs] or None,
    }
    return load_config(None, config_file, (), flags)


def show_report(out: Path | None, format_: str, config_file: Path | None) -> None:
    """Print the results of a store.

    Raises:
        UsageError: an unknown format, or no results there.
    """
    if format_ != "terminal" and format_ not in FORMATS:
        raise unknown("format", format_, ("terminal", *FORMATS))
    folder = Path(settings_for(out, (), config_file).run.out)
    rows = Store(folder, create=False).rows()
    if not rows:
        raise UsageError(
            f"no results in {folder}: expected cells that `bench run --out {folder}` writes. "
            "Run it first, or name the right folder with --out."
        )
    lines = summarise(rows)
    if format_ == "terminal":
        to_terminal(lines, open_console())
    else:
        sys.stdout.write(FORMATS[format_](lines))


def check_plugin(
    kind: str,
    name: str,
    plugins: Sequence[Path],
    data_dirs: Sequence[Path],
    config_file: Path | None,
) -> int:
    """Check one plugin and print what passed and what did not; 1 if anything failed.

    Raises:
        UsageError: no such kind or name, or the plugin does not import.
    """
    import torch

    from bench.testing import check_dataset, check_model_plugin

    torch.set_num_threads(1)  # models of a few units: threads would only wait for each other
    if kind not in KINDS:
        raise unknown("kind of plugin", kind, KINDS)
    registry = Registry(plugins)
    info = registry.get(kind, name)
    info.load()
    if issubclass(info.load(), Dataset):
        roots = [Path(d) for d in settings_for(None, data_dirs, config_file).run.data_dirs]
        findings = check_dataset(make_dataset(registry, name), roots)
    else:
        findings = check_model_plugin(kind, name, registry)
    console = Console()
    failed = 0
    for finding in findings:
        failed += not finding.passed
        mark = "[green]ok[/green]" if finding.passed else "[red]FAILED[/red]"
        detail = "" if finding.passed else f": {escape(finding.detail)}"
        console.print(f"{mark} {escape(finding.name)}{detail}", highlight=False, soft_wrap=True)
    console.print(f"{len(findings) - failed} passed, {failed} failed", highlight=False)
    return 1 if failed else 0


def make_dataset(registry: Registry, name: str) -> Dataset:
    """A dataset without options.

    Raises:
        PluginError: it cannot be made.
    """
    plugin = registry.load("dataset", name)
    try:
        dataset: Dataset = plugin()
    except Exception as error:  # a plugin may raise anything
        raise PluginError(
            f"dataset {name!r} cannot be made: {type(error).__name__}: {error}"
        ) from error
    return dataset


def try_datasets(registry: Registry, complain: Callable[[str], None]) -> list[Dataset]:
    """Every dataset that can be made; why the others cannot is told."""
    made = []
    for name in registry.names("dataset", load=True):
        try:
            made.append(make_dataset(registry, name))
        except PluginError as error:
            complain(str(error))
    return made


def _roots(data_dirs: Sequence[Path], config_file: Path | None) -> list[Path]:
    return [Path(folder) for folder in settings_for(None, data_dirs, config_file).run.data_dirs]


def list_data(data_dirs: Sequence[Path], plugins: Sequence[Path], config_file: Path | None) -> None:
    """Print which datasets are here."""
    console = Console()
    registry = Registry(plugins)
    roots = _roots(data_dirs, config_file)
    table = Table("dataset", "state", "files", "MiB", "where or why")
    broken: list[str] = []
    for status in list_datasets(try_datasets(registry, broken.append), roots):
        checked = {True: "published", False: "unverified", None: ""}[status.verified]
        size = "" if not status.bytes else f"{status.bytes / 2**20:.1f}"
        where = str(status.where or status.reason or "")
        table.add_row(status.name, status.state, checked, size, escape(where))
    console.print(table)
    for info in registry.broken(load=True):
        if info.kind in ("dataset", ""):
            broken.append(str(info.error))
    for reason in broken:
        console.print(f"broken: {reason}", style="red", markup=False)


def fetch_data(
    names: Sequence[str],
    data_dirs: Sequence[Path],
    plugins: Sequence[Path],
    config_file: Path | None,
) -> None:
    """Download datasets into the first data folder.

    Raises:
        DataError: a download failed; what came is kept and resumed next time.
    """
    from rich.progress import DownloadColumn, Progress, TaskID, TimeRemainingColumn

    registry = Registry(plugins)
    root = _roots(data_dirs, config_file)[0]
    console = Console()
    datasets = [make_dataset(registry, name) for name in names]
    for dataset in datasets:
        if not dataset.downloads:
            raise DataError(f"dataset {dataset.name} has nothing to fetch: it needs no files")
    columns = (*Progress.get_default_columns()[:2], DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(path: str, done: int, total: int | None) -> None:
            if path not in tasks:
                tasks[path] = bars.add_task(path, total=total)
            bars.update(tasks[path], completed=done, total=total)

        for dataset in datasets:
            for path in fetch_dataset(dataset, root, progress=progress):
                console.print(
                    f"{dataset.name}: {path}", markup=False, highlight=False, soft_wrap=True
                )


def import_data(
    name: str,
    path: Path,
    unverified: bool,
    data_dirs: Sequence[Path],
    plugins: Sequence[Path],
    config_file: Path | None,
) -> None:
    """Copy files of a dataset into the first data folder.

    Raises:
        DataError: they are not the published ones, or do not parse.
    """
    registry = Registry(plugins)
    dataset = make_dataset(registry, name)
    root = _roots(data_dirs, config_file)[0]
    imported = import_dataset(dataset, path, root, unverified=unverified)
    console = Console()
    for file in imported.files:
        console.print(f"{name}: {file}", markup=False, highlight=False, soft_wrap=True)
    if not imported.verified:
        console.print(
            "not the published files: results on them carry their own fingerprint and are marked",
            style="yellow",
        )
    for missing in imported.missing:
        console.print(f"still missing: {missing}", style="yellow", highlight=False)
