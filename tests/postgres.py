"""A PostgreSQL server of one test's own."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

WAIT_SECONDS = 180


class Server:
    """A server on a free loopback port, whose URL is a superuser's.

    PostgreSQL refuses to run as root, and a folder of pytest's is then closed to others: so the
    server runs as another user in a folder of its own.
    """

    def __init__(self, tmp: Path) -> None:
        who = self.who = _somebody() if os.geteuid() == 0 else {}
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=None if who else tmp))
        if who:
            shutil.chown(self.folder, who["user"], who["group"])
        self.data, self.port = self.folder / "data", free_port()
        self.url = f"postgresql://bench@127.0.0.1:{self.port}/postgres"
        self._run("initdb", "-U", "bench", "--auth=trust", "-E", "UTF8", "-N")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [_binary("postgres"), "-D", self.data, "-p", self.port, "-k", self.folder, "-F"]
        command += ["-c", "listen_addresses=127.0.0.1"]
        self.process = subprocess.Popen(
            [*map(str, command)], cwd=self.folder, stderr=subprocess.DEVNULL, **self.who
        )
        _wait_for(self.url, self.process)

    def stop(self) -> None:
        """End it at once, as a crash would; what was committed is there when it starts again."""
        self._run("pg_ctl", "stop", "-m", "immediate")
        self.process.wait(WAIT_SECONDS)

    def remove(self) -> None:
        """Nobody reads its files again."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(WAIT_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, name: str, *words: str) -> None:
        command = [_binary(name), *words, "-D", str(self.data)]
        subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL, **self.who)


@contextmanager
def server_of(tmp: Path) -> Iterator[Server]:
    """A server that runs, and may be stopped and started."""
    server = Server(tmp)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def postgres(tmp: Path) -> Iterator[str]:
    """Start a server; the value is its URL."""
    with server_of(tmp) as server:
        yield server.url


def execute(url: str, words: str) -> list[Any]:
    """The rows that a statement gives."""
    import psycopg2

    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(words)
        found = cursor.fetchall() if cursor.description else []
    connection.close()
    return found


def new_database(url: str) -> str:
    """The URL of an empty database on the server of ``url``."""
    name = f"t{time.monotonic_ns()}"
    execute(url, f"CREATE DATABASE {name}")
    return url.rpartition("/")[0] + f"/{name}"


def free_port() -> int:
    """A loopback port that nobody listens on.

    Below those that the system gives away by itself: none of its own takes this one before a server
    does, or while a server is down.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 32_768)  # tests may have seeded `random`
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _somebody() -> dict[str, Any]:
    import pwd

    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise AssertionError("expected a user postgres or nobody to run PostgreSQL as")


def _binary(name: str) -> str:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    path = os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    assert found, f"{name} not found: install PostgreSQL (Debian's package is `postgresql`)"
    return found


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    import psycopg2

    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            psycopg2.connect(url).close()
        except psycopg2.OperationalError:
            assert server.poll() is None, "PostgreSQL has ended"
            assert time.monotonic() < end, "PostgreSQL does not answer"
            time.sleep(0.1)
        else:
            return
