"""Where studies are kept: a journal file, or a database by its URL."""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bench.errors import UsageError, first_line
from bench.tuning.fence import FencedSessions, fenced, timeouts
from bench.tuning.patience import Patience, whole

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study
    from sqlalchemy import Connection

JOURNAL = "tuning.journal"
POSTGRESQL = "postgresql"


@dataclass(frozen=True)
class Storage:
    """A place for studies, named but not opened.

    Attributes:
        place: the path of a journal file, or the URL of an SQLite or PostgreSQL database.
        folder: on this machine, for the lock that says that this process lives.
        patience: with the place when it is away.
    """

    place: str
    folder: Path
    patience: Patience = field(default_factory=Patience, compare=False)

    @classmethod
    def at(cls, place: str, out: Path) -> Storage:
        """The storage of that name; where it is empty, a journal in ``out``.

        Raises:
            UsageError: a URL of another kind, or one that cannot be read.
        """
        scheme, colon, _ = place.partition("://")
        if colon:
            kind = scheme.partition("+")[0]
            database = _database(place)
            if kind not in ("sqlite", POSTGRESQL):
                _refuse(f"{scheme}://...")
            if database is None:
                _refuse(
                    f"a URL {scheme}://... that cannot be read. HOST may be followed by a colon "
                    "and a number; in a password, colons are written %3A and @ %40"
                )
            if kind == "sqlite" and database in ("", ":memory:"):
                _refuse("no FILE; what is kept in memory is gone when a process ends")
        return cls(place or str(out / JOURNAL), out / f"{JOURNAL}.locks")

    @property
    def url(self) -> str:
        """The URL with the driver that the extra ``postgres`` brings, unless it names another."""
        scheme, colon, rest = self.place.partition("://")
        return f"{POSTGRESQL}+psycopg2{colon}{rest}" if scheme == POSTGRESQL else self.place

    @property
    def shown(self) -> str:
        """The place without a password."""
        if "://" not in self.place:
            return self.place
        from sqlalchemy.engine import make_url

        url = make_url(self.url).difference_update_query(["password", "sslpassword"])
        return url.render_as_string(hide_password=True)

    def patient(self, notice: Callable[[str], None], stop: Callable[[], bool]) -> Storage:
        """The same place, waited for where it is away.

        Args:
            notice: told of it.
            stop: whether to give up waiting.
        """
        return replace(self, patience=Patience(self.shown, stop, notice))

    def study(self, name: str) -> Study:
        """The study of that name, made if it is not there.

        Raises:
            UsageError: the storage cannot be opened.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with self.hold(""):  # tables and studies are made once
            storage = self._open()
            return optuna.create_study(
                storage=storage, study_name=name, direction="maximize", load_if_exists=True
            )

    def check(self) -> None:
        """See whether studies can be kept there; nothing is made or written.

        Raises:
            UsageError: they cannot.
        """
        if self.place.startswith(POSTGRESQL):
            with self._connected():
                return
        with self._refused():
            if "://" in self.place:
                _check_sqlite(Path(_database(self.place) or ""))
                return
            from bench.tuning.journal import check_journal

            path = Path(self.place)
            check_journal(path)
            if path != self.folder.with_suffix(""):  # that one is in --out, which the store checks
                _check_writable(path)

    def make(self) -> None:
        """Open it before anything trains: tables are made, and all that is there can be read.

        Raises:
            UsageError: it cannot be opened or written.
        """
        with self._refused(), self.hold(""):
            self._open()

    def _open(self) -> BaseStorage:
        from optuna.storages import JournalStorage, RDBStorage

        from bench.tuning.journal import Journal

        if "://" in self.place:
            with self._reported():
                found = RDBStorage(
                    self.url, engine_kwargs={"pool_pre_ping": True, **self._timeouts()}
                )
                if self.place.startswith(POSTGRESQL):
                    found.scoped_session = FencedSessions(found.scoped_session)  # type: ignore[assignment]
                return found
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the journal was experimental in Optuna 4
            journal = Journal(Path(self.place))
            try:
                return JournalStorage(journal)
            except (ValueError, LookupError, TypeError) as error:
                raise UsageError(
                    f"tuning.storage {self.place} is damaged: a line of it cannot be read "
                    f"({first_line(error)}). Put a copy from a backup in its place, or move it "
                    "away: its searches then begin anew."
                ) from error

    @contextmanager
    def hold(self, study: str) -> Iterator[None]:
        """Keep a study to this process, on whatever machine the others are; for moments only.

        The lock is the system's or the server's: it goes with the process that holds it. A server's
        goes with the connection, too: then what follows in the section fails, and all of it has to
        be tried again.
        """
        digest = hashlib.sha256(study.encode()).digest()
        if self.place.startswith(POSTGRESQL):
            key = int.from_bytes(digest[:8], signed=True)
            with whole(), self._connected() as connection, fenced(connection, key):
                yield
            return
        from filelock import FileLock

        path = _database(self.place) if "://" in self.place else self.place
        folder = Path(f"{path}.locks")
        folder.mkdir(parents=True, exist_ok=True)
        with whole(), FileLock(folder / f"{digest.hex()[:16]}.lock", poll_interval=0.01):
            yield

    def _connected(self) -> Connection:
        """A connection to the server."""
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        with self._reported():
            return create_engine(self.url, poolclass=NullPool, **self._timeouts()).connect()

    def _timeouts(self) -> dict[str, Any]:
        from sqlalchemy.engine import make_url

        return {"connect_args": timeouts(make_url(self.url))}

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """What a database or its driver complains about is the user's to mend."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, ImportError) as error:
            reason = " ".join(str(getattr(error, "orig", None) or error).split())
            hint = ' Install it with: pip install "vae-prior-bench[postgres]".'
            raise UsageError(
                f"tuning.storage {self.shown} cannot be opened: {reason}."
                + (hint if isinstance(error, ImportError) else "")
            ) from error

    @contextmanager
    def _refused(self) -> Iterator[None]:
        """Where a file cannot be written before anything trains, that is the user's to mend."""
        try:
            yield
        except OSError as error:
            cause = error.__cause__ or error  # of a full disk
            raise UsageError(
                f"tuning.storage {self.shown} cannot be written "
                f"({getattr(cause, 'strerror', None) or cause}). Expected a file, or a place for "
                "one, on a disk with room that this user may write."
            ) from error


