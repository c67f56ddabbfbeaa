"""Imports run one way, and the harness knows no plugin by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench
from bench.registry import FOLDERS, KINDS, Registry

PACKAGE = Path(bench.__file__).parent
HARNESS = sorted(PACKAGE.rglob("*.py"))
PLUGINS = sorted(
    info.path for kind in KINDS for info in Registry().infos(kind) if info.path is not None
)


def imports(path: Path) -> Iterator[str]:
    """Every module or name that a file imports, dotted."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", PLUGINS, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_plugins_import_only_the_api(path: Path) -> None:
    ours = ("bench", "priors", "posteriors", "datasets", ".")
    for name in imports(path):
        if name.startswith(ours) and name.split(".")[0] in (*ours, ""):
            assert name.startswith("bench.api."), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", HARNESS, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_harness_imports_no_plugin(path: Path) -> None:
    for name in imports(path):
        assert not name.startswith(tuple(FOLDERS.values())), f"{path.name} imports {name}"
        assert name.split(".")[0] not in ("priors", "posteriors", "datasets")


@pytest.mark.parametrize("path", HARNESS, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_harness_compares_no_plugin_name(path: Path) -> None:
    names = {name for kind in KINDS for name in Registry().names(kind)}
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            operands = [node.value]
        else:
            continue
        literals = {n.value for o in operands for n in ast.walk(o) if isinstance(n, ast.Constant)}
        assert not names & literals, f"{path.name}:{operands[0].lineno} compares a plugin's name"


@pytest.mark.parametrize("path", [*HARNESS, *PLUGINS], ids=lambda p: f"{p.parent.name}/{p.name}")
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300


def test_bottom_layers_import_nothing_above_them() -> None:
    bottom = {"errors", "spaces", "spec", "plugin_source", "config_files", "config_values"}
    for path in HARNESS:
        if path.parent == PACKAGE and path.stem in bottom:
            for name in imports(path):
                if name.startswith("bench."):
                    assert name.split(".")[1] in bottom, f"{path.name} imports {name}"
