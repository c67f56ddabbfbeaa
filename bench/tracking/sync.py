"""``bench sync``: send to a tracking server what waits on disk."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError, UsageError
from bench.tracking.delivery import Delivery
from bench.tracking.environment import ENVIRONMENT
from bench.tracking.location import canonical, locate
from bench.tracking.session import Session
from bench.tracking.spool import FOLDER, HIDDEN, Spool, spools, without_password

REASON_LENGTH = 240


@dataclass(frozen=True)
class Result:
    """What became of one spool.

    Attributes:
        records: how many have been sent now.
        runs: how many runs the store holds of it.
        state: ``done``, ``open`` where its ``bench run`` still writes it, or ``busy`` where another
            process is sending it.
    """

    records: int
    runs: int
    state: str


class Stores:
    """Open stores, each opened once; one that does not answer is not asked again."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, str], Session] = {}
        self._failures: dict[str, Exception] = {}

    def session(self, uri: str, out: Path, experiment: str) -> Session:
        """The store at ``uri`` and an experiment in it.

        Raises:
            Exception: why it cannot be opened, again for every caller.
        """
        if uri in self._failures:
            raise self._failures[uri]
        if (uri, experiment) not in self._sessions:
            try:
                self._sessions[uri, experiment] = Session(locate(uri, out), experiment)
            except Exception as error:
                self._failures[uri] = error
                raise
        return self._sessions[uri, experiment]


def send_spool(spool: Spool, uri: str, stores: Stores) -> Result:
    """Send what the store at ``uri`` has not been told of one spool.

    Raises:
        Exception: whatever goes wrong first; calling again goes on from there.
    """
    sent = spool.sent(uri)
    if sent.done:
        return Result(0, len(sent.runs), "done")
    with spool.sending() as alone:
        if not alone:
            return Result(0, 0, "busy")
        writing = spool.being_written()  # asked first: what is written last is then seen
        opening = spool.opening()
        if not opening:  # killed before its first line was whole
            return Result(0, 0, "open" if writing else "done")
        session = stores.session(uri, spool.out, opening["experiment"])
        delivery = Delivery(spool, session, uri)
        records = delivery.send()
        if not writing:
            delivery.finish()
        return Result(records, delivery.runs, "open" if writing else "done")


def sync(out: Path, uri: str | None, configured: str, say: Callable[[str], None]) -> None:
    """Send what waits in a results folder, oldest first.

    Args:
        out: the results folder.
        uri: the store to send everything to; None: to each run's own.
        configured: the [tracking] uri of the settings, for a run whose own had a password, which
            is not kept on disk.
        say: told what is sent.

    Raises:
        UsageError: there is no such folder.
        BenchError: some records still wait, and why.
    """
    if not out.is_dir():
        raise UsageError(
            f"there is no results folder {out}: expected the one that `bench run` wrote, "
            "named with --out"
        )
    for name, value in ENVIRONMENT.items():  # before MLflow is imported
        os.environ.setdefault(name, value)
    stores, nothing = Stores(), True
    waiting: dict[str, str] = {}
    for spool in spools(out):
        try:
            where = _destination(spool, uri, configured)
            with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):  # MLflow's prints
                result = send_spool(spool, where, stores)
        except Exception as error:
            known = isinstance(error, BenchError)
            waiting[spool.key] = str(error) if known else f"{type(error).__name__}: {short(error)}."
            continue
        target = without_password(locate(where, out).uri)
        if result.state == "busy":
            say(f"{spool.key}: its `bench run` is sending it to {target}")
        elif result.records or result.state == "open":
            later = "; its `bench run` goes on writing" if result.state == "open" else ""
            say(f"{spool.key}: {result.records} records, {result.runs} runs, to {target}{later}")
        nothing = nothing and result.state == "done" and not result.records
    if waiting:
        raise BenchError(
            f"not everything was sent; {', '.join(waiting)} still wait(s) in {out / FOLDER}: "
            f"{' '.join(dict.fromkeys(waiting.values()))} Run `bench sync` again when that is "
            "mended; nothing is sent twice."
        )
    if nothing:
        say(f"nothing waits in {out / FOLDER}")


def _destination(spool: Spool, uri: str | None, configured: str) -> str:
    if uri is not None:
        return canonical(uri, spool.out)
    recorded: str = spool.opening().get("uri", "")
    if without_password(canonical(configured, spool.out)) == recorded:
        return canonical(configured, spool.out)
    if HIDDEN in recorded:
        raise BenchError(
            f"it goes to {recorded}, whose password is not kept on disk: name the store with --uri."
        )
    return recorded


def short(error: Exception) -> str:
    """What an error says, on one line, without passwords.

    Of a long message the middle is cut, as causes come last.
    """
    text = re.sub(r"//[^/@\s]+@", "//***@", " ".join(str(error).split())).rstrip(".")
    if len(text) <= REASON_LENGTH:
        return text
    return f"{text[: REASON_LENGTH // 2]} ... {text[-REASON_LENGTH // 2 :]}"
