"""Waiting for a study's place that is away for a while: a server that restarts, a lost connection.

What is tried again has to be right when it was done before: a connection may go after the server
has stored something and before it has said so. Whoever calls a ``Patience`` sees to that.
"""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

from bench.errors import BenchError, Interrupted

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

LIMIT = 300.0  # seconds that a place may be away
FIRST, MOST = 0.5, 15.0  # seconds between two tries: at first, and at most
LOOK = 0.1  # seconds between two looks whether to give up

# What a network file system says whose server is away. EIO is a disk's, and ends the run.
AWAY = frozenset(
    (
        errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN,
        errno.ENETDOWN, errno.ENETUNREACH, errno.ENOLINK, errno.EREMOTEIO,
    )
)  # fmt: skip
# SQLSTATE: no connection; rolled back; no room; shut down, crashed or starting; a lock that one
# holds whose connection is lost; a server that has become the standby of another.
STATES = ("08", "40", "53", "57P01", "57P02", "57P03", "55P03", "25006")
# A failing connect has no SQLSTATE, only words. Other languages' are waited for: too long, but no
# search is lost, and a command looks at its storage without patience when it starts.
REFUSED = (
    "authentication failed", "no password", "does not exist", "pg_hba.conf", "not permitted",
    "permission denied", "ssl was required", "certificate",
)  # fmt: skip
# A file that cannot be opened or read is no outage: waiting mends no disk.
SQLITE = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL))
LOCKED = "55P03"  # who waited for a lock may look up, and waits again

T = TypeVar("T")
P = ParamSpec("P")

_given_up: set[str] = set()  # places that stayed away: the next search does not wait for them anew
_whole: ContextVar[bool] = ContextVar("whole", default=False)


class StorageAway(BenchError):
    """A study's place has not answered for as long as it is waited for."""


def outage(error: BaseException) -> str | None:
    """What an error says of a place that is away; None for any other error."""
    from sqlalchemy.exc import DBAPIError

    for cause in _causes(error):
        if isinstance(cause, DBAPIError) and _is_away(cause):
            return _said(cause)
        if isinstance(cause, OSError) and (isinstance(cause, ConnectionError) or _stale(cause)):
            return cause.strerror or str(cause)
    return None


def refusal(error: BaseException) -> str | None:
    """What a database says that answers, but does not do what it is asked; None for the rest."""
    from sqlalchemy.exc import DBAPIError

    found = [cause for cause in _causes(error) if isinstance(cause, DBAPIError)]
    return None if isinstance(error, BenchError) or not found else _said(found[-1])


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error of ours or of Optuna's, and what it was raised from."""
    from sqlalchemy.exc import PendingRollbackError

    while error is not None:
        yield error
        cause = error.__cause__
        # Optuna goes on after some lost connections, in a transaction that SQLAlchemy then refuses.
        if cause is None and isinstance(error, PendingRollbackError):
            cause = error.__context__
        error = cause


def _said(error: DBAPIError) -> str:
    if _state(error) == LOCKED:
        return "another process has held its lock for long"
    return " ".join(str(error.orig).split()).rstrip(".")


def _stale(error: OSError) -> bool:
    return error.errno in AWAY


def _state(error: DBAPIError) -> str:
    """SQLSTATE; empty where there is none."""
    found = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
    return str(found or "")


def _is_away(error: DBAPIError) -> bool:
    from sqlalchemy.exc import InterfaceError, OperationalError

    found = error.orig
    if error.connection_invalidated:
        return True
    if isinstance(found, sqlite3.Error):
        return getattr(found, "sqlite_errorcode", -1) & 0xFF in SQLITE
    state = _state(error)
    if state:
        return state.startswith(STATES)
    said = str(found).lower()
    broken = isinstance(error, OperationalError | InterfaceError)
    return broken and not any(words in said for words in REFUSED)


@dataclass(frozen=True)
class Patience:
    """Tries again what fails because a place is away, for ``LIMIT`` seconds.

    Where a process has given a place up, its other searches try once: a run of many searches would
    wait for each of them. The next that gets through waits as before.

    Attributes:
        place: in words, without a password.
        stop: whether to give up waiting.
        notice: told once of each time that the place is away.
    """

    place: str = ""
    stop: Callable[[], bool] = lambda: False
    notice: Callable[[str], None] = lambda _: None

    def __call__(self, action: Callable[[], T]) -> T:
        """What ``action`` gives; within another that is tried again, or a held section, once.

        Raises:
            StorageAway: the place stays away.
            BenchError: a database refuses what it is asked.
            Interrupted: ``stop`` answered True while it was away.
        """
        if _whole.get():
            return action()
        end, pause = 0.0, FIRST
        limit = 0.0 if self.place in _given_up else LIMIT
        while True:
            try:
                with whole():
                    found = action()
                _given_up.discard(self.place)
                return found
            except Exception as error:
                reason = outage(error)
                if reason is None and (refused := refusal(error)):
                    raise BenchError(
                        f"tuning.storage {self.place} cannot be used any more. Expected a database "
                        f"that takes what it is sent, found: {refused}. No trial is lost: mend "
                        "that, and run the same command again. It goes on from here."
                    ) from error
                if reason is None:
                    raise
                now = time.monotonic()
                if not end:
                    end = now + limit
                    if limit:
                        self.notice(
                            f"tuning.storage {self.place} does not answer ({reason}); trying "
                            f"again for up to {_spoken(limit)}"
                        )
                if now >= end:
                    _given_up.add(self.place)
                    said = f"has not answered for {_spoken(limit)}"
                    if not limit:
                        said = "still does not answer, and was waited for before"
                    raise StorageAway(
                        f"tuning.storage {self.place} {said}. "
                        f"Expected a place that can be reached, found: {reason}. No trial is lost, "
                        "and those that train are kept in the results folder. See to the server "
                        "or the network, and run the same command again: it goes on from here."
                    ) from error
            self._rest(min(pause, max(end - now, 0.0)))
            pause = min(2 * pause, MOST)

    def _rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            if self.stop():
                raise Interrupted(f"stopped while tuning.storage {self.place} did not answer")
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(LOOK, left))


@contextmanager
def whole() -> Iterator[None]:
    """A section of which no part is tried again alone: its lock may be gone, so all of it has to.

    Of this thread's.
    """
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


class _Stored(Protocol):
    @property
    def patience(self) -> Patience: ...


class _Keeper(Protocol):
    @property
    def storage(self) -> _Stored: ...


K = TypeVar("K", bound=_Keeper)


def patient(method: Callable[Concatenate[K, P], T]) -> Callable[Concatenate[K, P], T]:
    """A method that waits for its storage; it must be right when it is done again."""

    @wraps(method)
    def tried(self: K, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.storage.patience(lambda: method(self, *args, **kwargs))

    return tried


def _spoken(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:g} s"
