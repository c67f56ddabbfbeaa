"""What is waited for and what is not, how long, and what becomes of what trains meanwhile."""

from __future__ import annotations

import errno
import itertools
import json
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from operator import gt
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    OperationalError,
    PendingRollbackError,
    ProgrammingError,
)

import bench.tuning.owners
from bench.errors import CannotWrite, UsageError
from bench.trials import Together
from bench.tuning import patience
from bench.tuning.journal import Journal
from bench.tuning.owners import PREFIX, Owner
from bench.tuning.patience import Patience, StorageAway, outage
from bench.tuning.storage import Storage
from bench.tuning.study import Slots
from postgres import new_database, server_of
from runs import Ended, results, run_tiny, wait_for
from searches import SPACE, Climbing, climb
from test_trials import Heard, search
from test_tuning_sharing import Clock, as_json, ended, log, start


def refused(words: str) -> DBAPIError:
    return OperationalError("", {}, psycopg2.OperationalError(words))


def sqlite_busy() -> sqlite3.OperationalError:
    """What SQLite says of a file that another process has locked."""
    found = sqlite3.OperationalError("database is locked")
    found.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return found


def sqlite_error(action: Callable[[sqlite3.Connection], Any]) -> DBAPIError:
    with pytest.raises(sqlite3.OperationalError) as raised:
        action(sqlite3.connect(":memory:"))
    return OperationalError("", {}, raised.value)


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (refused('connection to server at "db", port 5432 failed: Connection refused'), True),
        (refused("FATAL:  the database system is starting up"), True),
        (refused("FATAL:  sorry, too many clients already"), True),
        (refused("could not translate host name: Temporary failure in name resolution"), True),
        (refused("timeout expired"), True),
        (refused('FATAL:  password authentication failed for user "bench"'), False),
        (refused("fe_sendauth: no password supplied"), False),
        (refused('FATAL:  database "tuning" does not exist'), False),
        (refused('FATAL:  no pg_hba.conf entry for host "::1"'), False),
        (OperationalError("", {}, psycopg2.errors.AdminShutdown(), True), True),
        (IntegrityError("", {}, psycopg2.IntegrityError("duplicate key")), False),
        (ProgrammingError("", {}, psycopg2.ProgrammingError("no such column")), False),
        (sqlite_error(lambda connection: connection.execute("SELECT * FROM none")), False),
        (sqlite_error(lambda _: sqlite3.connect("/none/file").execute("SELECT 1")), False),
        (OperationalError("", {}, sqlite_busy()), True),
        (OSError(errno.ESTALE, os.strerror(errno.ESTALE)), True),
        (ConnectionResetError(), True),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), False),
        (FileNotFoundError(errno.ENOENT, "no journal"), False),
        (CannotWrite("the disk is full"), False),
        (KeyError("a programming error"), False),
    ],
)
def test_what_is_an_outage(error: Exception, away: bool) -> None:
    wrapped = UsageError("cannot be opened")
    wrapped.__cause__ = error
    for found in (error, wrapped):
        assert (outage(found) is not None) == away


def test_what_follows_from_a_lost_connection_is_an_outage() -> None:
    """Optuna catches some errors of a query, and sends another in the same transaction."""
    found = PendingRollbackError("Can't reconnect")
    found.__context__ = refused("server closed the connection unexpectedly")
    assert outage(found) == "server closed the connection unexpectedly"


def test_tries_come_ever_more_seldom_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    rests: list[float] = []
    now = 0.0

    def rest(_: Patience, seconds: float) -> None:
        nonlocal now
        rests.append(seconds)
        now += seconds

    def fails() -> None:
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr(Patience, "_rest", rest)
    monkeypatch.setattr(patience.time, "monotonic", lambda: now)
    with pytest.raises(StorageAway, match=r"has not answered for 5 min.* found: Connection reset"):
        Patience("db", notice=said.append)(fails)
    assert rests[:7] == [0.5, 1, 2, 4, 8, 15, 15]
    assert sum(rests) == 300
    assert said == [
        "tuning.storage db does not answer (Connection reset by peer); trying again for up to 5 min"
    ]


