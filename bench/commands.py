"""The smaller commands: report, compare and data."""

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
from bench.registry import Registry
from bench.store import Row, Store
from bench.terminal import open_console

FORMATS = ("terminal", "csv", "markdown")
REPORT_FORMATS = ("terminal", "html", "csv", "markdown", "latex")


def settings_for(out: Path | None, data_dirs: Sequence[Path], config_file: Path | None) -> Config:
    """The settings of a command that trains nothing."""
    flags = {
        "run.out": None if out is None else str(out),
        "run.data_dirs": [str(folder) for folder in data_dirs] or None,
    }
    return load_config(None, config_file, (), flags)


def show_report(
    out: Path | None,
    format_: str,
    config_file: Path | None,
    sections: str | None = None,
    models: str | None = None,
    datasets: str | None = None,
    scorecard: bool = False,
    settings: str | None = None,
    *,
    track: bool = False,
) -> None:
    """Print the results of a store, or what they say of the paper's claims.

    HTML is a page with everything, whose path is printed; of a choice of sections, models or
    datasets, or of the scorecard, it is tables to be put into a page. With ``track`` the page and
    its figures go to the MLflow store.

    Raises:
        UsageError: an unknown format, section, model, dataset or setting, or no results there.
    """
    from bench.report.document import Choice, show

    formats = (*REPORT_FORMATS, "json") if scorecard else REPORT_FORMATS
    if format_ not in formats:
        raise unknown("format", format_, formats)
    store, rows = results_of(out, config_file, or_searches=not scorecard)
    choice = Choice(_words(sections), _words(models), _words(datasets), _words(settings))
    page = format_ == "html" and choice == Choice() and not scorecard
    if track and not page:
        raise UsageError(
            "--track goes with --format html and no choice of sections, models or datasets, nor "
            "--scorecard: it sends the figures of the whole page"
        )
    if scorecard:
        from bench.report.scorecard.show import show_scorecard

        show_scorecard(store, rows, choice, format_, open_console())
    elif page:
        show_page(store, rows, config_file, track=track)
    else:
        show(store, rows, choice, format_, open_console())
        if format_ == "terminal" and choice == Choice():
            _say_page(store)


def show_page(
    store: Store, rows: Sequence[Row], config_file: Path | None, *, track: bool = False
) -> None:
    """Write the page of a store and print where it is; with ``track``, send it to MLflow."""
    from bench.report.page import write_page

    console = open_console()

    def notice(text: str) -> None:
        console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)

    settings = settings_for(store.out, (), config_file)
    path = write_page(store, rows, uri=settings.tracking.uri, notice=notice)
    console.print(f"page: {path}", markup=False, highlight=False, soft_wrap=True)
    if track:
        from bench.tracking.report import track_report

        done = sum(row["status"] == "ok" for row in rows)
        name = track_report(store.out, done, settings, notice)
        said = (
            f"MLflow run: {name}"
            if name
            else "these figures are recorded already; what could not be sent waits for bench sync"
        )
        console.print(said, markup=False, highlight=False, soft_wrap=True)


def _say_page(store: Store) -> None:
    path = store.out / "report" / "index.html"
    where = f"page: {path} (`bench report --format html` writes it anew)"
    none = "page: `bench report --format html` writes one, to filter, sort and compare cells"
    said = where if path.is_file() else none
    open_console().print(said, style="dim", markup=False, highlight=False, soft_wrap=True)


def show_comparison(
    names: tuple[str, str],
    metric: str,
    out: Path | None,
    format_: str,
    config_file: Path | None,
    datasets: str | None = None,
    components: str | None = None,
    settings: str | None = None,
) -> None:
    """Print the paired comparison of two models or cells of a store.

    Raises:
        UsageError: an unknown format, metric or name, no results, or nothing to compare.
    """
    from bench.report import compare_tables
    from bench.report.compare import compare_models
    from bench.report.selection import Filter

    if format_ not in FORMATS:
        raise unknown("format", format_, FORMATS)
    store, rows = results_of(out, config_file)
    chosen = Filter(_words(datasets), _numbers("--components", components), _words(settings))
    report = compare_models(store, rows, *names, metric, chosen)
    if format_ == "terminal":
        compare_tables.to_terminal(report, open_console())
    else:
        sys.stdout.write(compare_tables.FORMATS[format_](report))


def results_of(
    out: Path | None, config_file: Path | None, *, or_searches: bool = False
) -> tuple[Store, list[Row]]:
    """A store and its rows.

    Args:
        out: the results folder; None is that of the settings.
        config_file: the user's settings.
        or_searches: whether a store without rows will do where `bench tune` has searched.

    Raises:
        UsageError: there are none.
    """
    from bench.report.search_lines import searched_rows

    folder = Path(settings_for(out, (), config_file).run.out)
    store = Store(folder, create=False)
    rows = store.rows()
    if not rows and not (or_searches and searched_rows(store)):
        raise UsageError(
            f"no results in {folder}: expected cells that `bench run --out {folder}` writes. "
            "Run it first, or name the right folder with --out."
        )
    return store, rows


def _words(text: str | None) -> tuple[str, ...]:
    """The words of a comma-separated option."""
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def _numbers(option: str, text: str | None) -> tuple[int, ...]:
    """The numbers of a comma-separated option."""
    try:
        return tuple(int(word) for word in _words(text))
    except ValueError as error:
        raise UsageError(f"{option}: expected numbers as 10,150, found {text!r}") from error


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
