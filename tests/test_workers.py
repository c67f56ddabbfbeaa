"""Workers that are killed at any moment cost their own cells only, and nobody else's time."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bench.burial import Burials
from bench.grid import Cell
from bench.store import Row, Store
from bench.workers import BARREN, Crew
from flooding import NOTICES, SmallJob, Unset, end_untold, flood, stumble, vanish, write_row
from runs import plan_of

KILLS = 25
OK: Row = {"status": "ok", "reason": ""}


class Heard:
    """A listener that keeps the news of each cell, in their order."""

    def __init__(self) -> None:
        self.of: dict[str, list[Any]] = {}

    def __getattr__(self, kind: str) -> Any:
        def hear(cell: Cell, *rest: Any) -> None:
            said = rest[0][0] if kind == "notice" else rest[0]["status"] if rest else None
            self.of.setdefault(cell.id, []).append((kind, said))

        return hear


def cells_of(seeds: int) -> tuple[Cell, ...]:
    return plan_of(models="VAE", seeds=list(range(seeds))).cells


def crew_of(
    cells: tuple[Cell, ...], out: Path, life: Callable[..., None], fresh: bool = False
) -> tuple[Crew, Heard]:
    heard = Heard()
    job: Any = SmallJob(out, fresh=fresh)
    listener, flag = heard, Unset()
    return Crew([(cell,) for cell in cells], job, 2, listener, flag, life), heard  # type: ignore[arg-type]


@contextmanager
def working(crew: Crew) -> Iterator[list[bool]]:
    """The crew at work in a thread; at the end, what it returned."""
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(crew.work()), daemon=True)
    thread.start()
    yield answers
    thread.join(400)
    stuck = thread.is_alive()
    crew.dismiss()
    assert not stuck, "the run has not ended"


def test_a_flood_of_news_survives_workers_that_are_killed_in_it(tmp_path: Path) -> None:
    cells, rng = cells_of(240), random.Random(3)  # so many that a fast machine is killed in, too
    store = Store(tmp_path)
    crew, heard = crew_of(cells, tmp_path, flood)
    killed = set[int]()
    with working(crew) as answers:
        while not answers and len(killed) < KILLS:
            busy = [worker for worker in [*crew.working] if worker.held]
            if busy:
                time.sleep(rng.uniform(0, 0.02))
                pid = rng.choice(busy).process.pid
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            time.sleep(0.002)
    assert len(killed) > KILLS // 2
    assert answers == [True]
    for cell in cells:
        row, news = store.row(cell.id), heard.of[cell.id]
        assert row is not None
        assert [kind for kind, _ in news].count("ended") == 1
        assert news[0] == ("started", None)
        assert news[-1] == ("ended", row["status"])
        told = [number for kind, number in news if kind == "notice"]
        assert told == [*range(len(told))]
        if row["status"] == "failed":
            assert "exit status -9" in row["reason"]
        else:
            assert len(told) <= NOTICES
    assert {store.row(cell.id)["status"] for cell in cells} == {"ok", "failed"}  # type: ignore[index]


def test_a_group_that_was_handed_out_and_not_begun_is_anothers(tmp_path: Path) -> None:
    cells = cells_of(3)
    crew, heard = crew_of(cells, tmp_path, stumble)
    with working(crew) as answers:
        pass
    assert answers == [True]
    assert (tmp_path / "stumbled").exists()
    assert all(heard.of[cell.id] == [("started", None), ("ended", "ok")] for cell in cells)


def test_workers_that_die_before_they_begin_are_not_hired_for_ever(tmp_path: Path) -> None:
    crew, heard = crew_of(cells_of(4), tmp_path, vanish)
    with working(crew) as answers:
        pass
    assert answers == [False]
    assert not heard.of
    assert BARREN <= len((tmp_path / "hired").read_text()) <= BARREN + 2


def test_fresh_takes_no_row_of_an_earlier_run_for_its_own(tmp_path: Path) -> None:
    """Both had a row; the first has a new one when its worker dies, the second has the old."""
    cells = cells_of(2)
    for cell in cells:
        write_row(tmp_path, cell.id)
    time.sleep(0.02)  # file systems do not tell every instant from the next
    crew, heard = crew_of(cells, tmp_path, end_untold, fresh=True)
    with working(crew) as answers:
        pass
    assert answers == [True]
    assert [heard.of[cell.id][-1] for cell in cells] == [("ended", "ok"), ("ended", "failed")]
    row = Store(tmp_path).row(cells[1].id)
    assert row is not None
    assert "exit status 7" in row["reason"]


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_row_counts_where_it_is_of_this_run(tmp_path: Path, fresh: bool, written: bool) -> None:
    store, (cell,) = Store(tmp_path), cells_of(1)
    store.finish(cell, OK)
    burials = Burials([cell], store, fresh=fresh, search_only=False)
    if written:
        time.sleep(0.02)
        store.finish(cell, OK)
    expected = "failed" if fresh and not written else "ok"
    assert burials.bury(cell, "killed")["status"] == expected
    row = store.row(cell.id)
    assert row is not None
    assert row["status"] == expected


def test_a_failure_that_was_written_keeps_its_reason(tmp_path: Path) -> None:
    store, (cell,) = Store(tmp_path), cells_of(1)
    burials = Burials([cell], store, fresh=False, search_only=False)
    store.finish(cell, {"status": "failed", "reason": "NaN in epoch 3"})
    assert burials.bury(cell, "killed")["reason"] == "NaN in epoch 3"


def test_a_search_that_dies_leaves_the_row_of_the_trained_cell(tmp_path: Path) -> None:
    store, (cell,) = Store(tmp_path), cells_of(1)
    store.finish(cell, OK)
    burials = Burials([cell], store, fresh=False, search_only=True)
    assert burials.bury(cell, "killed") == {"status": "failed", "reason": "killed"}
    assert store.finished(cell)
