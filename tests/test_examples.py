"""The third-party priors of examples/ install, pass their tests and take their place in a grid."""

from __future__ import annotations

import ast
import math
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from runs import Ended, bench, results, run_tiny

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/pyproject.toml"))


def source(name: str) -> Path:
    return EXAMPLES / name / "src" / f"{name}.py"


def test_there_are_three() -> None:
    assert NAMES == ["exemplar_prior", "flow_prior", "learned_weights"]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_written_against_the_api_alone(name: str) -> None:
    modules = [
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(source(name).read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    assert {module for module in modules if module.startswith("bench")} == {"bench.api"}


@pytest.mark.parametrize("name", NAMES)
def test_its_entry_point_is_all_that_registers_it(name: str) -> None:
    project = tomllib.loads((EXAMPLES / name / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {"bench.priors": {name: name}}
    assert "vae-prior-bench" in project["dependencies"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three packages, installed beside this environment's."""
    folder = tmp_path_factory.mktemp("examples")
    for name in NAMES:  # away from the checkout: a build leaves folders, pytest reads settings
        shutil.copytree(EXAMPLES / name, folder / name)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    flags = ["--no-build-isolation", "--disable-pip-version-check", "--target", "site"]
    packages = [f"./{name}" for name in NAMES]
    subprocess.run([*pip, *flags, *packages], cwd=folder, check=True)
    return folder / "site"


def in_python(site: Path, *arguments: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", *arguments]
    run = subprocess.run(
        command, cwd=site.parent, env=env, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.mark.slow
def test_installed_they_are_listed(site: Path) -> None:
    listed = in_python(site, "-c", "from bench.cli import main; main()", "list", "priors")
    assert [name for name in NAMES if name not in listed] == []
    assert "broken" not in listed


@pytest.mark.slow
def test_installed_they_pass_their_own_tests(site: Path) -> None:
    """Of the conformance suite one pair each, uncompiled: all of it takes a minute."""
    chosen = "not continuous and not independent and not joint_pi and not compiled"
    options = ["-q", "-p", "no:cacheprovider", "-k", chosen]
    assert " passed" in in_python(site, "-m", "pytest", *options, *NAMES)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    out = tmp_path_factory.mktemp("grid") / "runs"
    plugins = [word for name in NAMES for word in ("--plugin", source(name))]
    pairs = ("--priors", ",".join(NAMES), "--posteriors", "continuous,joint")
    words = (*pairs, "--datasets", "digits", "--components", 3)
    return out, run_tiny(out, *plugins, *words, epochs=1)


@pytest.fixture(scope="module")
def rows(grid: tuple[Path, Ended]) -> dict[tuple[str, str], dict[str, str]]:
    out, ended = grid
    assert ended.status == 0, ended.out + ended.err
    return {(row["prior"], row["posterior"]): row for row in results(out)}


Rows = dict[tuple[str, str], dict[str, str]]
PAIRS = [(n, p) for n in NAMES for p in ("continuous", "joint")]
SKIPPED = ("learned_weights", "continuous")
TRAINED = [pair for pair in PAIRS if pair != SKIPPED]


def test_every_pair_has_a_row(rows: Rows) -> None:
    assert {pair: row["status"] for pair, row in rows.items()} == {
        pair: "skipped" if pair == SKIPPED else "ok" for pair in PAIRS
    }
    assert "needs a posterior with a category" in rows[SKIPPED]["reason"]


@pytest.mark.parametrize("pair", TRAINED, ids=" x ".join)
def test_bounds_are_in_order(rows: Rows, pair: tuple[str, str]) -> None:
    row = {key: float(value) for key, value in rows[pair].items() if _is_number(value)}
    assert all(math.isfinite(value) for value in row.values())
    parts = row["reconstruction"] + row["kl_z"] + row.get("kl_c", 0.0)
    assert row["nelbo"] == pytest.approx(parts, abs=1e-4)
    assert row["nll"] < row["nelbo"] + 4 * row["nelbo_se"]
    # Forty epochs short of trained, but better than one fair coin for each of 64 pixels.
    assert 20.0 < row["nelbo"] < 64 * math.log(2.0) + 5.0


@pytest.mark.parametrize("pair", TRAINED, ids=" x ".join)
def test_the_decomposition_sums_to_the_bound(rows: Rows, pair: tuple[str, str]) -> None:
    """It holds for a density without a closed form and for a p(c) that is not uniform."""
    row = rows[pair]
    assert abs(float(row["decomposition_gap"])) < 4 * float(row["decomposition_gap_se"]) + 1e-3


ASSIGNMENTS = {
    ("exemplar_prior", "continuous"): ("prior", "3"),  # its exemplars are the components
    ("flow_prior", "continuous"): ("none", ""),  # it has none, so K does not apply
    ("exemplar_prior", "joint"): ("posterior", "3"),
    ("flow_prior", "joint"): ("posterior", "3"),
    ("learned_weights", "joint"): ("posterior", "3"),
}


@pytest.mark.parametrize("pair", TRAINED, ids=" x ".join)
def test_categories_are_whose_they_are(rows: Rows, pair: tuple[str, str]) -> None:
    row = rows[pair]
    assert (row["assignment"], row["components"]) == ASSIGNMENTS[pair]
    measured = [row[name] for name in ("entropy", "purity", "nmi", "collapsed")]
    assert all(measured) == (row["assignment"] != "none")  # a blank does not apply
    if row["assignment"] != "none":
        assert (
            0.0 <= float(row["entropy"]) <= float(row["entropy_max"]) == pytest.approx(math.log(3))
        )
        assert 0.0 <= float(row["purity"]) <= 1.0


def test_the_report_shows_them(grid: tuple[Path, Ended]) -> None:
    shown = bench("report", "--out", grid[0])
    assert shown.status == 0, shown.err
    assert [" x ".join(pair) for pair in TRAINED if " x ".join(pair) not in shown.out] == []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
