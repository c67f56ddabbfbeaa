"""The suite is red on a planted fault, by the right checks and no others, and green without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.registry import Registry
from bench.testing import CHECKS, Finding, check_model_plugin
from faults import FAULTS, NORMAL, SOUND, Fault, write_sound

# Compiling takes longer than all the rest, so only faults that only it can find are compiled.
QUICK = CHECKS.keys() - {"compiled"}
PARTNERS = {"prior": ["continuous"], "posterior": ["standard"]}


def check(kind: str, plugin: Path, checks: set[str]) -> list[Finding]:
    registry = Registry([plugin])
    return check_model_plugin(kind, plugin.stem, registry, partners=PARTNERS[kind], checks=checks)


@pytest.mark.parametrize("name", SOUND)
def test_sound_twins_pass(tmp_path: Path, name: str) -> None:
    kind = "posterior" if "Posterior)" in SOUND[name] else "prior"
    findings = check(kind, write_sound(SOUND[name], tmp_path / "mine.py"), set(CHECKS))
    assert len(findings) == len(CHECKS)
    assert not [finding.name + finding.detail for finding in findings if not finding.passed]


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_found(tmp_path: Path, name: str) -> None:
    fault: Fault = FAULTS[name]
    checks = QUICK | set(fault.red)
    findings = check(fault.kind, fault.write(tmp_path / "faulty.py"), checks)
    red = {finding.slug: finding for finding in findings if finding.failed}
    assert red.keys() == set(fault.red), {f.name: f.detail for f in red.values()}
    assert fault.words in red[fault.red[0]].detail
    assert "faulty" in red[fault.red[0]].name


def test_a_graph_break_is_a_note(tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    breaks = "    def forward(self, posterior):\n"
    broken = NORMAL.replace(breaks, breaks + "        torch._dynamo.graph_break()\n")
    (finding,) = check("prior", write_sound(broken, plugin), {"compiled"})
    assert finding.passed
    assert "graph break" in finding.note


def test_every_check_finds_something() -> None:
    """A check that no planted fault turns red might be one that cannot fail."""
    assert {slug for fault in FAULTS.values() for slug in fault.red} == CHECKS.keys()