def absolute(place: str) -> str:
    """``tuning.storage`` as processes with another working directory need it."""
    if "://" not in place:
        return place and str(Path(place).absolute())
    if not place.startswith("sqlite"):
        return place
    from sqlalchemy.engine import make_url

    url = make_url(place)
    made = url.set(database=str(Path(url.database or "").absolute()))
    return made.render_as_string(hide_password=False)


def _refuse(found: str) -> NoReturn:
    raise UsageError(
        "tuning.storage: expected nothing, the path of a journal file, "
        f"postgresql://USER@HOST/DATABASE or sqlite:///FILE, found {found}"
    )


def _database(url: str) -> str | None:
    """The database that a URL names, empty for none; None where the URL cannot be read."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).database or ""
    except (ArgumentError, ValueError):  # whose words may hold a part of the password
        return None


def _check_sqlite(path: Path) -> None:
    if path.exists():
        try:
            name = path.absolute().as_uri() + "?mode=ro"
            with closing(sqlite3.connect(name, timeout=60, uri=True)) as connection:
                connection.execute("SELECT name FROM sqlite_master").fetchall()
        except sqlite3.Error as error:
            raise UsageError(f"tuning.storage {path} is no SQLite database: {error}.") from error
    _check_writable(path)


def _check_writable(path: Path) -> None:
    """Whether a file can be written there, as far as can be seen without writing.

    Raises:
        OSError: it cannot.
    """
    if path.exists():
        with path.open("r+b"):
            return
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
