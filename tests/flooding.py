"""What workers do in the tests of a crew: no training, and little to import, as they die often."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARCEL = b"x" * 400_000  # more than a pipe holds: a kill falls into the middle of one
NOTICES = 12


@dataclass(frozen=True)
class SmallJob:
    """As much of a ``Job`` as a crew asks for."""

    out: Path
    device: str = "cpu"
    fresh: bool = False
    search_only: bool = False


class Unset:
    """The flag of a run that nobody stops."""

    def is_set(self) -> bool:
        """Never."""
        return False


def write_row(out: Path, cell: str) -> None:
    """A finished cell's row, written whole."""
    folder = out / "cells" / cell
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "part").write_text(json.dumps({"cell": cell, "status": "ok", "reason": ""}))
    (folder / "part").replace(folder / "row.json")


def flood(job: SmallJob, line: Any, flag: Any) -> None:
    """Groups that are ended at once, with far more news than anybody needs."""
    line.send(("idle", ""))
    while (group := line.recv()) is not None:
        for cell in group:
            line.send(("started", cell.id))
        for cell in group:
            for number in range(NOTICES):
                line.send(("notice", cell.id, (number, PARCEL)))
            write_row(job.out, cell.id)
            line.send(("ended", cell.id, {"status": "ok"}))
        line.send(("idle", ""))
    line.send(("bye", ""))


def stumble(job: SmallJob, line: Any, flag: Any) -> None:
    """The first group that is handed out is never begun."""
    line.send(("idle", ""))
    group = line.recv()
    try:
        (job.out / "stumbled").touch(exist_ok=False)
    except FileExistsError:
        while group is not None:
            for cell in group:
                line.send(("started", cell.id))
                line.send(("ended", cell.id, {"status": "ok"}))
            line.send(("idle", ""))
            group = line.recv()
        line.send(("bye", ""))
        return
    os._exit(7)


def vanish(job: SmallJob, line: Any, flag: Any) -> None:
    """A process that does not even ask for work."""
    with (job.out / "hired").open("a") as stream:
        stream.write("x")
    os._exit(7)


def end_untold(job: SmallJob, line: Any, flag: Any) -> None:
    """Groups whose rows are written by a process that dies before it tells of them."""
    line.send(("idle", ""))
    for cell in line.recv() or ():
        line.send(("started", cell.id))
        if cell.seed == 0:
            write_row(job.out, cell.id)
        os._exit(7)
    line.send(("bye", ""))
