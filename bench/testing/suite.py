"""The suite for a plugin that is named on pytest's command line.

    pytest --pyargs bench.testing.suite --bench prior:my_prior [--bench-plugin FILE]

See :mod:`bench.testing` for the form that a test file of one's own takes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.registry import Registry
from bench.testing.conformance import cases, run_case
from bench.testing.finding import Case


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each pair and check of the plugins that ``--bench`` names."""
    config = metafunc.config
    named: list[str] = config.getoption("bench") or []
    if not named:
        raise pytest.UsageError("name what to check: --bench prior:my_prior")
    listed: list[Case] = []
    try:
        registry = Registry([Path(file) for file in config.getoption("bench_plugin") or []])
        for word in named:
            kind, _, name = word.partition(":")
            roots = config.getoption("bench_data_dir") or []
            listed += cases(kind, name, registry, roots, full=config.getoption("bench_full"))
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    unique = {case.id: case for case in listed}
    metafunc.parametrize("case", unique.values(), ids=unique.keys())


def test_conformance(case: Case) -> None:
    """A plugin does what the harness takes for granted."""
    run_case(case)
