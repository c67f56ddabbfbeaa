"""pytest's options for ``bench.testing.suite``; imports nothing, since every run loads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options that name the plugin to check."""
    group = parser.getgroup("bench", "conformance of bench plugins (bench.testing.suite)")
    group.addoption(
        "--bench",
        action="append",
        metavar="KIND:NAME",
        help="what bench.testing.suite checks, as prior:my_prior; may be given several times",
    )
    group.addoption(
        "--bench-plugin",
        action="append",
        metavar="FILE",
        help="a plugin file that is not installed; may be given several times",
    )
    group.addoption(
        "--bench-data-dir",
        action="append",
        metavar="DIR",
        help="where the data of a dataset are; may be given several times",
    )
    group.addoption(
        "--bench-full",
        action="store_true",
        help="check at real sizes and with the real compiler, where that is slow",
    )
