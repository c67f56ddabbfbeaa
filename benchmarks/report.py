"""``python -m benchmarks.report``: what the report of sixty trained cells takes, from cold.

The cells are trained first, for two epochs, unless the store holds them: a report costs the same
however long they trained. Then the page is written by a new process without figures of an earlier
report, and once more with them. Seconds are those of the clock and those of the processor, imports
included; on a machine that does other things the processor's are the ones to compare.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.store import Store

LIMIT = 120.0
"""Seconds that sixty cells may take."""

SMALL = (
    "--set", "evaluation.importance_samples=100", "--set", "tracking.enabled=false",
    "--epochs", "2", "--seeds", "1",
)  # fmt: skip


def bench(*words: str) -> tuple[float, float]:
    """A command in a process of its own: seconds of the clock, and of the processor."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "from bench.cli import main; main()", *words],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    after = os.times()
    used = after.children_user - before.children_user
    system = after.children_system - before.children_system
    return time.perf_counter() - start, used + system


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; status 1 where sixty cells would take more than they may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/report"))
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--components", default="10,20,30", help="65 cells of every pair")
    parser.add_argument("--models", help="only these, instead of every pair")
    chosen = parser.parse_args(arguments)
    words = ["--datasets", chosen.dataset, "--components", chosen.components]
    words += ["--models", chosen.models] if chosen.models else []
    words += ["--data-dir", str(chosen.data_dir), "--out", str(chosen.out)]
    bench("run", "--preset", "demo", *words, *SMALL)
    store = Store(chosen.out, create=False)
    cells = sum(row["status"] == "ok" for row in store.rows())
    report = ("report", "--format", "html", "--out", str(chosen.out))
    shutil.rmtree(chosen.out / "report", ignore_errors=True)
    clock, processor = bench(*report)
    figures = len(list((chosen.out / "report" / "figures").glob("*.png")))
    size = (chosen.out / "report" / "index.html").stat().st_size / 1e6
    print(f"{cells} cells, {figures} figures, a page of {size:.1f} MB")
    print(f"from cold     {clock:6.0f} s, {processor:6.0f} s of the processor")
    again = bench(*report)
    print(f"nothing new   {again[0]:6.0f} s, {again[1]:6.0f} s of the processor")
    share = clock * 60 / max(cells, 1)
    print(f"60 cells: {share:.0f} s, {LIMIT:.0f} s allowed")
    return 0 if share <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
