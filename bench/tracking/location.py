"""Where an MLflow store is, and where its artifacts go."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SQLITE = "sqlite:///"


@dataclass(frozen=True)
class Location:
    """A tracking store.

    Attributes:
        uri: MLflow's tracking URI.
        artifacts: where a new experiment keeps its artifacts; None where the server decides.
        file: the database file of an SQLite store, else None.
        own: whether it is the store inside the results folder, which bench may migrate.
    """

    uri: str
    artifacts: str | None
    file: Path | None
    own: bool

    @property
    def is_server(self) -> bool:
        """Whether it is reached over HTTP."""
        return self.uri.startswith(("http://", "https://"))


def locate(uri: str, out: Path) -> Location:
    """The store that a [tracking] uri names; the empty one names ``out/mlflow.db``.

    A database without an artifact location would put artifacts into ./mlruns of wherever the
    command was typed, so each gets one: beside an SQLite file, otherwise in the results folder.
    """
    out = out.resolve()
    if not uri:
        uri, own = f"{SQLITE}{(out / 'mlflow.db').as_posix()}", True
    else:
        own = False
    if uri.startswith(SQLITE):
        file = Path(uri.removeprefix(SQLITE)).resolve()
        uri = f"{SQLITE}{file.as_posix()}"
        return Location(uri, (file.parent / "mlartifacts").as_uri(), file, own)
    location = Location(uri, (out / "mlartifacts").as_uri(), None, own)
    return Location(uri, None, None, own) if location.is_server else location


def canonical(uri: str, out: Path) -> str:
    """One spelling for a store; empty for the one inside ``out``, which may be moved."""
    found = locate(uri, out).uri
    return "" if found == locate("", out).uri else found
