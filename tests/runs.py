"""Runs of `bench` that are as small as they can be, in this process or in one of their own."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.cli import main
from bench.config import Config, load_config
from bench.grid import Plan, make_plan
from bench.registry import Registry

SETTINGS = (
    "model.hidden=8",
    "model.latent_dim=2",
    "evaluation.importance_samples=2",
    "evaluation.responsibility_samples=2",
    "evaluation.decomposition_points=50",
    "evaluation.generation_samples=4",
    "evaluation.density_samples=500",
    "datasets.gaussians.training.batch_size=5000",
    "tracking.enabled=false",
    "engine.threads=1",
)
TINY = ("--workers", "1", "--device", "cpu", *(word for s in SETTINGS for word in ("--set", s)))

PRIOR = '''
import os
import torch
from torch import nn
from bench.api import DiagNormal, Joint, Mixture, Posterior, Prior, Spec

class Mine(Prior):
    """A normal with a learned mean."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.loc = nn.Parameter(torch.zeros(spec.latent_dim))

    def forward(self, posterior: Posterior) -> Joint:
{body}
        return Joint(z=DiagNormal(self.loc, torch.ones_like(self.loc)))
'''


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str


def bench(*arguments: object) -> Ended:
    """The command line in this process, as the console script runs it."""
    out, err = io.StringIO(), io.StringIO()
    argv = ["bench", *map(str, arguments)]
    with patch.object(sys, "argv", argv), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        else:
            code = 0
    return Ended(code if isinstance(code, int) else 1, out.getvalue(), err.getvalue())


def run_tiny(out: Path, *arguments: object, epochs: int = 2) -> Ended:
    return bench("run", *TINY, "--epochs", epochs, "--out", out, *arguments)


def start(folder: Path, *arguments: object, before: str = "") -> subprocess.Popen[str]:
    """The command line in a process of its own, which leads a group as a shell's job does.

    Args:
        folder: where it starts.
        arguments: what the user typed.
        before: a statement that the process begins with.
    """
    code = f"{before or 'pass'}; from bench.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(
    ready: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 400
) -> None:
    """Until ``ready``, while the process lives."""
    end = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.01)


def results(out: Path) -> list[dict[str, str]]:
    """The rows of results.csv."""
    with (out / "results.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def write_prior(path: Path, body: str = "") -> Path:
    """A plugin whose forward begins with ``body``."""
    path.write_text(PRIOR.format(body=textwrap.indent(textwrap.dedent(body), " " * 8)))
    return path


def plan_of(
    *sets: str, names: Sequence[str] = ("digits",), plugins: Sequence[Path] = (), **flags: Any
) -> Plan:
    """The plan of settings, with made-up fingerprints."""
    config: Config = load_config(None, None, sets, {f"run.{k}": v for k, v in flags.items()})
    prints = {name: f"print of {name}" for name in names}
    return make_plan(config, Registry(plugins), prints, "cpu")
