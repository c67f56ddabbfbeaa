"""Several processes on one study: no trial is lost or run twice, and none is drawn otherwise."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bench.tuning.owners
from bench.errors import Interrupted
from bench.tuning import TuningResult
from bench.tuning.owners import Owner
from bench.tuning.storage import Storage
from bench.tuning.study import OWNER, Slots
from postgres import new_database, postgres
from runs import wait_for
from searches import SPACE, Climbing, climb

LIMIT = 600.0
HERE = str(Path(__file__).parent)
WORKER = """
import sys; sys.path.insert(0, sys.argv[1])
from pathlib import Path
from searches import work
work(sys.argv[2], Path(sys.argv[3]), *sys.argv[4:])
"""


def start(place: str, out: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, HERE, place, str(out), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def log(out: Path) -> list[str]:
    path = out / "log"
    return path.read_text().splitlines() if path.exists() else []


def ended(process: subprocess.Popen[str]) -> list[Any]:
    """The trials as that process has seen them in the end."""
    said, error = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, error
    found: list[Any] = json.loads(said)
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres(tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture(params=["journal", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "journal":
        return str(tmp_path / "shared.journal")
    return new_database(request.getfixturevalue("server"))  # each test has one of its own


def as_json(result: TuningResult) -> list[Any]:
    found: list[Any] = json.loads(json.dumps([vars(trial) for trial in result.trials]))
    return found


@pytest.mark.slow
def test_two_processes_share_a_search(place: str, tmp_path: Path, climbed: TuningResult) -> None:
    crew = [start(place, tmp_path, "0.05", "0", "2") for _ in range(2)]
    assert all(ended(process) == as_json(climbed) for process in crew)
    begun = Counter(line.split()[1] for line in log(tmp_path))
    assert set(begun) == {str(trial.number) for trial in climbed.trials}
    assert set(begun.values()) == {1}
    assert len({line.split()[0] for line in log(tmp_path)}) == 2  # both have worked


@pytest.mark.slow
def test_what_a_killed_process_had_goes_to_the_other(
    place: str, tmp_path: Path, climbed: TuningResult
) -> None:
    killed = start(place, tmp_path, "3")  # a minute in all: the other begins within it
    wait_for(lambda: len(log(tmp_path)) >= 2, killed, LIMIT)
    helper = start(place, tmp_path, "0.01")
    wait_for(lambda: len({line.split()[0] for line in log(tmp_path)}) == 2, helper, LIMIT)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert ended(helper) == as_json(climbed)
    assert ended(start(place, tmp_path, "0.01")) == as_json(climbed)


@pytest.mark.slow
def test_a_search_killed_again_and_again_draws_the_same(
    place: str, tmp_path: Path, climbed: TuningResult
) -> None:
    for count in (1, 2, 3, 4, 5, 5):  # the last two in the next rounds
        process = start(place, tmp_path, "0", str(count))
        process.communicate(timeout=LIMIT)
        assert process.returncode == -signal.SIGKILL
    assert ended(start(place, tmp_path, "0")) == as_json(climbed)


@pytest.mark.parametrize("calls", range(1, 40, 3))
def test_a_kill_at_any_call_of_the_storage_loses_nothing(
    tmp_path: Path, climbed: TuningResult, calls: int
) -> None:
    for further in (0, 2):  # in the first session, and again in the one that mends it
        pid = os.fork()
        if pid == 0:
            try:  # whatever it raises: it must not go on as a second pytest
                die_after(calls + further)
                climb(Storage.at("", tmp_path), Climbing())
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    assert climb(Storage.at("", tmp_path), Climbing()) == climbed


def die_after(calls: int) -> None:
    """End this process by SIGKILL at a call that writes to the journal."""
    from bench.tuning.journal import Journal

    real, count = Journal.append_logs, 0

    def append(self: Any, logs: Any) -> None:
        nonlocal count
        count += 1
        if count == calls:
            os.kill(os.getpid(), signal.SIGKILL)
        real(self, logs)

    Journal.append_logs = append  # type: ignore[method-assign]


class Clock:
    """One that the test moves: on a busy machine whatever is real may be late."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_process_of_another_machine_is_judged_by_its_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(bench.tuning.owners, "time", clock)
    monkeypatch.setattr(bench.tuning.owners, "BEAT", 1e6)  # the test itself gives the signs
    storage = Storage.at("", tmp_path)
    study = Slots(storage, "cell", SPACE, 0, 4).study
    with Owner(study, tmp_path / "here") as me, Owner(study, tmp_path / "there") as other:
        machines = map(str, itertools.count())  # whoever asks is on another
        monkeypatch.setattr(bench.tuning.owners, "_machine", lambda: next(machines))
        for _ in range(20):
            clock.now += 10
            me._beat()
            other._beat()
            assert me.alive(other.name, study.user_attrs)
        for _ in range(6):  # as if it had been killed: it says nothing more
            clock.now += 10
            me._beat()
            assert me.alive(other.name, study.user_attrs)
        clock.now += 1
        assert not me.alive(other.name, study.user_attrs)
    assert not me.alive(other.name, study.user_attrs)


def test_one_that_waits_for_others_can_be_stopped(tmp_path: Path) -> None:
    storage = Storage.at("", tmp_path)
    slots = Slots(storage, "cell", SPACE, 0, 4)
    with Owner(slots.study, tmp_path / "other") as other:
        parts = [[proposal] for proposal in slots.round(4)]
        while slots.claim(parts, other) is not None:
            pass
        stopped = threading.Event()
        threading.Timer(0.5, stopped.set).start()
        with pytest.raises(Exception, match="other processes had trials"):
            climb(storage, Climbing(), study="cell", trials=4, batch=4, seed=0, stop=stopped.is_set)
        assert {t.user_attrs[OWNER] for t in slots.by_slot().values()} == {other.name}


class Stopped(Climbing):
    """A search that is interrupted before it trains."""

    def start(self, proposals: Any) -> Any:
        raise Interrupted("stopped")


@pytest.fixture
def a_round_of_eight(tmp_path: Path) -> Storage:
    """Drawn by a search with a larger budget, which has ended none of them."""
    storage = Storage.at("", tmp_path)
    with pytest.raises(Interrupted):
        climb(storage, Stopped(), trials=8, batch=8)
    return storage


def test_a_smaller_budget_ends_only_its_own_trials(
    tmp_path: Path, a_round_of_eight: Storage
) -> None:
    few, objective = {"trials": 3, "batch": 8}, Climbing(tmp_path / "log")
    expected = climb(Storage.at("", tmp_path / "few"), Climbing(), **few)
    assert climb(a_round_of_eight, objective, **few) == expected
    assert {line.split()[1] for line in log(tmp_path)} == {"0", "1", "2"}


def test_the_larger_budget_goes_on_after_the_smaller_one(a_round_of_eight: Storage) -> None:
    """Who was stopped among three would have gone on among eight; it is not waited for."""
    few = climb(a_round_of_eight, Climbing(), trials=3, batch=8)
    patience = iter([False] * 5)  # looks, half a second apart, at what others have done
    found = climb(
        a_round_of_eight, Climbing(), trials=8, batch=8, stop=lambda: next(patience, True)
    )
    assert found.trials[:3] == few.trials
    assert [trial.number for trial in found.trials] == list(range(8))
