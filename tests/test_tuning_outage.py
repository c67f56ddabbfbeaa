"""A server that is away for a while fails no search, and one that stays away loses nothing."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError, Interrupted, UsageError
from bench.tuning import Proposal, Standing, TrialRecord, TuningResult, patience
from bench.tuning.patience import StorageAway
from bench.tuning.storage import Storage
from bench.tuning.study import RESTARTS, SLOT, Slots
from lossy import lossy
from postgres import Server, execute, new_database, server_of
from searches import SPACE, Climber, Climbing, climb

AWAY = 3.0  # seconds


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server_of(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def place(server: Server) -> str:
    if server.process.poll() is not None:  # as a test that failed has left it
        server.start()
    return new_database(server.url).replace("bench@", "bench:secret@")


class Watched(Climbing):
    """A search that does something when one of its trials starts, and notes what it keeps."""

    def __init__(self, then: dict[int, Any], log: Path | None = None) -> None:
        super().__init__(log)
        self.then, self.kept = then, list[int]()

    def start(self, proposals: Sequence[Proposal]) -> Climber:
        self.then.pop(proposals[0].number, lambda: None)()
        return Kept(self, proposals[0])


class Kept(Climber):
    objective: Watched

    def keep(self) -> None:
        self.objective.kept.append(self.proposal.number)


def test_a_server_that_crashes_in_mid_search_and_comes_back(
    tmp_path: Path, server: Server, place: str, climbed: TuningResult
) -> None:
    back = threading.Timer(AWAY, server.start)

    def crash() -> None:
        server.stop()
        back.start()

    said: list[str] = []
    assert climb(Storage.at(place, tmp_path), Watched({5: crash}), notice=said.append) == climbed
    back.join()
    (only,) = said
    assert only.startswith("tuning.storage postgresql+psycopg2://bench:***@127.0.0.1:")
    assert only.endswith("trying again for up to 5 min")
    assert "does not answer (" in only
    assert "secret" not in only


def test_a_server_that_stays_away_fails_the_search_which_goes_on_later(
    tmp_path: Path,
    server: Server,
    place: str,
    climbed: TuningResult,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "LIMIT", 1.0)
    objective, said = Watched({6: server.stop}), list[str]()
    begun = time.monotonic()
    with pytest.raises(StorageAway) as raised:
        climb(Storage.at(place, tmp_path), objective, notice=said.append)
    assert time.monotonic() - begun < 250  # the usual limit is 300
    assert set(objective.kept) >= {6}
    assert len(said) == 1
    words = str(raised.value)
    for part in ("has not answered for 1 s", "Expected", "found: ", "run the same command again"):
        assert part in words
    assert "Connection refused" in words
    assert "secret" not in words
    server.start()
    begun = time.monotonic()
    assert climb(Storage.at(place, tmp_path), Climbing(), notice=said.append) == climbed
    assert time.monotonic() - begun < 55  # not a minute for a process that has left


def test_who_waits_for_a_server_can_be_stopped(tmp_path: Path, server: Server, place: str) -> None:
    stopped, objective = threading.Event(), Watched({2: server.stop})
    said: list[str] = []

    def notice(words: str) -> None:
        said.append(words)
        threading.Timer(1.0, lambda: (said.append(str(time.monotonic())), stopped.set())).start()

    with pytest.raises(Interrupted, match=r"stopped while tuning\.storage .* did not answer"):
        climb(Storage.at(place, tmp_path), objective, stop=stopped.is_set, notice=notice)
    assert time.monotonic() - float(said[1]) < 30
    assert objective.kept[-1:] == [2]
    server.start()


@pytest.mark.parametrize(
    ("words", "every"),
    [
        (rb"INSERT INTO studies", 2),
        (rb"'facts'", 2),
        (rb"'runs'", 2),
        (rb"'owner:", 2),
        (rb"INSERT INTO trials ", 5),
        (rb"INSERT INTO trial_params", 5),
        (rb"INSERT INTO trial_user_attributes .*'slot'", 2),
        (rb"INSERT INTO trial_user_attributes .*'owner'", 2),
        (rb"INSERT INTO trial_intermediate_values", 2),
        (rb"INSERT INTO trial_user_attributes .*'epochs'", 2),
        (rb"UPDATE trials SET state", 2),
        (rb"pg_advisory_lock", 2),
        (rb"SELECT", 89),
    ],
)
def test_a_connection_lost_after_a_commit_changes_nothing(
    tmp_path: Path,
    place: str,
    climbed: TuningResult,
    words: bytes,
    every: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "FIRST", 0.01)
    told: list[TrialRecord] = []
    log = tmp_path / "log"
    with lossy(place, words, every) as (url, network):
        storage = Storage.at(url, tmp_path)
        found = climb(storage, Climbing(log), on_trial=told.append, notice=lambda _: None)
    assert network.lost
    assert found == climbed
    assert sorted(told, key=lambda record: record.number) == climbed.trials
    begun = Counter(line.split()[1] for line in log.read_text().splitlines())
    assert begun == {str(trial.number): 1 for trial in climbed.trials}
    slots = Slots(Storage.at(place, tmp_path), "climb", SPACE, 5, 12)
    trials = slots.study.get_trials()
    drawn = Counter(trial.user_attrs.get(SLOT) for trial in trials)
    assert {drawn[slot] for slot in range(12)} == {1}
    assert all(trial.state.is_finished() for trial in trials)


class Failing(Climbing):
    def start(self, proposals: Sequence[Proposal]) -> Climber:
        return Fails(self, proposals[0])


class Fails(Climber):
    def advance(self, epoch: int | None) -> dict[int, Standing]:
        return {self.proposal.number: Standing(0.0, failure="it diverged")}


def test_a_restart_whose_answer_is_lost_is_counted_once(
    tmp_path: Path, place: str, climbed: TuningResult
) -> None:
    with pytest.raises(BenchError, match="all 12 trials of climb failed"):
        climb(Storage.at(place, tmp_path), Failing())
    with lossy(place, rb"'restarts'") as (url, network):
        found = climb(Storage.at(url, tmp_path), Climbing(), notice=lambda _: None)
    assert network.lost == 1
    assert found == climbed
    slots = Slots(Storage.at(place, tmp_path), "climb", SPACE, 5, 12)
    assert slots.study.user_attrs[RESTARTS] == 1


def test_a_lock_that_is_lost_while_a_round_is_drawn_lets_nobody_draw_it_twice(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder's connection is lost alone: its others, and the server, go on."""
    one, other = (Slots(Storage.at(place, tmp_path), "cell", SPACE, 0, 4) for _ in range(2))
    real, lost, found = Slots._draw, list[bool](), list[list[Proposal]]()

    def draw(self: Slots, slot: int, slots: range) -> None:
        real(self, slot, slots)
        if self is one and not lost:
            lost.append(True)
            holders = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
            assert execute(place, f"SELECT pg_terminate_backend(pid) FROM ({holders}) AS _")
            second = threading.Thread(target=lambda: found.append(other.round(4)))
            second.start()
            second.join()

    monkeypatch.setattr(Slots, "_draw", draw)
    found.append(one.round(4))
    assert found[0] == found[1]
    drawn = [trial.user_attrs.get(SLOT) for trial in one.study.get_trials()]
    assert sorted(slot for slot in drawn if slot is not None) == [0, 1, 2, 3]


