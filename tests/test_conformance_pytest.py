"""A third party runs the suite under pytest: by naming its plugin, or in a test file of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.testing import suite
from faults import FAULTS, NORMAL, write_sound

THEIRS = """
from bench.testing import conformance

test_mine = conformance("prior", "mine", plugins=[{plugin!r}], partners=["continuous"])
"""


def run_pytest(folder: Path, *words: object) -> tuple[int, str]:
    """pytest as a third party runs it: its options, our entry point, nothing of this suite's."""
    environment = {k: v for k, v in os.environ.items() if k not in ("CI", "PYTEST_ADDOPTS")}
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *map(str, words)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.slow
def test_a_plugin_is_named_there_or_in_a_test_file(tmp_path: Path) -> None:
    """Both forms at once, as a process takes seconds to start."""
    faulty = FAULTS["averages log-densities"].write(tmp_path / "faulty.py")
    mine = write_sound(NORMAL, tmp_path / "mine.py")
    (tmp_path / "test_mine.py").write_text(THEIRS.format(plugin=str(mine)))
    named = ("--bench", "prior:faulty", "--bench-plugin", faulty)
    chosen = ("-k", "continuous and (integral or gradients)")
    status, out = run_pytest(
        tmp_path, "--pyargs", "bench.testing.suite", "test_mine.py", *named, *chosen
    )
    assert status == 1, out
    assert "1 failed, 3 passed" in out
    assert "test_conformance[faulty x continuous-integral]" in out
    assert "expected the density of z to integrate to 1" in out
    assert "Traceback" not in out


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ([], "name what to check: --bench prior:my_prior"),
        (["prior:vmap"], "unknown prior 'vmap'. Did you mean 'vamp'?"),
        (["vamp"], "unknown kind of plugin 'vamp'"),
    ],
    ids=["nothing", "unknown", "no kind"],
)
def test_mistakes_are_usage_errors(named: list[str], said: str) -> None:
    options = {"bench": named}
    config = SimpleNamespace(getoption=options.get)
    with pytest.raises(pytest.UsageError, match=re.escape(said)):
        suite.pytest_generate_tests(SimpleNamespace(config=config))  # type: ignore[arg-type]


def test_the_options_cost_other_projects_nothing() -> None:
    code = "import sys, bench.pytest_plugin; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
