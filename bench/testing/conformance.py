"""The suite as pytest tests, one for each pair and check."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from bench.commands import make_dataset
from bench.config import load_config
from bench.errors import unknown
from bench.registry import KINDS, Registry
from bench.testing.datasets import dataset_cases
from bench.testing.finding import Case
from bench.testing.pairs import model_cases


def cases(
    kind: str,
    name: str,
    registry: Registry,
    data_dirs: Sequence[str | Path] = (),
    *,
    partners: Collection[str] | None = None,
    full: bool = False,
) -> list[Case]:
    """Every check of one plugin, still to be made.

    Args:
        kind: ``prior``, ``posterior`` or ``dataset``.
        name: of the plugin.
        registry: where it and what it is paired with are.
        data_dirs: for a dataset, where its data are; none for those of the settings.
        partners: for a prior or posterior, what to pair it with; None for all.
        full: at real sizes and with the real compiler, where that is slow.

    Raises:
        UsageError: there is no such plugin, or it does not import.
    """
    if kind not in KINDS:
        raise unknown("kind of plugin", kind, KINDS)
    if kind != "dataset":
        return model_cases(kind, name, registry, partners=partners, full=full)
    folders = data_dirs or load_config(None, None, (), {}).run.data_dirs
    return dataset_cases(make_dataset(registry, name), list(map(Path, folders)), registry.plugins)


def conformance(
    kind: str,
    name: str,
    *,
    plugins: Sequence[str | Path] = (),
    data_dirs: Sequence[str | Path] = (),
    partners: Collection[str] | None = None,
    full: bool = False,
) -> Callable[[Case], None]:
    """A parametrised pytest test with one case for each pair and check.

    Args:
        kind: ``prior``, ``posterior`` or ``dataset``.
        name: of the plugin, as its entry point or its file registers it.
        plugins: files, as for ``--plugin``, where it is not installed.
        data_dirs: for a dataset, where its data are; none for those of the settings.
        partners: for a prior or posterior, what to pair it with; None for all.
        full: at real sizes and with the real compiler, where that is slow.

    Example:
        >>> test_conformance = conformance("prior", "standard")
    """
    listed = cases(
        kind, name, Registry(list(map(Path, plugins))), data_dirs, partners=partners, full=full
    )
    import pytest  # a test dependency: the command line does without

    @pytest.mark.parametrize("case", listed, ids=[case.id for case in listed])
    def test_conformance(case: Case) -> None:
        run_case(case)

    return test_conformance


def run_case(case: Case) -> None:
    """Make a check as a pytest test: fail with what it found, skip where it cannot be made."""
    import pytest

    finding = case.run()
    if not finding.ran:
        pytest.skip(f"not made: {finding.note}")
    if finding.failed:
        pytest.fail(f"{finding.name}: {finding.detail}", pytrace=False)
