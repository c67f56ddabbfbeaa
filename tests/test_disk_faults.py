"""A disk that takes no more: one message, nothing half-written, and the same numbers afterwards."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.errors import CannotWrite
from bench.files import atomic_write, sweep, write_text
from killing import differences
from runs import TINY, Ended, run_tiny, start

WORDS = ("--models", "CP", "--datasets", "digits", "--components", 3, "--seeds", 2)
OFTEN = ("--set", "training.checkpoint_seconds=0", "--set", "engine.replicas=2")


def run(out: Path, *more: object) -> Ended:
    return run_tiny(out, *WORDS, *OFTEN, *more)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "runs"
    assert run(out).status == 0
    return out


def halves(out: Path) -> list[Path]:
    """Files that are not whole."""
    return [path for path in out.rglob(".*") if path.is_file() and path.suffix != ".lock"]


@contextmanager
def full_from(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[list[int]]:
    """The disk is full from that write on; gives the numbers of those that were refused."""
    real, made = os.fsync, 0
    refused: list[int] = []

    def fsync(descriptor: int) -> None:
        nonlocal made
        made += 1
        if made > number:
            refused.append(made)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # it does not say where
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fsync)
        yield refused


@pytest.mark.parametrize("number", [4, 6, 8, 11, 14, 17, 22, 30])
def test_a_full_disk_ends_the_run_with_one_message(
    tmp_path: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    out = tmp_path / "runs"
    with full_from(monkeypatch, number) as refused:
        ended = run(out)
    assert refused, "so many writes are not made; choose an earlier one"
    assert ended.status == 1, ended.out + ended.err
    assert "Traceback" not in ended.out + ended.err
    (line,) = ended.err.strip().splitlines()
    assert "cannot be written: No space left on device" in line
    assert str(out) in line
    assert "run the same command again" in line
    assert halves(out) == []

    assert run(out).status == 0
    assert differences(out, undisturbed) == []


def test_a_disk_that_is_full_at_the_start_is_bad_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with full_from(monkeypatch, 0):
        ended = run(tmp_path / "runs")
    assert ended.status == 2
    assert "cannot be written (No space left on device)" in ended.err
    assert not [*tmp_path.glob("runs/cells/*")]


def test_a_limit_of_the_system_ends_the_run_too(tmp_path: Path, undisturbed: Path) -> None:
    """Not injected: the kernel refuses a file as large as a checkpoint."""
    out = tmp_path / "runs"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, before[1]))
    try:
        ended = run(out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert ended.status == 1, ended.out + ended.err
    assert "checkpoint.pt" in ended.err
    assert "cannot be written: File too large" in ended.err
    assert halves(out) == []
    assert run(out).status == 0
    assert differences(out, undisturbed) == []


def test_a_worker_that_cannot_write_ends_the_run(tmp_path: Path) -> None:
    limits = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))"
    process = start(
        tmp_path, "run", *TINY, *WORDS, "--workers", 2, "--out", tmp_path / "runs", before=limits
    )
    out, err = process.communicate(timeout=400)
    assert process.returncode == 1, out + err
    assert "cannot be written: File too large" in err
    assert "Traceback" not in out + err


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_store_that_cannot_be_written_is_bad_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Injected, since an administrator, as whom tests may run, may write anywhere."""
    out = tmp_path / "runs"
    assert run(out).status == 0
    found = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.suffix != ".lock"}
    real = Path.open

    def refuse(self: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if set(mode) & set("wxa+") and self.is_relative_to(out):
            raise OSError(code, os.strerror(code), str(self))
        return real(self, mode, *rest, **options)

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(
        "bench.training.ReplicaTrainer.run", lambda *_: pytest.fail("something trained")
    )
    ended = run(out, "--fresh")
    assert ended.status == 2
    assert f"--out {out} cannot be written ({os.strerror(code)})" in ended.err
    assert "--out DIR" in ended.err
    assert {path: path.stat().st_mtime_ns for path in found} == found


def test_other_errors_of_a_writer_are_its_own(tmp_path: Path) -> None:
    def write(error: OSError) -> None:
        with atomic_write(tmp_path / "a") as stream:
            stream.write(b"half")
            raise error

    with pytest.raises(FileNotFoundError):
        write(FileNotFoundError(errno.ENOENT, "no such file", "b"))
    with pytest.raises(CannotWrite, match="a cannot be written: no room"):
        write(OSError(errno.ENOSPC, "no room"))
    assert [*tmp_path.iterdir()] == []


def test_what_killed_writers_left_is_swept_and_no_more(tmp_path: Path) -> None:
    write_text(tmp_path / "row.json", "{}")
    left = tmp_path / f".row.json.{'0a' * 16}"
    left.write_text("{")
    (tmp_path / ".hidden").write_text("mine")
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "row.json"]
    sweep(tmp_path / "absent")
