"""A PostgreSQL server of a test's own, on a free port of this machine, gone when the test ends."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Below the root; distributions keep the server's programs off the PATH.
FOLDERS = "usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/local/pgsql/bin"


@contextmanager
def postgres(tmp: Path) -> Iterator[str]:
    """A running server; its URL.

    The server refuses to be root's: where the tests are, it runs as ``postgres`` or ``nobody``.

    Args:
        tmp: a folder for its log; the data lie in a folder of their own, since a folder of
            pytest's is closed to other users.
    """
    folder = Path(tempfile.mkdtemp(prefix="bench-pg-", dir="/tmp"))
    data, log = folder / "data", folder / "log"
    user = _user()
    if user is not None:
        shutil.chown(folder, user)
    try:
        _run(user, "initdb", "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--no-sync")
        port = _free_port()
        options = f"-p {port} -h 127.0.0.1 -k {folder} -F"
        start = ("pg_ctl", "-D", data, "-l", log, "-w", "-t", "180", "-o", options, "start")
        _run(user, *start)
        try:
            yield f"postgresql://bench@127.0.0.1:{port}/postgres"
        finally:
            _run(user, "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
            if log.exists():
                shutil.copyfile(log, tmp / "postgres.log")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _user() -> str | None:
    """Whom the server runs as; None for whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _run(user: str | None, program: str, *words: object) -> None:
    command = [_binary(program), *map(str, words)]
    # To files, not pipes: the server inherits them, and a pipe would stay open as long as it runs.
    with tempfile.TemporaryFile() as said:
        ended = subprocess.run(
            command, user=user, cwd="/", stdout=said, stderr=said, check=False, timeout=200
        )
        said.seek(0)
        assert ended.returncode == 0, f"{command}: {said.read().decode()}"


def _binary(program: str) -> str:
    known = [str(path) for folder in FOLDERS for path in Path("/").glob(f"{folder}/{program}")]
    path = shutil.which(program) or max(known, default=None)
    assert path, f"{program} was not found: the tests need a PostgreSQL server (postgresql)"
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
