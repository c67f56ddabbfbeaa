"""How this process asks the system for memory."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

# From glibc's malloc.h.
M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
KEPT: Final = 1 << 30
"""Bytes: smaller tensors than this are taken from memory that was freed before."""


def keep_freed_memory() -> bool:
    """Have this process keep the memory of freed tensors for the next ones.

    glibc hands a large block back to the system as soon as it is free. The next tensor of that
    size is then new memory, which the system clears and maps page by page: for one as large as a
    chunk of decoded pixels that takes longer than to compute it. No number changes.

    A user who has set ``GLIBC_TUNABLES`` or a ``MALLOC_...`` variable has chosen otherwise, and
    is not overruled.

    Returns:
        Whether freed memory is kept from now on; False where the C library is not glibc.
    """
    if not sys.platform.startswith("linux") or any(
        name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ
    ):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    # mallopt answers 1 where it took the value.
    return all(library.mallopt(what, KEPT) for what in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD))
