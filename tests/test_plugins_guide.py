"""What docs/plugins.md shows works: its plugins, its commands, its links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from bench.cli import app
from bench.registry import KINDS, Registry
from bench.testing import CHECKS, cases

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "plugins.md").read_text()
PROSE = re.sub(r"```.*?```", "", GUIDE, flags=re.DOTALL)
BLOCKS = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", GUIDE, re.DOTALL))
COMMANDS = [
    shlex.split(line.replace("\\\n", " "))
    for line in re.findall(r"^    \$ (bench (?:.*\\\n)*.*)$", GUIDE, re.MULTILINE)
]
# Two partners stand for all: a category with one layer, and two layers without one of its own.
PARTNERS = {"one_width": ["hierarchical", "conditional"], "wine": None}

SLOW = ("compiled", "fingerprint")  # the latter starts a process


def test_every_block_of_code_is_a_plugin() -> None:
    assert GUIDE.count("```python") == len(BLOCKS)
    assert set(BLOCKS) == {"exemplar_prior", *PARTNERS}


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTNERS)
def test_its_plugins_pass_the_suite(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.py"
    file.write_text(BLOCKS[name])
    registry = Registry([file])
    (kind,) = [kind for kind in KINDS if name in registry.names(kind)]
    listed = cases(kind, name, registry, (), partners=PARTNERS[name])
    findings = [case.run() for case in listed if case.slug not in SLOW]
    assert len(findings) >= (5 if kind == "dataset" else len(CHECKS) - 1)
    assert [finding.detail for finding in findings if finding.failed] == []


def test_the_prior_is_that_of_the_example() -> None:
    """Which passes the suite in tests/test_examples.py."""
    example = ROOT / "examples" / "exemplar_prior" / "src" / "exemplar_prior.py"
    assert BLOCKS["exemplar_prior"] == example.read_text()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_its_commands_exist(command: list[str]) -> None:
    group = typer.main.get_command(app)
    known = group.commands[command[1]]  # type: ignore[attr-defined]
    options = {name for parameter in known.params for name in parameter.opts}
    assert [word for word in command if word.startswith("--") and word not in options] == []


def test_it_has_commands() -> None:
    assert {command[1] for command in COMMANDS} >= {"new", "check", "run", "report", "compare"}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", PROSE))))
def test_its_links_lead_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()