def test_a_place_that_was_given_up_is_tried_once_until_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run of many searches would wait for each of them."""
    monkeypatch.setattr(patience, "time", Clock())  # a stall would leave fewer tries
    monkeypatch.setattr(patience, "LIMIT", 0.05)
    monkeypatch.setattr(patience, "FIRST", 0.01)
    tries, said, ends = list[int](), list[str](), list[str]()
    away = True

    def use() -> None:
        tries.append(1)
        if away:
            raise ConnectionResetError

    def used() -> int:
        """How often it was tried."""
        tries.clear()
        try:
            Patience("gone", notice=said.append)(use)
        except StorageAway as error:
            ends.append(str(error))
        return len(tries)

    assert used() > 2
    assert used() == used() == 1
    assert [end.partition(". ")[0] for end in ends] == [
        "tuning.storage gone has not answered for 0.05 s",
        *["tuning.storage gone still does not answer, and was waited for before"] * 2,
    ]
    assert len(said) == 1
    away = False
    assert used() == 1
    away = True
    assert used() > 2


def test_a_held_section_is_tried_again_whole_and_not_its_parts(monkeypatch: Any) -> None:
    monkeypatch.setattr(patience, "FIRST", 0.0)
    patient, tries = Patience(), list[str]()

    def inner() -> None:
        tries.append("inner")
        if len(tries) < 6:
            raise ConnectionResetError

    def outer() -> None:
        tries.append("outer")
        patient(inner)

    patient(outer)
    assert tries == ["outer", "inner"] * 3


@pytest.mark.parametrize("written", [False, True])
def test_a_journal_on_a_file_server_that_is_away_now_and_then(
    tmp_path: Path, written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = climb(Storage.at("", tmp_path / "alone"), Climbing())
    monkeypatch.setattr(patience, "FIRST", 0.01)
    real, count = Journal.append_logs, itertools.count(1)

    def append(self: Journal, logs: Any) -> None:
        away = next(count) % 11 == 0
        if written or not away:
            real(self, logs)
        if away:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(Journal, "append_logs", append)
    said: list[str] = []
    assert climb(Storage.at("", tmp_path), Climbing(), notice=said.append) == alone
    assert len(said) > 5
    assert "does not answer (Stale file handle)" in said[0]


def test_an_sqlite_file_that_another_program_keeps_locked(tmp_path: Path) -> None:
    alone = climb(Storage.at("", tmp_path / "alone"), Climbing())
    file = tmp_path / "tuning.db"
    storage = Storage.at(f"sqlite:///{file}?timeout=0.1", tmp_path)
    said: list[str] = []

    class Locked(Climbing):
        def start(self, proposals: Any) -> Any:
            if proposals[0].number == 5:
                other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
                other.execute("BEGIN EXCLUSIVE")
                threading.Timer(2.0, other.close).start()
            return super().start(proposals)

    assert climb(storage, Locked(), notice=said.append) == alone
    assert "database is locked" in said[0]


def test_nobody_is_taken_for_dead_while_the_study_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()  # a real sign of life may be late on a busy machine
    monkeypatch.setattr(bench.tuning.owners, "time", clock)
    monkeypatch.setattr(bench.tuning.owners, "BEAT", 0.05)
    study = Slots(Storage.at("", tmp_path), "cell", SPACE, 0, 4).study
    with Owner(study, tmp_path / "here") as me, Owner(study, tmp_path / "there") as other:
        machines = map(str, itertools.count())  # whoever asks is on another
        monkeypatch.setattr(bench.tuning.owners, "_machine", lambda: next(machines))
        before = study.user_attrs
        assert me.alive(other.name, before)
        real, failed = Owner._beat, Counter[str]()

        def away(self: Owner) -> None:
            failed[self.name] += 1
            raise ConnectionResetError

        def signs() -> list[int]:
            """As the study has them."""
            seen = study.user_attrs
            assert me.alive(other.name, seen)
            return [seen[PREFIX + name]["count"] for name in (me.name, other.name)]

        def wait_until(ready: Callable[[], bool]) -> None:
            end = time.monotonic() + 300
            while not ready():
                assert time.monotonic() < end
                time.sleep(0.02)

        monkeypatch.setattr(Owner, "_beat", away)
        clock.now += 180
        wait_until(lambda: min(failed[me.name], failed[other.name]) >= 3)
        assert me.alive(other.name, before)  # the first look when it is back
        monkeypatch.setattr(Owner, "_beat", real)
        for _ in range(9):  # both go on to give signs
            told = signs()
            wait_until(lambda told=told: all(map(gt, signs(), told)))
            clock.now += 20


@pytest.mark.slow
def test_two_processes_share_a_search_whose_server_crashes(tmp_path: Path) -> None:
    alone = as_json(climb(Storage.at("", tmp_path / "alone"), Climbing()))
    with server_of(tmp_path) as server:
        crew = [start(server.url, tmp_path, "0.2") for _ in range(2)]
        wait_for(lambda: len(log(tmp_path)) >= 3, crew[0])
        server.stop()
        time.sleep(2.0)
        server.start()
        assert all(ended(process) == alone for process in crew)
    begun = [line.split()[1] for line in log(tmp_path)]
    assert sorted(begun, key=int) == [str(number) for number in range(12)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tell", "report"])
def test_what_trains_is_kept_when_the_study_stays_away(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any tell, or report, of real trials: no epoch is trained twice, and none otherwise."""
    rare, whole = "training.checkpoint_seconds=3600", Heard()
    expected = search(tmp_path / "whole", whole, rare)
    assert expected.count("pruned") > 0
    real, left = getattr(Slots, name), 0

    def away(self: Slots, *arguments: Any) -> Any:
        nonlocal left
        trial = self.by_slot()[arguments[0]]
        if not trial.state.is_finished() and (
            name == "tell" or arguments[1] not in trial.intermediate_values
        ):
            left -= 1  # else it is stored: a replay
            if left < 0:
                raise StorageAway("the server")
        return real(self, *arguments)

    monkeypatch.setattr(Slots, name, away)
    heard: list[tuple[int, int]] = []
    sessions = 0
    found = None
    while found is None:
        part, left, sessions = Heard(), 1, sessions + 1
        assert sessions < 30
        with suppress(StorageAway):
            found = search(tmp_path / "cut", part, rare)
        heard += part.epochs
    assert sessions > 2
    assert found == expected
    assert sorted(heard) == sorted(whole.epochs)
    assert not list((tmp_path / "cut" / "trials").glob("*.pt"))


