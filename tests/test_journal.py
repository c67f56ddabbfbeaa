"""The journal of searches: what a dying writer or a full disk leaves spoils it for nobody."""

from __future__ import annotations

import errno
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.errors import CannotWrite
from bench.tuning.journal import TAIL, whole
from bench.tuning.storage import Storage

HALF = b'{"op_code":2,"worker_id":"x","study_id":0,"user_attr":{"a'


def lines(path: Path) -> list[Any]:
    """What the journal says; it must say it in whole lines."""
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """The kernel lets no file grow beyond that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_another_left_half_written_is_cut_by_whoever_appends(tmp_path: Path) -> None:
    """Both have the study open already, so that nobody opens the journal again."""
    path = tmp_path / "tuning.journal"
    one, other = (Storage.at("", tmp_path).study("cell") for _ in range(2))
    with path.open("ab") as stream:
        stream.write(HALF)  # a third one, killed
    assert one.user_attrs == other.user_attrs == {}
    one.set_user_attr("first", 1)
    other.set_user_attr("second", 2)
    expected = {"first": 1, "second": 2}
    assert one.user_attrs == other.user_attrs == expected
    assert Storage.at("", tmp_path).study("cell").user_attrs == expected
    lines(path)


def test_a_write_that_stops_midway_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    """The kernel takes a part of the line, and then no more."""
    path = tmp_path / "tuning.journal"
    study = Storage.at("", tmp_path).study("cell")
    before = path.read_bytes()
    with (
        at_most(len(before) + 20),
        pytest.raises(CannotWrite, match=r"tuning\.journal cannot be written: File too large"),
    ):
        study.set_user_attr("key", "x" * 100)
    assert path.read_bytes() == before
    study.set_user_attr("key", "y")
    assert Storage.at("", tmp_path).study("cell").user_attrs == {"key": "y"}


def test_a_disk_that_fails_to_flush_is_one_that_takes_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Storage.at("", tmp_path).study("cell")

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", refuse)
        with pytest.raises(CannotWrite, match="No space left on device"):
            study.set_user_attr("key", 1)
    study.set_user_attr("other", 2)
    assert study.user_attrs["other"] == 2
    lines(tmp_path / "tuning.journal")


@pytest.mark.parametrize("tail", [0, 1, TAIL - 1, TAIL, TAIL + 1, 3 * TAIL])
@pytest.mark.parametrize("head", [b"", b"{}\n"])
def test_the_whole_part_of_a_journal_is_found_from_its_end(
    tmp_path: Path, head: bytes, tail: int
) -> None:
    path = tmp_path / "journal"
    path.write_bytes(head + b"x" * tail)
    assert whole(path) == len(head)
