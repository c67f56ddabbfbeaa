"""On what and with which versions the numbers were measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

import bench
from bench.tracking.source import git_commit
from benchmarks.settings import Settings, cores

PACKAGES = ("torch", "numpy", "pythae")


def describe(settings: Settings) -> dict[str, Any]:
    """Hardware, versions, the commit of bench, and how busy the machine is."""
    gpu = settings.cuda and torch.cuda.is_available()
    return {
        "processor": processor(),
        "cores": cores(),
        "threads": settings.threads,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bfloat16_products": has_bfloat16(settings.device),
        "gpu": torch.cuda.get_device_name(settings.device) if gpu else None,
        "cuda": torch.version.cuda if gpu else None,
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "bench": bench.__version__,
        "commit": _commit(),
        "busy_cores": busy(),
    }


def processor() -> str:
    """The processor's name, as the system calls it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def has_bfloat16(device: str) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known = torch.cpu.get_capabilities()
    return bool(known.get("avx512_bf16") or known.get("amx_bf16") or known.get("bf16"))


def busy() -> float | None:
    """How many cores other processes and this one kept busy over the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of bench, marked where the checkout has changes of its own."""
    commit = git_commit()
    if commit is None:
        return None
    root = Path(bench.__file__).parents[1]
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=root, check=False)
    return commit if changed.returncode == 0 else f"{commit} with changes"