@pytest.mark.slow
def test_a_cell_whose_server_stays_away_fails_and_goes_on_with_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")

    def run(out: Path, *more: str) -> Ended:
        words = ("--models", "VAE", "--datasets", "gaussians", "--trials", 4, *more)
        return run_tiny(out, *words, "--set", "tuning.batch=2")

    def said(out: Path) -> list[Any]:
        kept = ("status", "epochs", "nelbo", "tuned", "validation_bound")
        return [{key: row.get(key) for key in kept} for row in results(out)]

    assert run(tmp_path / "whole").status == 0
    with server_of(tmp_path) as server:
        url = new_database(server.url).replace("bench@", "bench:secret@")
        where = ("--set", f"tuning.storage={url}")
        real = Together.advance

        def advance(self: Together, epoch: int | None) -> Any:
            found = real(self, epoch)
            if min(found) >= 2:
                server.stop()
            return found

        with monkeypatch.context() as patch:
            patch.setattr(Together, "advance", advance)
            patch.setattr(patience, "LIMIT", 1.0)
            failed = run(tmp_path / "cut", *where)
        assert failed.status == 1
        (row,) = results(tmp_path / "cut")
        assert row["status"] == "failed"
        assert row["reason"].startswith("tuning.storage postgresql+psycopg2://bench:***@127")
        assert row["reason"].endswith("run the same command again: it goes on from here.")
        assert "secret" not in failed.out + failed.err + row["reason"]
        assert list((tmp_path / "cut" / "trials").glob("*.pt"))
        server.start()
        assert run(tmp_path / "cut", *where).status == 0
    assert said(tmp_path / "cut") == said(tmp_path / "whole")
    (one,), (two,) = ((tmp_path / o / "cells").iterdir() for o in ("whole", "cut"))
    assert (one / "trials.csv").read_text() == (two / "trials.csv").read_text()
    assert json.loads((one / "tuning.json").read_text()) == json.loads(
        (two / "tuning.json").read_text()
    )
