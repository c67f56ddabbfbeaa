"""The tracking process: reads what happened from its standard input and tells MLflow.

One JSON object a line. The first opens the store; after it, each is about one run:

    {"uri": ..., "out": ..., "experiment": ...}
    {"run": 1, "create": NAME, "params": {...}, "tags": {...}, "parent": 0 or null}
    {"run": 1, "metrics": [[key, value, milliseconds, step], ...]}
    {"run": 1, "end": STATUS, "folder": PATH or null, "purity": [{...}, ...] or null}

The first failure is written to standard output and ends the process. The end of the input is
either a clean end or the death of the harness: runs that are still open then were killed.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.tracking.location import locate
from bench.tracking.session import Session

NICENESS = 5  # training comes first
REASON_LENGTH = 240


def main() -> int:
    """Serve the standard input; the exit status is 1 after a failure."""
    with suppress(AttributeError, OSError):
        os.nice(NICENESS)
    with os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace") as answer:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what MLflow prints is not an answer
        try:
            serve(sys.stdin)
        except Exception as error:
            answer.write(f"{type(error).__name__}: {_short(str(error))}.")
            return 1
    return 0


def serve(lines: Iterable[str]) -> None:
    """Do what the lines say.

    Raises:
        Exception: whatever goes wrong first.
    """
    messages = map(json.loads, lines)
    opening = next(messages)
    session = Session(locate(opening["uri"], Path(opening["out"])), opening["experiment"])
    runs: dict[int, tuple[str, str]] = {}  # name and MLflow's id
    is_open: dict[int, None] = {}
    for message in messages:
        with session.lock:
            number = message["run"]
            if "create" in message:
                parent = None if message["parent"] is None else runs[message["parent"]][1]
                made = session.create(message["create"], message["params"], message["tags"], parent)
                runs[number] = (message["create"], made)
                is_open[number] = None
            elif "metrics" in message:
                session.log(runs[number][1], message["metrics"])
            elif "params" in message:
                session.log(runs[number][1], params=message["params"])
            else:
                _end(session, *runs[number], message)
                del is_open[number]
    for number in reversed(is_open):
        with session.lock:
            session.end(runs[number][1], "KILLED")


def _end(session: Session, name: str, run: str, message: dict[str, Any]) -> None:
    if message["folder"] is not None:
        session.attach_files(run, Path(message["folder"]))
    if message["purity"]:
        session.attach_purity(run, name, message["purity"])
    session.end(run, message["end"])


def _short(text: str) -> str:
    """On one line, without passwords; of a long message the middle is cut, as causes come last."""
    text = re.sub(r"//[^/@\s]+@", "//***@", " ".join(text.split())).rstrip(".")
    if len(text) <= REASON_LENGTH:
        return text
    return f"{text[: REASON_LENGTH // 2]} ... {text[-REASON_LENGTH // 2 :]}"


if __name__ == "__main__":
    sys.exit(main())
