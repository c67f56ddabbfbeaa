"""A PostgreSQL server of one test's own."""

from __future__ import annotations

import os
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


@contextmanager
def postgres(tmp: Path) -> Iterator[str]:
    """Start a server on a free loopback port; the value is its URL, of a superuser's.

    PostgreSQL refuses to run as root, and a folder of pytest's is then closed to others: so the
    server runs as another user in a folder of its own.
    """
    who: dict[str, Any] = _somebody() if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=None if who else tmp))
    if who:
        shutil.chown(folder, who["user"], who["group"])
    data, port = folder / "data", free_port()
    initialise = [_binary("initdb"), "-D", data, "-U", "bench", "--auth=trust", "-E", "UTF8", "-N"]
    subprocess.run(
        [*map(str, initialise)], cwd=folder, check=True, stdout=subprocess.DEVNULL, **who
    )
    command = [_binary("postgres"), "-D", data, "-p", port, "-k", folder, "-F"]
    command += ["-c", "listen_addresses=127.0.0.1"]
    server = subprocess.Popen([*map(str, command)], cwd=folder, stderr=subprocess.DEVNULL, **who)
    url = f"postgresql://bench@127.0.0.1:{port}/postgres"
    try:
        _wait_for(url, server)
        yield url
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: nobody reads the files again
        server.wait(WAIT_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
