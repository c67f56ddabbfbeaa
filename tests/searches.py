"""Searches whose trials need no model: they climb to a height that their settings give."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.spaces import Choice, Float, Int, Range
from bench.tuning import Proposal, Standing, TuningResult, search
from bench.tuning.storage import Storage

SPACE: dict[str, Range] = {
    "training.learning_rate": Float(1e-4, 1e-2, log=True),
    "components": Int(5, 100, log=True),
    "priors.example.kind": Choice(("narrow", "wide")),
}
LAST = 9


def height(params: Mapping[str, Any], epoch: int) -> float:
    """The bound after an epoch: rises to what the settings give, some faster than others."""
    wide = params["priors.example.kind"] == "wide"
    rate = params["training.learning_rate"] * 1e3
    return float(-abs(params["components"] - 40) + 3 * wide - 30 * (1 - epoch / LAST) / rate)


class Climbing:
    """Each trial is a part of its own. Every start is written to a log, and may be the last."""

    reduction = 2

    def __init__(
        self,
        log: Path | None = None,
        seconds: float = 0.0,
        most: int = 0,
        rungs: Sequence[int] = (1, 3),
        crew: int = 1,
    ) -> None:
        self.log, self.seconds, self.most, self.rungs = log, seconds, most, rungs
        self.crew = crew  # processes: none goes on before each has begun a trial
        self.facts: dict[str, Any] = {}
        self.begun = 0

    def parts(self, proposals: Sequence[Proposal]) -> list[Sequence[Proposal]]:
        return [[proposal] for proposal in proposals]

    def start(self, proposals: Sequence[Proposal]) -> Climber:
        self.begun += 1
        if self.log is not None:
            with self.log.open("a") as stream:
                stream.write("".join(f"{os.getpid()} {p.number}\n" for p in proposals))
        if self.begun == self.most:
            os.kill(os.getpid(), signal.SIGKILL)
        end = time.monotonic() + 300
        while self.crew > 1 and self._workers() < self.crew and time.monotonic() < end:
            time.sleep(0.01)
        return Climber(self, proposals[0])

    def sweep(self, going: Collection[int]) -> None: ...

    def _workers(self) -> int:
        """How many processes the log names."""
        assert self.log is not None
        return len({line.split()[0] for line in self.log.read_text().splitlines()})


class Climber:
    def __init__(self, objective: Climbing, proposal: Proposal) -> None:
        self.objective, self.proposal, self.epoch = objective, proposal, 0

    def advance(self, epoch: int | None) -> dict[int, Standing]:
        self.epoch = LAST if epoch is None else epoch
        time.sleep(self.objective.seconds)
        standing = Standing(height(self.proposal.params, self.epoch), self.epoch)
        return {self.proposal.number: standing}

    def drop(self, numbers: Collection[int]) -> None: ...

    def keep(self) -> None: ...

    def close(self) -> None: ...


def climb(storage: Storage, objective: Climbing, **changes: Any) -> TuningResult:
    settings = {"trials": 12, "seed": 5, "study": "climb", "batch": 4, **changes}
    return search(SPACE, objective, storage=storage, **settings)


def work(place: str, out: Path, seconds: str, most: str = "0", crew: str = "1") -> None:
    """What a process of a shared search does; its view of the trials as JSON."""
    objective = Climbing(out / "log", float(seconds), int(most), crew=int(crew))
    result = climb(Storage.at(place, out), objective)
    print(json.dumps([vars(trial) for trial in result.trials]))
