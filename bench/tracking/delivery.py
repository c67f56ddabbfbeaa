"""From the records on disk to an MLflow store, once each, however often it is begun again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.tracking.session import Session
from bench.tracking.spool import Spool

RECORD = "bench.record"
"""The tag by which a run is found again whose creation was answered to nobody."""


class Delivery:
    """Sends one spool to one store, and notes after every record how far it came.

    MLflow takes the same metric, parameter, tag, dataset, file and end twice without doubling it.
    Only a run would be made twice, so a creation that may have happened is looked for by its tag.

    Args:
        spool: what is sent.
        session: the open store.
        uri: its address, under which the progress is noted.
    """

    def __init__(self, spool: Spool, session: Session, uri: str) -> None:
        self.spool, self._session, self._uri = spool, session, uri
        self._sent = spool.sent(uri)
        self._names: dict[int, str] = {}
        self._register: str = spool.opening().get("register", "")
        self._doubtful = True

    @property
    def runs(self) -> int:
        """How many runs the store has been told about."""
        return len(self._sent.runs)

    def send(self) -> int:
        """Send what has been written so far; returns how many records that were.

        Raises:
            Exception: whatever goes wrong first; calling again goes on from there.
        """
        count = 0
        for record, offset in self.spool.records(self._sent.offset):
            if "run" in record:
                with self._session.lock:
                    self._send(record)
                count += 1
            self._sent.offset = offset
            self.spool.keep(self._uri, self._sent)
        return count

    def finish(self) -> None:
        """The writer has gone: end what it left open as KILLED.

        Raises:
            Exception: whatever goes wrong first; calling again goes on from there.
        """
        died = int(self.spool.path.stat().st_mtime * 1000)  # when it was last heard of
        for number in sorted(self._sent.open, reverse=True):
            with self._session.lock:
                self._session.end(self._sent.runs[str(number)], "KILLED", died)
            self._sent.open.remove(number)
        self._sent.done = True
        self.spool.keep(self._uri, self._sent)

    def _send(self, record: dict[str, Any]) -> None:
        number = record["run"]
        try:
            if "create" in record:
                self._create(number, record)
                return
            run = self._sent.runs[str(number)]
            if "metrics" in record:
                self._session.log(run, record["metrics"])
            elif "params" in record:
                self._session.log(run, params=record["params"])
            elif "artifacts" in record:
                for name, folder in record["artifacts"].items():
                    self._session.attach_pictures(run, self._place(folder), name)
            else:
                self._end(run, record)
                if number in self._sent.open:
                    self._sent.open.remove(number)
        except BaseException:
            self._doubtful = True
            raise

    def _create(self, number: int, record: dict[str, Any]) -> None:
        mark = f"{self.spool.key}/{number}"
        run = self._session.find(RECORD, mark) if self._doubtful else None
        self._doubtful = run is not None  # so the next may be there, too
        if run is None:
            parent = None if record["parent"] is None else self._sent.runs[str(record["parent"])]
            tags = {**record["tags"], RECORD: mark}
            run = self._session.create(record["create"], tags, parent, record["time"])
        self._session.log(run, params=record["params"])
        self._session.attach_datasets(run, record.get("datasets", []))
        self._sent.runs[str(number)] = run
        if number not in self._sent.open:
            self._sent.open.append(number)

    def _end(self, run: str, record: dict[str, Any]) -> None:
        if record["folder"] is not None:
            folder = self._place(record["folder"])
            self._session.attach_files(run, folder)
            if record["end"] == "FINISHED":
                self._session.attach_model(run, folder, self._register)
        if record["purity"]:
            self._session.attach_purity(run, record["name"], record["purity"])
        if tags := record.get("tags"):  # absent from records of an earlier version
            self._session.log(run, tags=tags)
        self._session.end(run, record["end"], record["time"])

    def _place(self, folder: str) -> Path:
        """A folder as records name it: relative to the results folder, where it lies there."""
        return self.spool.out / folder  # which an absolute one replaces
