"""A network that loses connections: after a server has committed, before its client hears of it."""

from __future__ import annotations

import re
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

SIZE = 1 << 16


class Lossy:
    """Passes on what goes to a PostgreSQL server, and comes from it.

    Of the transactions that send what ``words`` match, one in ``every`` loses its connection when
    the server has committed it: the first, and so on.
    """

    def __init__(self, port: int, words: bytes, every: int) -> None:
        self.server, self.words, self.every = port, re.compile(words), every
        self.matched = self.lost = 0
        self._lock = threading.Lock()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._door.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        matched = False
        with suppress(OSError), client, socket.create_connection(("127.0.0.1", self.server)) as to:
            while True:
                ready, _, _ = select.select([client, to], [], [])
                if to in ready:
                    if not (data := to.recv(SIZE)):
                        return
                    client.sendall(data)
                if client in ready:
                    if not (data := client.recv(SIZE)):
                        return
                    matched = matched or bool(self.words.search(data))
                    to.sendall(data)
                    if b"COMMIT" in data:
                        if matched and self._loses():
                            while (data := to.recv(SIZE)) and b"COMMIT" not in data:
                                pass  # nothing at all: the server has ended
                            return
                        matched = False

    def _loses(self) -> bool:
        with self._lock:
            loses = self.matched % self.every == 0
            self.matched += 1
            self.lost += loses
            return loses


@contextmanager
def lossy(url: str, words: bytes, every: int = 2) -> Iterator[tuple[str, Lossy]]:
    """The URL of a server behind such a network."""
    found = re.search(r":(\d+)/", url)
    assert found
    between = Lossy(int(found[1]), words, every)
    try:
        yield url.replace(found[0], f":{between.port}/"), between
    finally:
        between.close()
