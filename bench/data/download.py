"""Downloads: checked, resumed, retried, placed atomically."""

from __future__ import annotations

import http.client
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from bench.data.checksums import checksum_of_file, validate_checksum
from bench.errors import DataError

if sys.platform != "win32":
    import fcntl

__all__ = ["Download", "Progress", "fetch"]

Progress = Callable[[str, int, int | None], None]
"""Called with the file's path below the root, the bytes so far, and the total if it is known."""

_CHUNK = 1 << 16
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Download:
    """A file on the web and what it must be.

    Attributes:
        urls: where it may be had, tried in order.
        path: where it goes, relative to a data root.
        checksum: ``"md5:..."``, ``"sha256:..."`` or ``"git-blob:..."``.
        content: for a ``.gz`` file, the checksum of what it unpacks to. With it, the unpacked file
            beside serves as well, and so does any other compression of the same bytes.
        elsewhere: other relative paths where packages put the file, also tried below ``/``.
        lenient: a file whose checksum differs is read all the same, marked as unverified. For
            archives that people pack anew.
    """

    urls: tuple[str, ...]
    path: str
    checksum: str
    content: str | None = None
    elsewhere: tuple[str, ...] = ()
    lenient: bool = False

    def __post_init__(self) -> None:
        for path in (self.path, *self.elsewhere):
            if not path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise ValueError(f"Download: expected a path inside the data root, got {path!r}")
        validate_checksum(self.checksum)
        if self.content is not None:
            validate_checksum(self.content)
            if not self.path.endswith(".gz"):
                raise ValueError(f"Download.content is for .gz files, got path {self.path!r}")


class _RetryError(Exception):
    """The connection failed in a way that another attempt may mend."""


class _MirrorError(Exception):
    """This address will not give the file."""


def fetch(
    download: Download,
    root: Path,
    *,
    progress: Progress | None = None,
    timeout: float = 30.0,
    attempts: int = 4,
    backoff: float = 0.5,
) -> Path:
    """Download a file below ``root`` and return where it lies.

    What was transferred stays in a ``.part`` file beside the target until it is whole, so that an
    interrupted download goes on where it stopped; only a file with the right checksum ever gets
    the target's name.

    Args:
        download: the file.
        root: the data root that is written.
        progress: told of every chunk.
        timeout: seconds without an answer or a byte before the connection is given up.
        attempts: failures in a row, without one new byte, before the next address is tried.
        backoff: seconds before the second attempt, doubled before each further one.

    Raises:
        DataError: no address gave the whole file with the right checksum, or it cannot be written.
    """
    target = root / download.path
    if target.is_file() and checksum_of_file(target, download.checksum) == download.checksum:
        return target
    reasons: list[str] = []
    with _part_of(target) as (file, part):
        for url in download.urls:
            try:
                _from_mirror(url, download, file, part, progress, timeout, attempts, backoff)
            except _MirrorError as failure:
                reasons.append(f"{url}: {failure}")
            else:
                part.replace(target)
                return target
        kept = _size(file)
    message = f"could not download {download.path}"
    for reason in reasons or ["no address is known"]:
        message += f"\n  {reason}"
    if kept:
        message += f"\n  {kept:,} bytes are kept in {part}: the same command goes on from there"
    raise DataError(message)


def _from_mirror(
    url: str,
    download: Download,
    file: BinaryIO,
    part: Path,
    progress: Progress | None,
    timeout: float,
    attempts: int,
    backoff: float,
) -> None:
    """Fill the part from one address until it is whole and right."""
    resumed = _size(file) > 0
    best, failures = _size(file), 0
    while True:
        try:
            _request(url, download.path, file, progress, timeout)
        except _RetryError as failure:
            grown = _size(file) > best
            best = max(best, _size(file))
            failures = 0 if grown else failures + 1
            if failures >= attempts:
                raise _MirrorError(f"{failure} (attempt {attempts} of {attempts})") from failure
            time.sleep(backoff * 2**failures)
            continue
        found = checksum_of_file(part, download.checksum)
        if found == download.checksum:
            return
        file.truncate(0)
        if not resumed:
            raise _MirrorError(
                f"wrong checksum: expected {download.checksum}, found {found}; "
                "what was downloaded has been removed"
            )
        # The old part may have come from another version of the file: once more, from nothing.
        resumed, best = False, 0


def _request(
    url: str, name: str, file: BinaryIO, progress: Progress | None, timeout: float
) -> None:
    """One request for what the part still lacks."""
    offset = _size(file)
    headers = {"User-Agent": "bench", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=timeout
        )
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416 and offset:
                if error.headers.get("Content-Range", "").endswith(f"/{offset}"):
                    return
                file.truncate(0)
                raise _RetryError("the part did not fit the file on the server") from error
            kind = _RetryError if error.code in _RETRYABLE else _MirrorError
            raise kind(f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise _RetryError(str(getattr(error, "reason", error)) or type(error).__name__) from error
    with response:
        if response.status == 206:
            start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            if start is None or int(start[1]) != offset:
                file.truncate(0)
                raise _RetryError("the server resumed at the wrong byte")
        elif offset:
            # The server knows nothing of ranges and sends the whole file again.
            offset = 0
            file.truncate(0)
        length = response.headers.get("Content-Length")
        total = offset + int(length) if length and length.isdigit() else None
        _copy(response, file, name, total, progress)
    if total is not None and _size(file) != total:
        raise _RetryError(f"truncated: expected {total:,} bytes, received {_size(file):,}")


def _copy(
    response: http.client.HTTPResponse,
    file: BinaryIO,
    name: str,
    total: int | None,
    progress: Progress | None,
) -> None:
    done = _size(file)
    while True:
        try:
            chunk = response.read(_CHUNK)
        except http.client.IncompleteRead as error:
            chunk = error.partial
            if not chunk:
                return
        except (OSError, http.client.HTTPException) as error:
            raise _RetryError(f"the connection broke after {done:,} bytes: {error}") from error
        if not chunk:
            return
        try:
            file.write(chunk)
            file.flush()  # the part is hashed by name while this handle is open
        except OSError as error:
            raise DataError(f"cannot write {name}: {error.strerror or error}") from error
        done += len(chunk)
        if progress is not None:
            progress(name, done, total)


@contextmanager
def _part_of(target: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """The part file beside ``target``, ours alone while it is open; an empty one is removed."""
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("a+b")
    except OSError as error:
        raise DataError(
            f"cannot write below {target.parent}: {error.strerror or error}. "
            "The first --data-dir must be a folder you may write."
        ) from error
    with file:
        _lock(file, part)
        try:
            yield file, part
        finally:
            if _size(file) == 0:
                part.unlink(missing_ok=True)


def _lock(file: BinaryIO, part: Path) -> None:
    if sys.platform == "win32":
        return
    busy = DataError(f"another process is downloading {part}: wait for it, then try again")
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise busy from error
    # Between our open and our lock the other process may have given the part its final name.
    if not part.exists() or part.stat().st_ino != os.fstat(file.fileno()).st_ino:
        raise busy


def _size(file: BinaryIO) -> int:
    return file.seek(0, 2)
