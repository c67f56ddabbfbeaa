"""A small trained store and its figures, for the modules that test figures."""

from __future__ import annotations

import pytest

from bench.report.figures import Figure, make_figures
from bench.report.figures.source import Source
from bench.store import Store
from runs import run_tiny


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Small trained cells of three systems on pictures, two on a line."""
    out = tmp_path_factory.mktemp("figures") / "runs"
    many = ("--set", "evaluation.importance_samples=20")
    models = ("--models", "VAE,HVP,CP", "--components", 4, "--seeds", 2)
    assert run_tiny(out, *models, *many, "--datasets", "digits").status == 0
    only = ("--models", "VAE,CP", "--components", 2, "--datasets", "gaussians")
    assert run_tiny(out, *only, epochs=1).status == 0
    return Store(out, create=False)


@pytest.fixture(scope="session")
def source(store: Store) -> Source:
    """What the figures are drawn from."""
    return Source(store, store.rows())


@pytest.fixture(scope="session")
def made(store: Store) -> list[Figure]:
    """All figures of that store."""
    told: list[str] = []
    figures = make_figures(store, store.rows(), told.append)
    assert told == []
    return figures
