"""Files that are either whole or absent."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from bench.errors import CannotWrite

# What a disk says that takes no more; EFBIG is a limit of the user's or of the file system.
REFUSALS = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
)
LEFT = re.compile(r"\..+\.[0-9a-f]{32}")


@contextmanager
def refusals(place: Path) -> Iterator[None]:
    """Turn what a disk says that takes no more into one message.

    Args:
        place: what is written within, where the error itself does not say.

    Raises:
        CannotWrite: in place of such an error; others pass.
    """
    try:
        yield
    except CannotWrite:
        raise
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        raise CannotWrite(
            f"{error.filename or place} cannot be written: {error.strerror}. Nothing that was "
            "written before is lost. Make room, or make the folder writable, and run the same "
            "command again: it goes on from here."
        ) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Write to a temporary neighbour of ``path`` and put it in place when all went well.

    Raises:
        CannotWrite: the disk takes no more; what was there before is still there.
    """
    # Not tempfile's: that makes files which only their owner may read, whatever the umask says.
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with refusals(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def sweep(folder: Path) -> None:
    """Remove what killed writers have left in a folder that nobody else writes to now."""
    with suppress(OSError):
        for path in folder.iterdir():
            if LEFT.fullmatch(path.name):
                path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """``text`` into ``path``, atomically."""
    with atomic_write(path) as stream:
        stream.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """``value`` as indented JSON into ``path``, atomically; NaN is refused."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """What a JSON file holds; None where it is absent, damaged or no JSON."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
