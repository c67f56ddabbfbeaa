"""Records on disk: what a run has to tell a tracking store, and how far each store has been told.

A ``bench run`` appends to a file of its own in ``OUT/tracking``, one JSON object a line. A line is
written before anything is sent, so that neither a dead server nor a killed process loses it. The
file is kept: it can be sent to another store later. The first line is about the whole run, every
other one about one of its MLflow runs:

    {"uri": ..., "experiment": ..., "register": NAME or ""}
    {"run": 1, "time": MILLISECONDS, "create": NAME, "params": {}, "tags": {}, "parent": 0 or null,
     "datasets": [{...}, ...]}
    {"run": 1, "metrics": [[key, value, milliseconds, step], ...]}
    {"run": 1, "params": {...}}
    {"run": 1, "artifacts": {NAME: FOLDER, ...}}
    {"run": 1, "time": MILLISECONDS, "end": STATUS, "name": NAME, "folder": PATH or null,
     "purity": [{...}, ...]}

A folder is given relative to the results folder where it lies below it, so that results can be
moved before they are sent.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from bench.errors import BenchError
from bench.files import write_json

FOLDER = "tracking"
HIDDEN = ":***@"  # stands for a password


@dataclass
class Sent:
    """How far one store has been told about one run of ``bench run``.

    Attributes:
        offset: bytes of the file that have been sent.
        runs: MLflow's run ids, by the number that the file gives each run.
        open: the numbers of those that have not ended.
        done: whether nothing can follow any more.
    """

    offset: int = 0
    runs: dict[str, str] = field(default_factory=dict)
    open: list[int] = field(default_factory=list)
    done: bool = False


@dataclass(frozen=True)
class Spool:
    """The records of one ``bench run``, at ``path``."""

    path: Path

    @property
    def key(self) -> str:
        """What tells this run from every other, on every machine."""
        return self.path.stem

    @property
    def out(self) -> Path:
        """The results folder."""
        return self.path.parent.parent

    def opening(self) -> dict[str, Any]:
        """The first line; empty where the process was killed before it was whole."""
        with self.path.open("rb") as stream:
            line = stream.readline()
        return self._parse(line, 0) if line.endswith(b"\n") else {}

    def records(self, offset: int) -> Iterator[tuple[dict[str, Any], int]]:
        """The whole lines from ``offset`` on, each with the offset behind it.

        A last line without an end is still being written, or was when its process was killed.

        Raises:
            BenchError: a line is not what was written.
        """
        with self.path.open("rb") as stream:
            stream.seek(offset)
            while (line := stream.readline()).endswith(b"\n"):
                offset += len(line)
                yield self._parse(line, offset - len(line)), offset

    def _parse(self, line: bytes, offset: int) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise BenchError(
                f"{self.path} is damaged: expected a JSON object at byte {offset}, found "
                f"{line[:40]!r}. Remove the file to give up what it holds."
            )
        return found

    def sent(self, uri: str) -> Sent:
        """How far the store at ``uri`` has been told."""
        try:
            return Sent(**json.loads(self._state(uri).read_text()))
        except FileNotFoundError:
            return Sent()
        except (OSError, ValueError, TypeError) as error:
            raise BenchError(
                f"{self._state(uri)} cannot be read ({error}). Remove it to find out from the "
                "store itself what has been sent."
            ) from error

    def keep(self, uri: str, sent: Sent) -> None:
        """Note how far the store at ``uri`` has been told."""
        write_json(self._state(uri), asdict(sent))

    def _state(self, uri: str) -> Path:
        store = hashlib.sha256(without_password(uri).encode()).hexdigest()[:8]
        return self.path.with_suffix(f".{store}.json")

    @contextmanager
    def sending(self) -> Iterator[bool]:
        """Keep other senders away; whether this one is alone is the value."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.path.with_suffix(".sending"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def being_written(self) -> bool:
        """Whether the ``bench run`` that writes the file still lives."""
        from filelock import FileLock, Timeout

        lock = FileLock(self.path.with_suffix(".writing"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False


class Writer:
    """Appends records; a record is on disk, but for a power failure, when ``write`` returns.

    Args:
        out: the results folder.
        opening: the first line.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, out: Path, opening: dict[str, Any]) -> None:
        from filelock import FileLock

        folder = out / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        # Sorted by name is sorted by time, for whoever sends what waits.
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid4().hex[:12]}"
        self.spool = Spool(folder / f"{name}.jsonl")
        # Threads may differ: the file is closed from whichever thread finds that it is full.
        self._lock = FileLock(self.spool.path.with_suffix(".writing"), thread_local=False)
        self._lock.acquire()
        self._stream: IO[bytes] = self.spool.path.open("xb", buffering=0)
        self.write(opening)

    def write(self, record: dict[str, Any]) -> None:
        """Append a record.

        Raises:
            OSError: the disk is full or gone; nothing can be appended any more.
        """
        line = json.dumps(record).encode() + b"\n"
        while line:
            line = line[self._stream.write(line) :]

    def close(self) -> None:
        """Nothing will follow."""
        self._stream.close()
        self._lock.release()


def spools(out: Path) -> list[Spool]:
    """The spools of a results folder, oldest first."""
    return [Spool(path) for path in sorted((out / FOLDER).glob("*.jsonl"))]


def without_password(uri: str) -> str:
    """The address without the password that stands in it."""
    return re.sub(r"(//[^/@\s:]*):[^/@\s]*@", rf"\1{HIDDEN}", uri)
