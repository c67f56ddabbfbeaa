"""Who works on a trial, and whether that process still lives."""

from __future__ import annotations

import platform
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from filelock import FileLock, Timeout

from bench.tuning.patience import Patience

if TYPE_CHECKING:
    from optuna.study import Study

BEAT = 10.0  # seconds between two signs of life
GRACE = 60.0  # without one, a process is taken for dead
PREFIX = "owner:"  # of the study's attributes that hold signs of life


class Owner:
    """This process as one that works on a study, and its view of the others.

    It holds a lock on a file, which the system takes away when the process dies: on one machine
    that tells at once. Elsewhere its signs of life count, a number in the study. Whoever looks
    sees by a clock of their own whether it still changes; clocks are never compared.

    Args:
        study: the study.
        folder: for the lock.
        patience: with a study that is away at the beginning.
    """

    def __init__(self, study: Study, folder: Path, patience: Patience | None = None) -> None:
        self.study, self.name = study, uuid4().hex[:16]
        self.patience = patience or Patience()
        folder.mkdir(parents=True, exist_ok=True)
        self.path = (folder / f"{self.name}.owner").resolve()
        self._lock = FileLock(self.path, thread_local=False)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._seen: dict[str, tuple[Any, float]] = {}
        self._dead: set[str] = set()
        self._count = 0
        self._told = self._steady = time.monotonic()

    def __enter__(self) -> Owner:
        self._lock.acquire()
        try:
            self.patience(self._beat)
        except BaseException:
            self._lock.release()
            self.path.unlink(missing_ok=True)
            raise
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=BEAT)
        try:
            self.study.set_user_attr(PREFIX + self.name, {})
        except Exception:  # others then find out by the file, which nobody locks any more
            self._lock.release()
        else:
            self._lock.release()
            self.path.unlink(missing_ok=True)

    def alive(self, name: str, attributes: dict[str, Any]) -> bool:
        """Whether the process of that name may still be at work.

        Args:
            name: as it signs trials.
            attributes: the study's, freshly read.
        """
        if name == self.name:
            return True
        if name not in self._dead and self._is_dead(name, attributes.get(PREFIX + name)):
            self._dead.add(name)
        return name not in self._dead

    def _is_dead(self, name: str, sign: dict[str, Any] | None) -> bool:
        if not sign:
            return True  # it has left
        if sign["machine"] == _machine():
            path = Path(sign["lock"])
            if path.exists():
                try:
                    with FileLock(path, timeout=0):
                        pass
                except Timeout:
                    return False
                with suppress(Exception):  # the others find no lock any more
                    self.study.set_user_attr(PREFIX + name, {})
                path.unlink(missing_ok=True)
                return True
        now = time.monotonic()
        known, since = self._seen.get(name, (None, now))
        if known != sign["count"]:
            self._seen[name] = sign["count"], now
            return False
        # Where our own signs did not get through, theirs could not: the study was away.
        return now - self._told <= GRACE / 2 and now - max(since, self._steady) > GRACE

    def _live(self) -> None:
        while not self._ended.wait(BEAT):
            with suppress(Exception):  # a server that is away for a while is no death
                self._beat()

    def _beat(self) -> None:
        self._count += 1
        sign = {"machine": _machine(), "lock": str(self.path), "count": self._count}
        self.study.set_user_attr(PREFIX + self.name, sign)
        now = time.monotonic()
        if now - self._told > GRACE / 2:
            self._steady = now  # the others' time begins anew
        self._told = now


def _machine() -> str:
    """This machine, since it was started."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return f"{platform.node()} {boot}"