def test_a_wrong_password_is_refused_at_once(
    tmp_path: Path, server: Server, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(place, "CREATE ROLE careful LOGIN SUPERUSER PASSWORD 'right'")
    rules = server.data / "pg_hba.conf"
    rules.write_text("host all careful 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
    execute(place, "SELECT pg_reload_conf()")
    right = place.replace("bench:secret@", "careful:right@")
    wrong = place.replace("bench:secret@", "careful:wrong@")
    missing = right.rpartition("/")[0] + "/missing"
    said: list[str] = []
    for url, reason in ((wrong, "password authentication failed"), (missing, "does not exist")):
        begun = time.monotonic()
        with pytest.raises(UsageError, match=reason) as raised:
            climb(Storage.at(url, tmp_path), Climbing(), notice=said.append)
        assert time.monotonic() - begun < 100  # who waited would wait for 300
        assert "wrong" not in str(raised.value)
    # Also where it is changed while a search goes on.
    change = "ALTER ROLE careful PASSWORD 'other'"
    drop = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'careful'"
    objective = Watched({5: lambda: [execute(place, words) for words in (change, drop)]})
    begun = time.monotonic()
    with pytest.raises(BenchError, match=r"Expected .*found: .*password authentication failed"):
        climb(Storage.at(right, tmp_path), objective, notice=said.append)
    assert time.monotonic() - begun < 100
    assert not said


class Once(Climbing):
    """One part of all trials, of which the pruned may not be dropped before they are told."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []

    def parts(self, proposals: Sequence[Proposal]) -> list[Sequence[Proposal]]:
        return [proposals]

    def start(self, proposals: Sequence[Proposal]) -> Any:
        return All(self, proposals)


class All(Climber):
    objective: Once

    def __init__(self, objective: Once, proposals: Sequence[Proposal]) -> None:
        super().__init__(objective, proposals[0])
        self.climbers = [Climber(objective, proposal) for proposal in proposals]

    def advance(self, epoch: int | None) -> dict[int, Standing]:
        found: dict[int, Standing] = {}
        for climber in self.climbers:
            found |= climber.advance(epoch)
        return found

    def drop(self, numbers: Collection[int]) -> None:
        self.objective.events.append("dropped")

    def keep(self) -> None:
        self.objective.events.append("kept")
        raise OSError("no room for what follows")


def test_what_is_kept_has_dropped_no_trial_that_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that it cannot be kept does not hide why it should be."""

    def away(self: Slots, *_: object) -> None:
        raise StorageAway("the server")

    monkeypatch.setattr(Slots, "tell", away)
    objective = Once()
    with pytest.raises(StorageAway, match="the server"):
        climb(Storage.at("", tmp_path), objective)
    assert objective.events == ["kept"]
