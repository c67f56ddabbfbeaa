"""The rule for skips holds when CI=true."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("ci", "reason", "status"),
    [
        ("true", "CUDA is absent", 0),
        ("true", "shared data are absent", 0),
        ("true", "no reason of ours", 1),
        ("", "no reason of ours", 0),
    ],
)
def test_only_allowed_skips_pass_in_ci(tmp_path: Path, ci: str, reason: str, status: int) -> None:
    body = f"import pytest\n\ndef test_ok(): pass\n\ndef test_skip(): pytest.skip({reason!r})\n"
    (tmp_path / "test_it.py").write_text(body)
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "_skips",
            "-p",
            "no:cacheprovider",
            "test_it.py",
        ],
        cwd=tmp_path,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == status, run.stdout
    assert ("skips that CI does not allow" in run.stdout) == bool(status)


def test_the_rule_is_active_here(request: pytest.FixtureRequest) -> None:
    assert request.config.pluginmanager.has_plugin("_skips")
