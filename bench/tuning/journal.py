"""Optuna's journal file, which stays whole whatever happens to those who write to it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.storages.journal import JournalFileBackend

from bench.errors import UsageError
from bench.files import refusals

TAIL = 65536  # bytes that are read at once in search of the last line's beginning


class Journal(JournalFileBackend):
    """A journal whose every line is whole before and after each of our appends.

    A process that is killed while it appends may leave a line without an end. With what another
    appended it would be one line that nobody can read, so it is cut off first. Where a disk takes
    only a part of an append, that part goes.

    Args:
        path: the file, made if it is not there.

    Raises:
        UsageError: there is a file that is no journal; it is left as it is.
        CannotWrite: the disk takes no more.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Optuna's own locks outlive a killed process by 30 seconds; the system's do not.
        self.lock = FileLock(f"{path}.lock", poll_interval=0.005)
        with refusals(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with self.lock:
                check_journal(path)
                if path.exists():
                    with path.open("r+b") as stream:
                        stream.truncate(whole(path))
                super().__init__(str(path))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append whole lines, or none.

        Raises:
            CannotWrite: the disk takes no more; every line of the journal is whole.
        """
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with refusals(self.path), self.lock:
            before = whole(self.path)
            with self.path.open("r+b", buffering=0) as stream:
                if stream.seek(0, os.SEEK_END) > before:
                    stream.truncate(before)
                stream.seek(before)
                try:
                    _write(stream.fileno(), lines.encode())
                except BaseException:
                    with suppress(OSError):
                        stream.truncate(before)
                    raise
                os.fsync(stream.fileno())  # others may have read the lines: they stay


def _write(descriptor: int, data: bytes) -> None:
    """All of it: a disk that is nearly full takes a part and says how much."""
    while data:
        data = data[os.write(descriptor, data) :]


def whole(journal: Path) -> int:
    """The bytes of a journal up to the end of its last whole line."""
    with journal.open("rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - TAIL)
            stream.seek(start)
            place = stream.read(end - start).rfind(b"\n")
            if place >= 0:
                return start + place + 1
            end = start
    return 0


def check_journal(path: Path) -> None:
    """Look at a file that is to be a journal, and leave it as it is.

    Raises:
        UsageError: it is something else.
    """
    if path.is_dir() or (path.exists() and not _is_journal(path)):
        raise UsageError(
            f"tuning.storage {path} is no journal of Optuna's. Expected a file that bench or "
            "Optuna made, one that does not exist yet, or a URL: sqlite:///FILE, postgresql://..."
        )


def _is_journal(path: Path) -> bool:
    """Whether a file's first line is a journal's; of a line that was cut off, its beginning."""
    with path.open("rb") as stream:
        line = stream.readline(100_000)
    if not line.endswith(b"\n"):
        return line[:1] in (b"", b"{")
    try:
        return "op_code" in json.loads(line)
    except (ValueError, TypeError):
        return False
