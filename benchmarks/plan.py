"""``python -m benchmarks.plan``: what a plan of many cells costs, without its training.

The whole of ``bench run`` is timed, with the training and evaluation of a group replaced by the
files that they leave: planning, finding what is finished, groups, locks, rows, results.csv and the
tables at the end. Then the same again on the finished store. Each size has a process of its own,
for its peak memory.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.console import Console

from bench.cells import Events
from bench.files import atomic_write, write_json, write_text
from bench.grid import Cell
from bench.group_training import describe
from bench.grouping import Group, hold_all
from bench.preparation import Request
from bench.runner import run
from bench.store import COLUMNS, Row, Store
from bench.workshop import Workshop


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plan", description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[1000, 10_000], metavar="N")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if min(chosen.cells) < 1:
        parser.error("--cells: expected numbers above 0")
    if chosen.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(simulate(chosen.cells[0], Path(folder))))
        return 0
    print("  cells   run (s)  ms a cell  again (s)  peak (MiB)  disk (MiB)", flush=True)
    for cells in chosen.cells:
        command = [sys.executable, "-m", "benchmarks.plan", "--one", "--cells", str(cells)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{found['cells']:>7}{found['run']:>10.1f}{1e3 * found['run'] / found['cells']:>11.1f}"
            f"{found['again']:>11.1f}{found['peak']:>12.0f}{found['disk']:>12.0f}",
            flush=True,
        )
    return 0


def simulate(cells: int, out: Path) -> dict[str, float]:
    """Run a plan of ``cells`` in ``out``, and again when it is finished.

    Returns:
        Seconds of both, the peak memory of this process and the size of the store (MiB).
    """
    models = ("VAE", "CP", "INDq", "VP")
    seeds = -(-cells // len(models))
    flags = {
        "run.models": list(models), "run.datasets": ["digits"], "run.components": [10],
        "run.seeds": list(range(seeds)), "run.out": str(out), "engine.device": "cpu",
        "tracking.enabled": False, "engine.replicas": 1,
    }  # fmt: skip
    request = Request(None, None, (), (), flags, workers=1)
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        with patch("bench.execution.run_group", pretend):
            status = run(request, Console(file=io.StringIO(), width=200))
        seconds.append(time.perf_counter() - began)
        if status:
            raise RuntimeError(f"the simulated run ended with status {status}")
    rows = Store(out, create=False).rows()
    files = (path.stat().st_blocks * 512 for path in out.rglob("*") if path.is_file())
    return {
        "cells": len(rows),
        "run": seconds[0],
        "again": seconds[1],
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "disk": sum(files) / 2**20,
    }


def pretend(
    group: Group, workshop: Workshop, store: Store, events: Events
) -> Iterator[tuple[Cell, Row]]:
    """The files that a group's training and evaluation leave, and its rows."""
    with hold_all(group, store, events.stop):
        for cell in group:
            events.phase(cell, "train")
            folder = store.folder(cell.id)
            config, components = workshop.settings(cell, {})
            described = describe(cell, config, components, {}, 1)
            write_json(folder / "config.json", {**described, "group": [c.seed for c in group]})
            write_text(folder / "history.csv", "epoch\n" + "1,2,3,4,5,6,7\n" * 20)
            with atomic_write(folder / "model.pt") as stream:
                stream.write(b"weights")
            store.keep_trained(cell)
            row = made_up(cell)
            store.finish(cell, row)
            yield cell, row


def made_up(cell: Cell) -> Row:
    """A row with a number in every column that a cell can fill."""
    row: dict[str, Any] = {name: cell.seed + index / 7 for index, name in enumerate(COLUMNS)}
    named = ("cell", "dataset", "prior", "posterior", "model", "components", "seed", "setting")
    for name in (*named, "dataset_fingerprint"):
        del row[name]
    texts = {"status": "ok", "reason": "", "device": "cpu", "assignment": "posterior"}
    others = {"collapsed": False, "engine_mode": "eager", "products": "blas", "tuned": {}}
    return {**row, **texts, **others}


if __name__ == "__main__":
    sys.exit(main())
