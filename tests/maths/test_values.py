"""Known values on every path that makes a number (MATHS 7: T2b, T3, T4, T4b, T9, T10, T18)."""

from __future__ import annotations

import pytest

from maths.cases import BUILDERS, case
from maths.paths import PATHS


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", BUILDERS)
def test_value(name: str, path: str) -> None:
    PATHS[path](case(name))
