"""Every built-in plugin passes the suite, through the functions that a third party calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.registry import Registry
from bench.testing import CHECKS, Case, cases
from bench.testing.conformance import run_case
from pairs import PAIRS

REGISTRY = Registry()


def of(kind: str, names: list[str]) -> list[Case]:
    return [case for name in names for case in cases(kind, name, REGISTRY)]


# Each pair has one prior, so these are the cases of all posteriors too.
PRIORS = of("prior", REGISTRY.names("prior"))
EMBEDDED = of("dataset", ["digits", "gaussians"])


@pytest.mark.parametrize("case", PRIORS, ids=[case.id for case in PRIORS])
def test_priors_and_posteriors(case: Case) -> None:
    run_case(case)


@pytest.mark.parametrize("case", EMBEDDED, ids=[case.id for case in EMBEDDED])
def test_embedded_datasets(case: Case) -> None:
    run_case(case)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_real_datasets(name: str, shared_data: Path) -> None:
    findings = [case.run() for case in cases("dataset", name, REGISTRY, [shared_data])]
    assert len(findings) == 6
    assert not [finding.detail or finding.note for finding in findings if not finding.passed]


@pytest.mark.parametrize("kind", ["prior", "posterior"])
def test_every_pair_is_checked_from_both_sides(kind: str) -> None:
    found = {case.id for case in of(kind, REGISTRY.names(kind))}
    assert found == {f"{p} x {q}-{slug}" for p, q in PAIRS for slug in CHECKS}
