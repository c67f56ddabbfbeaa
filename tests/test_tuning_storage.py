"""Where trials are kept: what cannot be is said before anything trains; looking writes nothing."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.tuning.storage import Storage
from postgres import postgres
from runs import run_tiny
from searches import Climbing, climb


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("mysql://root@localhost/optuna", r"tuning.storage: expected nothing.*found mysql://"),
        ("postgresql://bench:secret@127.0.0.1:1/none", r"bench:\*\*\*@127.*cannot be opened"),
        (
            "postgresql://bench@127.0.0.1:1/none?password=secret",
            r"127\.0\.0\.1:1/none cannot be open",
        ),
        (
            "postgresql://bench@127.0.0.1:1/none?sslpassword=secret",
            r"127\.0\.0\.1:1/none cannot be open",
        ),
        ("postgresql://bench@host:abc/db", r"found a URL postgresql://\.\.\. that cannot be read"),
        ("postgresql://bench:secret@host:abc/db", "HOST may be followed by a colon and a number"),
        ("postgresql+nothing://bench:secret@host/db", "nothing.*"),
        ("sqlite:///", "found no FILE"),
        ("sqlite:///:memory:", "found no FILE"),
    ],
)
def test_a_storage_that_cannot_be_is_refused(tmp_path: Path, place: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        Storage.at(place, tmp_path).check()
    assert "sec" not in str(raised.value)


@pytest.mark.parametrize("content", [b"SQLite format 3\0no line ends here", b"a\nb", b"{}\n{"])
def test_a_file_that_is_no_journal_is_refused_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "mlflow.db"
    file.write_bytes(content)
    storage = Storage.at(str(file), tmp_path)
    with pytest.raises(UsageError, match="is no journal of Optuna's"):
        climb(storage, Climbing())
    with pytest.raises(UsageError, match="is no journal of Optuna's"):
        storage.check()
    assert file.read_bytes() == content


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    file.write_text("cell,dataset\n" * 100)
    with pytest.raises(UsageError, match="is no SQLite database: file is not a database"):
        Storage.at(f"sqlite:///{file}", tmp_path).check()
    assert file.read_text() == "cell,dataset\n" * 100


@pytest.mark.parametrize("scheme", ["", "sqlite:///"])
def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, scheme: str) -> None:
    (tmp_path / "file").write_text("")
    storage = Storage.at(f"{scheme}{tmp_path}/file/below/it", tmp_path)
    for look in (storage.check, storage.make):
        with pytest.raises(UsageError, match=r"file/below/it cannot be written \(Not a directory"):
            look()


def test_a_damaged_journal_is_found_at_the_start(tmp_path: Path) -> None:
    storage = Storage.at("", tmp_path)
    climb(storage, Climbing(), trials=2)
    path = tmp_path / "tuning.journal"
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = b"".join([*lines[:3], b'{"op_code":5,"wor{"op_code":5}\n', *lines[3:]])
    path.write_bytes(damaged)
    with pytest.raises(UsageError, match=r"tuning\.journal is damaged: a line of it cannot be"):
        storage.make()
    assert path.read_bytes() == damaged


@pytest.mark.parametrize("place", ["", "{}/shared/tuning.journal", "sqlite:///{}/tuning.db"])
def test_looking_writes_nothing(tmp_path: Path, place: str) -> None:
    storage = Storage.at(place.format(tmp_path), tmp_path / "runs")
    storage.check()
    assert not [*tmp_path.iterdir()]
    storage.make()
    found = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert found
    storage.check()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == found


def test_looking_at_a_server_makes_no_tables(tmp_path: Path) -> None:
    from psycopg2 import connect

    def tables() -> int:
        with connect(url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'studies'")
            (count,) = cursor.fetchone() or (0,)
        connection.close()
        return int(count)

    with postgres(tmp_path) as url:
        storage = Storage.at(url, tmp_path)
        storage.check()
        assert tables() == 0
        storage.make()
        assert tables() == 1


def test_a_dry_run_writes_nothing_and_a_wrong_storage_ends_a_run_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--models", "MG", "--datasets", "digits", "--trials", 2)
    where = ("--set", "tuning.storage=shared.db", "--dry-run")
    assert run_tiny(tmp_path / "runs", *words, *where).status == 0
    assert not [*tmp_path.iterdir()]
    (tmp_path / "shared.db").write_text("mine\n")
    for more in (where, where[:-1]):
        ended = run_tiny(tmp_path / "runs", *words, *more)
        assert ended.status == 2
        assert "shared.db is no journal of Optuna's" in ended.err
        assert "Traceback" not in ended.out + ended.err
    with suppress(FileNotFoundError):
        assert not [*(tmp_path / "runs" / "cells").iterdir()]
