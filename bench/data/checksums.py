"""Checksums written as ``"algorithm:hex"``: md5, sha256, and git's own blob id."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["checksum_of_bytes", "checksum_of_file", "validate_checksum"]

_DIGITS = {"md5": 32, "sha256": 64, "git-blob": 40}
_CHUNK = 1 << 20


def validate_checksum(checksum: str) -> str:
    """Return ``checksum`` if it is well formed.

    Raises:
        ValueError: the algorithm is unknown, or the number of hexadecimal digits is not its own.
    """
    algorithm, _, digest = checksum.partition(":")
    if algorithm not in _DIGITS:
        raise ValueError(f"checksum {checksum!r}: expected one of {', '.join(_DIGITS)} before ':'")
    if not re.fullmatch(rf"[0-9a-f]{{{_DIGITS[algorithm]}}}", digest):
        raise ValueError(
            f"checksum {checksum!r}: expected {_DIGITS[algorithm]} lower-case hexadecimal digits"
        )
    return checksum


def checksum_of_bytes(data: bytes, like: str) -> str:
    """The checksum of ``data`` by the algorithm of ``like``, another checksum or its prefix."""
    return _checksum((data,), len(data), like)


def checksum_of_file(path: Path, like: str) -> str:
    """The checksum of the file ``path`` by the algorithm of ``like``."""
    return _checksum(_chunks(path), path.stat().st_size, like)


def _checksum(chunks: Iterable[bytes], size: int, like: str) -> str:
    algorithm = like.partition(":")[0]
    if algorithm == "git-blob":
        # git hashes a header with the size before the content
        hasher = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    else:
        hasher = hashlib.new(algorithm, usedforsecurity=False)
    for chunk in chunks:
        hasher.update(chunk)
    return f"{algorithm}:{hasher.hexdigest()}"


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
