"""What an installation makes importable: `bench`, with the plugin folders and bench.toml inside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "bench.toml")
PACKAGES = ("bench", "priors", "posteriors", "datasets")
TOP_LEVEL = ("priors", "posteriors", "datasets", "tests", "benchmarks", "examples")

PROBE = """
import importlib, json
import bench, bench.priors, bench.posteriors, bench.datasets
from bench.config import load_config, shipped_toml_path
from bench.registry import KINDS, Registry
from bench.scaffold import write_package
found = []
for name in %r:
    try:
        importlib.import_module(name)
        found.append(name)
    except ImportError:
        pass
load_config("demo")
registry = Registry()
print(json.dumps({
    "bench": bench.__file__, "priors": bench.priors.__file__, "toml": str(shipped_toml_path()),
    "leaked": found, "plugins": {kind: registry.names(kind) for kind in KINDS},
    "paths": [str(i.path) for kind in KINDS for i in registry.infos(kind)],
    "new": list(write_package("prior", "mine", None, registry).files),
}))
"""


def probe(folder: Path, path: Path | None = None) -> dict:
    """What a Python started in an empty folder sees."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if path is not None:
        env["PYTHONPATH"] = str(path)
    command = [sys.executable, "-c", PROBE % (TOP_LEVEL,)]
    run = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a source distribution, away from the checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in PROJECT:
        shutil.copy(ROOT / name, source / name)
    for name in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    target = tmp_path_factory.mktemp("dist")
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
        str(target),
        str(source),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    (built,) = target.glob("*.whl")
    return built


def test_wheel_holds_bench_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (top_level,) = (n for n in names if n.endswith(".dist-info/top_level.txt"))
        assert archive.read(top_level).decode().split() == ["bench"]
        (entry_points,) = (n for n in names if n.endswith(".dist-info/entry_points.txt"))
        assert b"bench = bench.cli:main" in archive.read(entry_points)
        assert archive.read("bench/bench.toml") == (ROOT / "bench.toml").read_bytes()
    info = top_level.split("/")[0]
    assert {name.split("/")[0] for name in names} == {"bench", info}
    assert f"{info}/licenses/LICENSE" in names
    assert "bench/py.typed" in names


@pytest.mark.parametrize("package", PACKAGES)
def test_wheel_holds_every_module(wheel: Path, package: str) -> None:
    inside = "bench" if package == "bench" else f"bench/{package}"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for path in (ROOT / package).rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert f"{inside}/{path.relative_to(ROOT / package).as_posix()}" in names


def test_installed_wheel_works_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", str(site), str(wheel)], check=True)
    seen = probe(empty, site)
    assert seen["bench"] == str(site / "bench" / "__init__.py")
    assert seen["priors"] == str(site / "bench" / "priors" / "__init__.py")
    assert seen["toml"] == str(site / "bench" / "bench.toml")
    assert seen["leaked"] == []
    assert "vamp" in seen["plugins"]["prior"]
    assert "joint" in seen["plugins"]["posterior"]
    assert "digits" in seen["plugins"]["dataset"]
    assert all(path.startswith(str(site)) for path in seen["paths"])
    assert seen["new"][0] == "src/mine.py"
    assert (empty / "mine" / "src" / "mine.py").is_file()


def test_this_installation_works_from_an_empty_folder(tmp_path: Path) -> None:
    """The editable install of `make test`, or whichever this is, leaks no name either."""
    seen = probe(tmp_path)
    assert seen["leaked"] == []
    assert "vamp" in seen["plugins"]["prior"]
    direct_url = json.loads(distribution("vae-prior-bench").read_text("direct_url.json") or "{}")
    if direct_url.get("dir_info", {}).get("editable"):
        assert seen["toml"] == str(ROOT / "bench.toml")
        assert seen["priors"] == str(ROOT / "priors" / "__init__.py")


def test_constraints_pin_every_direct_dependency() -> None:
    pinned = {
        line.split("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    for requirement in distribution("vae-prior-bench").requires or []:
        name = requirement.split(">")[0].strip().lower()
        if "extra ==" not in requirement:
            assert name in pinned
