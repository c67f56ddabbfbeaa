"""Where studies are kept: a journal file, or a database by its URL."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.study import Study

JOURNAL = "tuning.journal"
POSTGRESQL = "postgresql"


@dataclass(frozen=True)
class Storage:
    """A place for studies, named but not opened.

    Attributes:
        place: the path of a journal file, or the URL of an SQLite or PostgreSQL database.
        folder: on this machine, for the lock that says that this process lives.
    """

    place: str
    folder: Path

    @classmethod
    def at(cls, place: str, out: Path) -> Storage:
        """The storage of that name; where it is empty, a journal in ``out``.

        Raises:
            UsageError: a URL of another kind.
        """
        scheme, colon, _ = place.partition("://")
        if colon and scheme.partition("+")[0] not in ("sqlite", POSTGRESQL):
            raise UsageError(
                "tuning.storage: expected nothing, the path of a journal file, "
                f"postgresql://USER@HOST/DATABASE or sqlite:///FILE, found {scheme}://..."
            )
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

        return make_url(self.url).render_as_string(hide_password=True)

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
        """Open a database and leave it.

        Raises:
            UsageError: it cannot be opened.
        """
        if "://" in self.place:
            with self.hold(""):
                self._open()

    def _open(self) -> BaseStorage:
        from optuna.storages import JournalStorage, RDBStorage

        from bench.tuning.journal import Journal

        if "://" in self.place:
            with self._reported():
                return RDBStorage(self.url, engine_kwargs={"pool_pre_ping": True})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the journal was experimental in Optuna 4
            return JournalStorage(Journal(Path(self.place)))

    @contextmanager
    def hold(self, study: str) -> Iterator[None]:
        """Keep a study to this process, on whatever machine the others are; for moments only.

        The lock is the system's or the server's: it goes with the process that holds it.
        """
        digest = hashlib.sha256(study.encode()).digest()
        if self.place.startswith(POSTGRESQL):
            with self._advisory(int.from_bytes(digest[:8], signed=True)):
                yield
            return
        from filelock import FileLock

        path = self.place
        if "://" in path:
            from sqlalchemy.engine import make_url

            path = make_url(path).database or str(self.folder)
        folder = Path(f"{path}.locks")
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{digest.hex()[:16]}.lock", poll_interval=0.01):
            yield

    @contextmanager
    def _advisory(self, key: int) -> Iterator[None]:
        from sqlalchemy import create_engine, text
        from sqlalchemy.pool import NullPool

        with self._reported():
            engine = create_engine(self.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
            connection = engine.connect()
        with connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})

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
