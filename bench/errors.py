"""The harness's own errors: what a user can mend, said in one message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """A failure whose message tells the user what was expected, what was found and what to do."""


class UsageError(BenchError):
    """Bad usage, configuration or data, found before anything trains (exit status 2)."""


class DataError(UsageError):
    """A dataset that is missing, damaged or not what its checksum says."""


class Interrupted(BenchError):
    """A cell was asked to stop; what it had is saved."""


class CannotWrite(Interrupted, OSError):
    """The results folder takes no more: the disk is full, say, or has become read-only.

    The run ends here, as every other cell would meet the same. What was written before is whole.
    """


class PluginError(UsageError):
    """A plugin that does not import, does not declare what it must, or clashes with another."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """An error for an unknown ``name``: the nearest suggestion and the list of what exists."""
    choices = sorted(known)
    folded = {choice.casefold(): choice for choice in choices}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    hint = f" Did you mean {folded[near[0]]!r}?" if near else ""
    listed = ", ".join(choices) if choices else "none"
    return UsageError(f"unknown {kind} {name!r}.{hint} Known: {listed}.")


def first_line(error: BaseException) -> str:
    """What an error says, short enough for a line; its type where it says nothing."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
