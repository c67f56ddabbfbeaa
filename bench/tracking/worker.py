"""The tracking process: sends the records of a ``bench run`` to MLflow while they are written.

Its standard input begins with one line, {"uri": ..., "spool": PATH}; every byte after it says that
there is something new, and its end that the harness has ended, cleanly or not. A failure that does
not pass within seconds is written to standard output as one line; the process goes on trying, and
has the exit status 1 if records wait when it ends.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from bench.tracking.delivery import Delivery
from bench.tracking.spool import Spool, spools
from bench.tracking.sync import Stores, send_spool, short

NICENESS = 5  # training comes first
PATIENCE = (1.0, 3.0)  # seconds after a failure; the one after these is told,
RETRY_SECONDS = 30.0  # and then the store is tried again at these intervals
BUSY_SECONDS = 0.5  # between looks at whether the other sender has gone


class Sender:
    """Sends what waits from earlier runs, then what this run writes.

    Args:
        uri: the [tracking] uri.
        spool: of this run.
    """

    def __init__(self, uri: str, spool: Spool) -> None:
        self._uri, self._spool = uri, spool
        self._stores = Stores()
        self._delivery: Delivery | None = None

    def send(self) -> None:
        """Send what there is.

        Raises:
            Exception: whatever goes wrong first; calling again goes on from there.
        """
        if self._delivery is None:
            self._stores = Stores()  # which remembers failures
            experiment = self._spool.opening()["experiment"]
            session = self._stores.session(self._uri, self._spool.out, experiment)
            self._delivery = Delivery(self._spool, session, self._uri)
            self._earlier()
        self._delivery.send()

    def finish(self) -> None:
        """Nothing more will be written.

        Raises:
            Exception: as for ``send``.
        """
        self.send()
        assert self._delivery is not None
        self._delivery.finish()

    def _earlier(self) -> None:
        """What earlier runs have left, which must not keep this one from being tracked."""
        for spool in spools(self._spool.out):
            if spool != self._spool:
                with suppress(Exception):  # said by `bench sync`
                    if spool.opening().get("uri") == self._spool.opening()["uri"]:
                        send_spool(spool, self._uri, self._stores)


def main() -> int:
    """Serve the standard input; the exit status is 1 where records wait."""
    with suppress(AttributeError, OSError):
        os.nice(NICENESS)
    with os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace") as answer:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what MLflow prints is not an answer
        opening = json.loads(_first_line())
        spool = Spool(Path(opening["spool"]))
        alive = True
        while True:
            # Two senders would make each run twice; `bench sync` may be at it, to any store.
            with spool.sending() as alone:
                if alone:
                    return _serve(Sender(opening["uri"], spool), answer)
            alive = alive and _wait(BUSY_SECONDS)
            if not alive:
                time.sleep(BUSY_SECONDS)


def _serve(sender: Sender, answer: TextIO) -> int:
    alive, told = True, False
    delays = iter(PATIENCE)
    while True:
        failure: Exception | None = None
        try:
            sender.send() if alive else sender.finish()
        except Exception as error:
            failure = error
        if not alive and failure is None:
            return 0
        if failure is None:
            delays = iter(PATIENCE)
            alive = _news()
            continue
        delay = next(delays, RETRY_SECONDS)
        if not told and (delay == RETRY_SECONDS or not alive):
            told = True
            answer.write(f"{type(failure).__name__}: {short(failure)}.\n")
            answer.flush()
        if not alive:
            return 1
        alive = _wait(delay)


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n") and (byte := os.read(0, 1)):
        line += byte
    return line


def _news() -> bool:
    """Wait until there is something to send; whether the harness lives."""
    return bool(os.read(0, 65536))


def _wait(seconds: float) -> bool:
    """Wait so long, or until the harness ends; whether it lives."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([0], [], [], left)[0] and not _news():
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
