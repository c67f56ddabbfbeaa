"""A real `bench run`, killed by SIGKILL again and again, against one that nothing disturbed.

    python tests/killing.py --kills 200

A third of the kills come at a moment of the clock; a third when the run is about to make, or has
just made, a call that changes a file, as those moments are too short for a clock; and a third
soon after a random epoch or phase, as most of so small a run is its start. Of a run with workers
the kill takes, more often than not, the main process alone.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from forked import Fate, fork, wait, warm_up
from runs import TINY

GRID: Sequence[tuple[object, ...]] = (
    # Two systems; seeds train together; a category or none. Then a search.
    ("--models", "VAE,CP", "--datasets", "digits", "--components", 3, "--seeds", 2, "--epochs", 6),
    ("--models", "VAE", "--datasets", "digits", "--trials", 3, "--epochs", 3),
    # Searches and cells in two processes, which outlive the one that is killed, for a moment.
    ("--models", "VAE,CP", "--datasets", "digits", "--components", 3, "--trials", 2, "--epochs", 3,
     "--workers", 2),
    # A search whose finalists are trained again: trials of one shape, as there have to be many.
    ("--models", "VAE", "--datasets", "digits", "--trials", 20, "--epochs", 2, "--workers", 2,
     "--set", "tuning.repeats=2", "--set", "tuning.space.model.latent_dim=false"),
)  # fmt: skip
PARTS = {"all": (0, 1, 2, 3), "alone": (0, 1), "workers": (2,), "finals": (3,)}
OFTEN = ("--set", "training.checkpoint_seconds=1e-6", "--set", "engine.replicas=2")
LONGEST = 900.0  # seconds of one run on a busy machine


@dataclass
class Tally:
    """How the kills of a campaign were spread."""

    kills: Counter[str] = field(default_factory=Counter)
    finished: int = 0
    seconds: float = 0.0


def command(part: int, out: Path) -> list[str]:
    return ["bench", "run", *TINY, *OFTEN, *map(str, GRID[part]), "--out", str(out)]


def finish(part: int, out: Path, log: Path) -> float:
    """Run to the end; returns the seconds that it took."""
    started = time.monotonic()
    child = fork(command(part, out), log)
    status = wait(child, LONGEST)
    if status is None:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert status == 0, f"a run ended with status {status}:\n{log.read_text()}"
    return time.monotonic() - started


def disturb(
    part: int, whole: Whole, out: Path, log: Path, rng: random.Random, tally: Tally
) -> bool:
    """One run that is to be killed; returns whether it ended before that."""
    before = untouchable(out)
    share = 0.8 * rng.random() * whole.rest(out)
    fate = rng.choice(
        (
            Fate("clock", late=share * whole.seconds),
            Fate("write", int(share * whole.writes), rng.choice((0.0, 1.0))),
            Fate("event", int(share * whole.events), rng.uniform(0.0, 0.05)),
        )
    )
    fate = replace(fate, alone="--workers" in GRID[part] and rng.random() < 0.7)
    child = fork(command(part, out), log, fate)
    status = wait(child, fate.late if fate.kind == "clock" else LONGEST)
    if status is None:
        fate.strike(child)
        os.waitpid(child, 0)
        status = -signal.SIGKILL
    assert status in (0, -signal.SIGKILL), f"status {status}:\n{log.read_text()}"
    after = untouchable(out)
    changed = [path for path, stamp in before.items() if after.get(path) != stamp]
    assert not changed, f"files of finished cells were written again: {changed}"
    if status == 0:
        return True
    note = log.with_suffix(".phase")
    where = note.read_text() if note.exists() else ""
    whom = ", its workers alive" if fate.alone else ""
    tally.kills[f"{where or 'start, plan'} (by {fate.kind}{whom})"] += 1
    return False


@dataclass(frozen=True)
class Whole:
    """An undisturbed run.

    Attributes:
        out: its folder.
        seconds: how long it took.
        writes: calls that changed files.
        events: epochs and phases.
        cells: that it finished.
    """

    out: Path
    seconds: float
    writes: int
    events: int
    cells: int

    def rest(self, out: Path) -> float:
        """About which share of the work a folder still lacks."""
        done = len([*out.glob("cells/*/row.json")])
        return 1.0 - 0.6 * done / self.cells


def untouchable(out: Path) -> dict[Path, tuple[int, int]]:
    """Every file of the finished cells, with what changes when it is written again."""
    cells = [row.parent for row in out.glob("cells/*/row.json")]
    found = [path for cell in cells for path in cell.iterdir()]
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in found}


def unclocked(text: str) -> list[dict[str, str]]:
    """The rows of a table without the columns that a clock fills."""
    return [
        {key: value for key, value in row.items() if "seconds" not in key}
        for row in csv.DictReader(text.splitlines())
    ]


def content(path: Path) -> Any:
    """What a file of the store holds, without what a clock has put there."""
    if path.suffix == ".csv":
        return unclocked(path.read_text())
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: arrays[name].tobytes() for name in arrays}
    if path.name == "model.pt":
        weights = torch.load(path, weights_only=True)
        return {name: value.numpy().tobytes() for name, value in weights.items()}
    if path.name in ("row.json", "training.json"):
        lines = path.read_text().splitlines()
        return [line for line in lines if "seconds" not in line]
    return path.read_bytes()


def differences(found: Path, expected: Path) -> list[str]:
    """How two results folders differ in what they say; nothing where they agree bit for bit."""

    def files(out: Path) -> dict[str, Path]:
        paths = [*out.glob("cells/**/*"), *out.glob("trained/*"), out / "results.csv"]
        return {str(p.relative_to(out)): p for p in paths if p.is_file()}

    mine, theirs = files(found), files(expected)
    said = [f"{name}: only in one of them" for name in sorted(mine.keys() ^ theirs.keys())]
    shared = sorted(mine.keys() & theirs.keys())
    return said + [f"{n}: differs" for n in shared if content(mine[n]) != content(theirs[n])]


def campaign(
    kills: int, seed: int, folder: Path, say: Callable[[str], None], parts: Sequence[int]
) -> Tally:
    """Kill runs until there were so many kills; every run that ends must have lost nothing.

    Raises:
        AssertionError: something was lost; the message says how to see it again.
    """
    warm_up()
    tally, rng, started = Tally(), random.Random(seed), time.monotonic()
    wholes = {}
    for part in parts:
        out, log = folder / f"whole{part}", folder / f"whole{part}.log"
        seconds = finish(part, out, log)
        writes, events = (int(log.with_suffix(f".{k}").read_text()) for k in ("writes", "events"))
        cells = len([*out.glob("cells/*/row.json")])
        wholes[part] = Whole(out, seconds, writes, events, cells)
        say(f"undisturbed: {seconds:.1f} s, {writes} writes, {events} events, {cells} cells")
    while tally.kills.total() < kills:
        part = parts[tally.finished % len(parts)]
        out, log = folder / f"run{tally.finished}", folder / f"run{tally.finished}.log"
        while tally.kills.total() < kills:
            if disturb(part, wholes[part], out, log, rng, tally):
                break
        before = untouchable(out)
        finish(part, out, log)
        assert {p: s for p, s in untouchable(out).items() if p in before} == before
        lost = differences(out, wholes[part].out)
        assert not lost, f"seed {seed}, run {tally.finished} in {folder}: " + "; ".join(lost)
        tally.finished += 1
        say(f"{tally.kills.total()} kills, {tally.finished} runs finished, the same bit for bit")
    tally.seconds = time.monotonic() - started
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="of the moments; printed")
    parser.add_argument("--only", choices=PARTS, default="all", help="which runs")
    chosen = parser.parse_args()
    seed = random.randrange(10**6) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="kills"))
    try:
        tally = campaign(chosen.kills, seed, folder, lambda text: print(text, flush=True),
                         PARTS[chosen.only])  # fmt: skip
    except AssertionError as error:
        print(f"LOST with --only {chosen.only} --seed {seed}, see {folder}: {error}")
        return 1
    print(f"{tally.kills.total()} kills in {tally.seconds:.0f} s, {tally.finished} runs finished")
    print("\n".join(f"  {count:4} in {where}" for where, count in sorted(tally.kills.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
