"""What is written under a PostgreSQL server's lock goes through the connection that holds it.

The lock goes with its connection. A process whose connection is lost, and which went on writing
through another, could draw what the next holder draws as well. Through the same connection that
cannot be: the server ends what was sent through it before it gives the lock away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine import URL
    from sqlalchemy.orm import Session, scoped_session

# libpq's: a server that is gone is noticed within half a minute, not after the system's hours.
TIMEOUTS = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
# The server's, for the connection with the lock: it notices as soon that a holder is gone, so that
# the lock is free; and who waits for the lock looks up meanwhile, as it may be asked to stop.
NOTICE = (
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
    "SET lock_timeout = '30s'",
)

_holder: ContextVar[Connection | None] = ContextVar("holder", default=None)


def timeouts(url: URL) -> dict[str, int]:
    """Those that libpq takes and the URL does not name."""
    if url.get_driver_name() not in ("psycopg2", "psycopg"):
        return {}
    return {key: value for key, value in TIMEOUTS.items() if key not in url.query}


@contextmanager
def fenced(connection: Connection, key: int) -> Iterator[None]:
    """Hold a lock of the server's; what this thread writes meanwhile goes through ``connection``.

    Args:
        connection: of this section alone: the lock is free when it is closed.
        key: of the lock.
    """
    from sqlalchemy import text

    for words in NOTICE:
        connection.execute(text(words))
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
    connection.commit()
    token = _holder.set(connection)
    try:
        yield
    finally:
        _holder.reset(token)


class FencedSessions:
    """Optuna's sessions of one thread after the other, and in a held section the holder's.

    Args:
        sessions: Optuna's own.
    """

    def __init__(self, sessions: scoped_session[Any]) -> None:
        self.sessions = sessions

    def __call__(self) -> Session:
        """A session to work with.

        Raises:
            ConnectionError: the lock has been lost; SQLAlchemy would connect again, without it.
        """
        from sqlalchemy.orm import Session

        holder = _holder.get()
        if holder is None:
            found: Session = self.sessions()
            return found
        if holder.invalidated:
            raise ConnectionError("the connection that held the study was lost")
        return Session(bind=holder)

    def remove(self) -> None:
        """As Optuna's: the thread needs none any more."""
        self.sessions.remove()
