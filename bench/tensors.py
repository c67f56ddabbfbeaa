"""Tensors in files: read as data, and only if they are whole and the ones that are expected."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.files import atomic_write

if TYPE_CHECKING:
    import torch

# torch.load reports a damaged file in as many ways as there are things in it.
DAMAGE = (
    OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError,
    pickle.UnpicklingError,
)  # fmt: skip
SEAL = b"bench sha256 "
LENGTH = len(SEAL) + 64


class Refused(BenchError):
    """A file of tensors that is damaged, was changed, or belongs to something else."""


def write_tensors(path: Path, value: Any, owner: str) -> str:
    """Tensors, and containers and plain values around them, into ``path``, atomically.

    The file is one of ``torch.save``, a zip archive, whose comment holds a checksum of the
    archive and of ``owner``. torch itself looks at no checksum when it reads.

    Args:
        path: the file.
        value: what it will hold.
        owner: what it belongs to; who reads must name the same.

    Returns:
        The checksum.
    """
    import torch

    stream = io.BytesIO()  # torch would write in pieces, and hide why a disk has refused one
    torch.save(value, stream)
    archive = stream.getvalue()
    if not archive.endswith(b"\0\0"):
        raise RuntimeError("expected torch.save to write a zip archive without a comment")
    digest = _digest(archive, owner)
    with atomic_write(path) as file:
        file.write(archive[:-2] + LENGTH.to_bytes(2, "little") + SEAL + digest.encode())
    return digest


def seal_of(path: Path, owner: str) -> str:
    """The checksum of a file of tensors.

    Raises:
        Refused: it cannot be read, has been changed, or is not of ``owner``.
    """
    return _open(path, owner)[1]


def read_tensors(path: Path, owner: str, device: torch.device | str = "cpu") -> Any:
    """What ``write_tensors`` wrote for this owner. Code in the file is never run.

    Raises:
        Refused: it cannot be read, has been changed, or is not of ``owner``.
    """
    import torch

    archive, _ = _open(path, owner)
    try:
        return torch.load(io.BytesIO(archive), map_location=device, weights_only=True)
    except DAMAGE as error:
        raise _refused(path, f"one that torch cannot read ({type(error).__name__})") from error


def _open(path: Path, owner: str) -> tuple[bytes, str]:
    """The archive without its seal, and the seal."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _refused(path, f"one that cannot be read ({error.strerror})") from error
    archive, seal = content[:-LENGTH], content[-LENGTH:]
    digest = seal[len(SEAL) :].decode(errors="replace")
    archive = archive[:-2] + b"\0\0"
    if not seal.startswith(SEAL):
        raise _refused(path, "one without a checksum, or cut off")
    if digest != _digest(archive, owner):
        raise _refused(path, "one that was changed, or that belongs to something else")
    return archive, digest


def _digest(archive: bytes, owner: str) -> str:
    return hashlib.sha256(owner.encode() + b"\0" + archive).hexdigest()


def _refused(path: Path, found: str) -> Refused:
    return Refused(f"{path} is refused: expected a file that bench wrote for this, found {found}")
