"""What the README tells a newcomer to type works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.config import preset_names
from bench.registry import Registry
from bench.testing import check_model_plugin

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_plugin_example_passes_its_checks(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n# tempered_vamp\.py\n(.*?)```", README, re.DOTALL)
    path = tmp_path / "tempered_vamp.py"
    path.write_text(code)
    findings = check_model_plugin("prior", "tempered_vamp", Registry([path]))
    assert len(findings) > 20
    assert not [finding for finding in findings if not finding.passed]


@pytest.mark.parametrize("preset", sorted(set(re.findall(r"--preset (\w+)", README))))
def test_presets_exist(preset: str) -> None:
    assert preset in preset_names()


def test_commands_exist() -> None:
    import typer

    from bench.cli import app

    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"^    bench (\w+)", README, re.MULTILINE))
    assert named
    assert named <= known
