"""``bench doctor``: versions, devices, plugins, data, store: what works and what to do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench import __version__
from bench.commands import settings_for, try_datasets
from bench.data.store import list_datasets
from bench.errors import BenchError, PluginError
from bench.registry import Registry
from bench.store import Store

PACKAGES = ("torch", "torchvision", "optuna", "mlflow", "numpy", "scipy", "scikit-learn", "pandas")


class Findings:
    """Prints findings and counts the bad ones."""

    def __init__(self) -> None:
        self.console = Console()
        self.problems = 0

    def good(self, text: str) -> None:
        """Something that works."""
        self._say("ok", "green", text)

    def bad(self, text: str) -> None:
        """Something that does not, with what to do."""
        self.problems += 1
        self._say("PROBLEM", "red", text)

    def note(self, text: str) -> None:
        """Something to know."""
        self._say("note", "yellow", text)

    def _say(self, mark: str, colour: str, text: str) -> None:
        self.console.print(f"[{colour}]{mark}[/{colour}] ", end="")
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def examine(
    out: Path | None,
    data_dirs: Sequence[Path],
    plugins: Sequence[Path],
    config_file: Path | None,
) -> int:
    """Print every finding; 1 if something does not work."""
    say = Findings()
    say.good(f"bench {__version__}, Python {platform.python_version()}, {platform.platform()}")
    _packages(say)
    _devices(say)
    try:
        config = settings_for(out, data_dirs, config_file)
    except BenchError as error:
        say.bad(f"settings: {error}")
        return 1
    say.good("settings: bench.toml is understood")
    registry = _plugins(say, plugins)
    if registry is not None:
        roots = [Path(folder) for folder in config.run.data_dirs]
        for status in list_datasets(try_datasets(registry, say.bad), roots):
            if status.state in ("embedded", "found"):
                verified = "" if status.verified in (True, None) else ", not the published files"
                say.good(f"dataset {status.name}: {status.where or 'embedded'}{verified}")
            elif status.state == "missing":
                say.note(f"dataset {status.name} is missing: bench data fetch {status.name}")
            else:
                say.bad(f"dataset {status.name}: {status.reason}")
    _store(say, Path(config.run.out))
    return 1 if say.problems else 0


def _packages(say: Findings) -> None:
    for name in PACKAGES:
        try:
            say.good(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            if name == "mlflow":
                say.note("mlflow is not installed: runs are not tracked, results are on disk")
            else:
                say.bad(f"{name} is not installed: install the package with its dependencies")
    try:
        import torchvision  # noqa: F401
    except Exception as error:
        say.bad(
            f"torchvision does not import beside this torch ({type(error).__name__}: {error}); "
            "install the two together, as constraints.txt pins them"
        )


def _devices(say: Findings) -> None:
    import torch

    from bench.engine.choice import has_compiler
    from bench.products import choose_kernels

    kernels = {"onednn": "oneDNN", "blas": "the BLAS"}[choose_kernels("auto", "cpu")]
    say.good(f"cpu: {os.cpu_count()} cores; float32 matrices are multiplied by {kernels}")
    if not has_compiler():
        say.note("no C++ compiler: on the CPU steps are not compiled and run eagerly")
    if not torch.cuda.is_available():
        say.note("no CUDA device: cells train on the CPU")
        return
    for index in range(torch.cuda.device_count()):
        say.good(f"cuda:{index}: {torch.cuda.get_device_name(index)}")


def _plugins(say: Findings, plugins: Sequence[Path]) -> Registry | None:
    try:
        registry = Registry(plugins)
    except BenchError as error:
        say.bad(f"plugins: {error}")
        return None
    broken = registry.broken(load=True)
    for info in broken:
        say.bad(f"plugin: {info.error}")
    bad = {(info.kind, info.name) for info in broken}
    for kind in ("prior", "posterior", "dataset"):
        names = [i.name for i in registry.infos(kind) if (kind, i.name) not in bad]
        say.good(f"{kind} plugins: {', '.join(names)}")
    return registry


def _store(say: Findings, out: Path) -> None:
    existing = out
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free / 2**30
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        say.bad(f"results folder {out} cannot be written: choose another with --out")
        return
    try:
        rows = Store(out, create=False).rows()
    except (OSError, ValueError, PluginError) as error:
        say.bad(f"results folder {out} cannot be read: {error}")
        return
    counts = {state: sum(r["status"] == state for r in rows) for state in ("ok", "failed")}
    say.good(
        f"results folder {out}: {counts['ok']} finished and {counts['failed']} failed cells, "
        f"{free:.0f} GiB free"
    )
