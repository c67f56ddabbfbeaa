"""What ``bench data`` does: list, fetch and import datasets."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.data.base import Dataset
from bench.data.download import Download, Progress, fetch
from bench.data.files import (
    AdvisedError,
    Check,
    candidates,
    check,
    locate,
    marker_of,
    write_marker,
)
from bench.data.loading import load_splits
from bench.errors import DataError, UsageError

__all__ = ["DatasetStatus", "Imported", "fetch_dataset", "import_dataset", "list_datasets"]


@dataclass(frozen=True)
class DatasetStatus:
    """One row of ``bench data list``.

    Attributes:
        name: the key of the dataset.
        state: ``embedded``, ``found``, ``damaged`` (found, but it will not load) or ``missing``.
        where: the folder that holds the first file, None where there is none.
        verified: whether the files are the published ones; None where there are none.
        bytes: size of the files on disk.
        reason: why it is damaged or missing, with the commands to run; else empty.
    """

    name: str
    state: Literal["embedded", "found", "damaged", "missing"]
    where: Path | None
    verified: bool | None
    bytes: int
    reason: str = ""


@dataclass(frozen=True)
class Imported:
    """What ``bench data import`` placed.

    Attributes:
        name: the key of the dataset.
        files: the files as they now lie in the data root.
        verified: whether all of them are the published ones.
        missing: files of the dataset that the given path did not hold.
    """

    name: str
    files: tuple[Path, ...]
    verified: bool
    missing: tuple[str, ...] = ()


def list_datasets(datasets: Iterable[Dataset], roots: Sequence[Path]) -> list[DatasetStatus]:
    """The state of each dataset; hashes the files that are there, parses none."""
    return [_status(dataset, roots) for dataset in datasets]


def _status(dataset: Dataset, roots: Sequence[Path]) -> DatasetStatus:
    message = dataset.missing_message(roots)
    if message:
        return DatasetStatus(dataset.name, "missing", None, None, 0, message)
    paths = locate(dataset.downloads, roots) if dataset.downloads else None
    if not paths:
        # Without downloads the plugin finds its files alone and nothing can be said of them.
        state: Literal["embedded", "found"] = "embedded" if dataset.embedded else "found"
        return DatasetStatus(dataset.name, state, None, None, 0)
    size = sum(path.stat().st_size for path in paths)
    try:
        verified = dataset.verify(paths, roots)
    except DataError as error:
        return DatasetStatus(dataset.name, "damaged", paths[0].parent, False, size, str(error))
    return DatasetStatus(dataset.name, "found", paths[0].parent, verified, size)


def fetch_dataset(
    dataset: Dataset,
    root: Path,
    *,
    progress: Progress | None = None,
    timeout: float = 30.0,
    attempts: int = 4,
    backoff: float = 0.5,
) -> tuple[Path, ...]:
    """Download what ``root`` lacks of a dataset and return where its files lie.

    A file there that is not the published one, imported or damaged, is replaced.

    Raises:
        DataError: the dataset has no downloads, or one failed.
    """
    if not dataset.downloads:
        reason = "is embedded" if dataset.embedded else "declares no downloads"
        raise DataError(f"dataset {dataset.name} {reason}: there is nothing to fetch")
    paths = []
    for download in dataset.downloads:
        path = _published(download, root)
        if path is None:
            path = fetch(
                download,
                root,
                progress=progress,
                timeout=timeout,
                attempts=attempts,
                backoff=backoff,
            )
            _drop_others(download, root, path)
            marker_of(path).unlink(missing_ok=True)
        paths.append(path)
    return tuple(paths)


def _published(download: Download, root: Path) -> Path | None:
    """The file that would be read from ``root``, if it is there and the published one."""
    path = next((path for path in candidates(download, root) if path.is_file()), None)
    if path is None:
        return None
    try:
        return path if check(download, path).state == "verified" else None
    except DataError:
        return None


def _drop_others(download: Download, root: Path, keep: Path) -> None:
    """Remove the packed or unpacked twin of a file that was just placed: it may come first."""
    for path in (root / download.path, root / download.path.removesuffix(".gz")):
        if path != keep:
            path.unlink(missing_ok=True)
            marker_of(path).unlink(missing_ok=True)


def import_dataset(dataset: Dataset, path: Path, root: Path, unverified: bool = False) -> Imported:
    """Copy files that the user already has into ``root``, under the names they must have.

    Args:
        dataset: whose files they are.
        path: a folder that holds them (a data root, or any folder inside one), or one of the
            files: the others are then taken from beside it. Where the dataset has one file, its
            name does not matter.
        root: the data root that is written. Everything is copied beside first and takes its
            final name, file by file, only when all checks have passed.
        unverified: accept files whose checksums differ, if they load; a marker beside them
            records it.

    Raises:
        DataError: nothing fits, a checksum differs, or the files do not load.
    """
    if not dataset.importable or not dataset.downloads:
        raise DataError(f"dataset {dataset.name} takes no imported files")
    sources = _sources(dataset, path)
    with _staging(root) as stage:
        staged = [_stage(download, source, stage) for download, source in sources]
        verified = True
        for (download, source), copy in zip(sources, staged, strict=True):
            result = check(download, copy)
            if result.state == "verified":
                continue
            if result.state == "mismatch" and not unverified:
                raise AdvisedError(_refusal(dataset, source, result))
            verified = False
            write_marker(copy, result, source.name)
        missing = tuple(d.path for d in dataset.downloads if d not in [d for d, _ in sources])
        if not missing:
            originals = [source for _, source in sources]
            _try_loading(dataset, stage, path, zip(staged, originals, strict=True))
        elif not verified:
            raise DataError(
                f"dataset {dataset.name}: {path} lacks {', '.join(missing)}. Files whose checksums "
                "differ are imported only together, because only then can they be tried."
            )
        placed = tuple(
            _place(download, copy, stage, root)
            for (download, _), copy in zip(sources, staged, strict=True)
        )
    return Imported(dataset.name, placed, verified, missing)


def _sources(dataset: Dataset, path: Path) -> list[tuple[Download, Path]]:
    """Which file at ``path`` is which download."""
    if not path.exists():
        raise DataError(f"cannot import {path}: there is no such file or folder")
    if path.is_file() and len(dataset.downloads) == 1:
        return [(dataset.downloads[0], path)]
    folder = path.parent if path.is_file() else path
    found = []
    for download in dataset.downloads:
        source = next((file for file in _names_in(download, folder) if file.is_file()), None)
        if source is not None:
            found.append((download, source))
    if not found or (path.is_file() and path not in [source for _, source in found]):
        names = ", ".join(Path(download.path).name for download in dataset.downloads)
        raise DataError(
            f"cannot import {path} as {dataset.name}: expected a folder with, or one of the files, "
            f"{names}"
        )
    return found


def _names_in(download: Download, folder: Path) -> Iterator[Path]:
    """Where the file may lie if ``folder`` is a data root or some folder inside one."""
    for name in (download.path, *download.elsewhere):
        parts = Path(name).parts
        for start in range(len(parts)):
            packed = folder.joinpath(*parts[start:])
            if download.content is not None:
                yield packed.with_name(packed.name.removesuffix(".gz"))
            yield packed


@contextmanager
def _staging(root: Path) -> Iterator[Path]:
    """A folder inside ``root``, and so on the same file system, that is gone afterwards."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".import-", dir=root))
    except OSError as error:
        raise DataError(
            f"cannot write in {root}: {error.strerror or error}. "
            "The first --data-dir must be a folder you may write."
        ) from error
    try:
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _stage(download: Download, source: Path, stage: Path) -> Path:
    copy = stage / download.path
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        if download.content is not None:
            with copy.open("rb") as file:
                packed = file.read(2) == b"\x1f\x8b"
            if not packed:
                copy = copy.replace(copy.with_name(copy.name.removesuffix(".gz")))
    except OSError as error:
        raise DataError(f"cannot copy {source}: {error.strerror or error}") from error
    return copy


def _refusal(dataset: Dataset, source: Path, result: Check) -> str:
    return (
        f"{source} is not the published file of {dataset.name}: expected {result.expected}, "
        f"found {result.found}. To use it all the same, marked as unverified in every table, "
        "add --unverified."
    )


def _try_loading(
    dataset: Dataset, stage: Path, path: Path, copies: Iterable[tuple[Path, Path]]
) -> None:
    try:
        load_splits(dataset, [stage])
    except UsageError as error:
        # The advice is about the temporary folder; what it was added to says what is wrong.
        cause = error.__cause__ if isinstance(error, AdvisedError) and error.__cause__ else error
        reason = str(cause)
        for copy, source in copies:
            reason = reason.replace(str(copy), str(source))
        raise DataError(f"cannot import {path} as {dataset.name}: {reason}") from error


def _place(download: Download, copy: Path, stage: Path, root: Path) -> Path:
    target = root / copy.relative_to(stage)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        copy.replace(target)
        _drop_others(download, root, target)
        if marker_of(copy).exists():
            marker_of(copy).replace(marker_of(target))
        else:
            marker_of(target).unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}") from error
    return target
