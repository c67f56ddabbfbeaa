"""Where a dataset's files lie, and whether they are the published ones."""

from __future__ import annotations

import gzip
import json
import shlex
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.data.checksums import checksum_of_bytes, checksum_of_file
from bench.data.download import Download
from bench.errors import DataError

__all__ = [
    "DEFAULT_ROOT",
    "AdvisedError",
    "Check",
    "advice",
    "candidates",
    "check",
    "locate",
    "marker_of",
    "read_bytes",
    "write_marker",
]

DEFAULT_ROOT = Path("data")
"""The data root where the user names none; messages then need no ``--data-dir``."""

SYSTEM_ROOT = Path("/")
"""Below it lie the files that system packages install (``Download.elsewhere``)."""


class AdvisedError(DataError):
    """A data error whose message already ends with the commands that would mend it."""


@dataclass(frozen=True)
class Check:
    """What the checksum of a file says.

    Attributes:
        state: ``verified`` (the published file), ``imported`` (another one, that the user vouched
            for), ``lenient`` (another one, of a kind that is read all the same) or ``mismatch``.
        expected: the published checksum.
        found: the file's own.
    """

    state: Literal["verified", "imported", "lenient", "mismatch"]
    expected: str
    found: str


def locate(downloads: Sequence[Download], roots: Sequence[Path]) -> tuple[Path, ...] | None:
    """The paths of all ``downloads`` in the first of ``roots`` that holds every one, or None.

    One root must hold them all: images from one place and labels from another would be read
    together without complaint. The system's own folders come last.
    """
    for root in (*roots, SYSTEM_ROOT):
        found = [next(_existing(download, root), None) for download in downloads]
        paths = tuple(path for path in found if path is not None)
        if len(paths) == len(downloads):
            return paths
    return None


def candidates(download: Download, root: Path) -> Iterator[Path]:
    """Every path below ``root`` where the file may lie; the unpacked form, quicker, comes first."""
    names = download.elsewhere if root == SYSTEM_ROOT else (download.path, *download.elsewhere)
    for name in names:
        if download.content is not None:
            yield root / name.removesuffix(".gz")
        yield root / name


def _existing(download: Download, root: Path) -> Iterator[Path]:
    return (path for path in candidates(download, root) if path.is_file())


def read_bytes(path: Path) -> bytes:
    """The content of a file, unpacked if it is a gzip file.

    Raises:
        DataError: the file cannot be read, or is a damaged gzip file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: expected a whole gzip file, found a damaged one: {error}"
        ) from error


def check(download: Download, path: Path) -> Check:
    """Compare the file at ``path`` with what ``download`` must be."""
    if download.content is not None:
        expected = download.content
        found = checksum_of_bytes(read_bytes(path), expected)
    else:
        expected = download.checksum
        found = checksum_of_file(path, expected)
    if found == expected:
        return Check("verified", expected, found)
    if _is_marked(path):
        return Check("imported", expected, found)
    return Check("lenient" if download.lenient else "mismatch", expected, found)


def marker_of(path: Path) -> Path:
    """The note beside a file that was imported although its checksum differs."""
    return path.with_name(path.name + ".unverified.json")


def write_marker(path: Path, result: Check, source: str) -> None:
    """Note that the user vouches for the file at ``path``, exactly as it is now."""
    note = {
        "sha256": checksum_of_file(path, "sha256"),
        "expected": result.expected,
        "found": result.found,
        "imported_from": source,
    }
    marker_of(path).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def _is_marked(path: Path) -> bool:
    try:
        note = json.loads(marker_of(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    # A file that changed after its import is vouched for by nobody.
    return isinstance(note, dict) and note.get("sha256") == checksum_of_file(path, "sha256")


def advice(
    name: str, downloads: Sequence[Download], roots: Sequence[Path], *, unverified: bool = False
) -> str:
    """The commands that would put the files of dataset ``name`` into the first of ``roots``."""
    where = ""
    if roots and roots[0] != DEFAULT_ROOT:
        where = f" --data-dir {shlex.quote(str(roots[0]))}"
    flag = " --unverified" if unverified else ""
    lines = [f"bench data import {name} PATH{flag}{where}"]
    if all(download.urls for download in downloads):
        lines.insert(0, f"bench data fetch {name}{where}")
    return "To get the data, run\n    " + "\nor, for files you already have,\n    ".join(lines)
