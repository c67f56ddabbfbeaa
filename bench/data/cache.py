"""Arrays that are slow to derive from a dataset's files, kept in the first data root."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["cached_array"]


def cached_array(
    roots: Sequence[Path], key: str, make: Callable[[], npt.NDArray[Any]]
) -> npt.NDArray[Any]:
    """The array that ``make`` returns, read from the first of ``roots`` if it was made before.

    ``key`` must change with everything that the array depends on, the recipe included. A cache
    that cannot be read or written costs time, never an error.
    """
    path = roots[0] / ".cache" / f"{key}.npy" if roots else None
    if path is not None:
        try:
            cached: npt.NDArray[Any] = np.load(path, allow_pickle=False)
            return cached
        except (OSError, ValueError, EOFError):
            pass
    array = make()
    if path is not None and _may_write(roots[0]):
        _store(path, array)
    return array


def _may_write(root: Path) -> bool:
    # The mode bits as well as the rights: to an administrator every folder is writable, also one
    # that was made read-only on purpose.
    try:
        return bool(root.stat().st_mode & 0o222) and os.access(root, os.W_OK)
    except OSError:
        return False


def _store(path: Path, array: npt.NDArray[Any]) -> None:
    temporary: Path | None = None
    try:
        path.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            temporary = Path(file.name)
            np.save(file, array, allow_pickle=False)
        temporary.replace(path)
    except OSError:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
