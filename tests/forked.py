"""Runs of `bench` forked from this process, and their fate.

Importing torch takes seconds, so one process imports everything and every run is forked from it: a
process group of its own, with the real command line, that knows nothing of its fate.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import torch

CALLS = ("fsync", "replace", "unlink", "mkdir")  # of `os`, by which files change


def warm_up() -> None:
    """Import all that a run imports, before the first fork."""
    import optuna  # noqa: F401
    import sklearn.datasets  # noqa: F401

    import bench.runner
    import bench.tuning  # noqa: F401

    torch.set_num_threads(1)


@dataclass(frozen=True)
class Fate:
    """When a run is killed; the default lets it live.

    Attributes:
        kind: what the moment is counted in.
        number: the call that changes a file, or the event, at which it is.
        late: whether the call is made before; or seconds, from the event or from the start.
        alone: whether its worker processes are left alive.
    """

    kind: Literal["never", "clock", "write", "event"] = "never"
    number: int = 0
    late: float = 0.0
    alone: bool = False

    def strike(self, run: int) -> None:
        """Kill the run with that process id, or also all of its group."""
        (os.kill if self.alone else os.killpg)(run, signal.SIGKILL)


def fork(arguments: Sequence[str], log: Path, fate: Fate = Fate()) -> int:
    """Start the command line in a process group of its own; returns its id.

    Args:
        arguments: what the user typed.
        log: takes what it says.
        fate: when it is killed, if that is not by the clock.
    """
    sys.stdout.flush()  # or the child would say it once more
    child = os.fork()
    if child:
        os.setpgid(child, child)  # here too: it may be killed before it has come that far
        return child
    status = 70
    try:
        os.setpgid(0, 0)
        for number in (1, 2):
            os.dup2(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644), number)
        sys.argv = list(arguments)
        from bench.cli import main

        with counted(fate, log), told(fate, log):
            main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def counted(fate: Fate, log: Path) -> Any:
    """Count the calls that change files, and die at the one with that number."""
    made = 0

    def through(call: Callable[..., Any]) -> Callable[..., Any]:
        def made_or_killed(*arguments: Any, **options: Any) -> Any:
            nonlocal made
            made += 1
            if fate.kind == "never":
                log.with_suffix(".writes").write_text(str(made))
            elif fate.kind == "write" and made > fate.number:
                if fate.late:
                    call(*arguments, **options)
                fate.strike(os.getpid())
            return call(*arguments, **options)

        return made_or_killed

    return patch.multiple(os, **{name: through(getattr(os, name)) for name in CALLS})


def wait(child: int, seconds: float) -> int | None:
    """The exit status; None if it still ran after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


@contextmanager
def told(fate: Fate, log: Path) -> Iterator[None]:
    """Have a run note in a file of ours how far it is; count these events, and die after one."""
    from bench.runner import Recorder

    log.with_suffix(".phase").write_text("start, plan")
    made = 0

    def event(real: Callable[..., None], *arguments: Any) -> None:
        nonlocal made
        made += 1
        if real.__name__ == "phase":
            log.with_suffix(".phase").write_text(str(arguments[-1]).partition(":")[0])
        if fate.kind == "never":
            log.with_suffix(".events").write_text(str(made))
        elif fate.kind == "event" and made == fate.number + 1:
            threading.Timer(fate.late, fate.strike, [os.getpid()]).start()
        real(*arguments)

    def through(real: Callable[..., None]) -> Callable[..., None]:
        return lambda *arguments: event(real, *arguments)

    wrapped = {name: through(getattr(Recorder, name)) for name in ("phase", "epoch", "trying")}
    with patch.multiple(Recorder, **wrapped):
        yield
