"""What a check found, and the exceptions with which a check says it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import bench
from bench.registry import PLURALS

NO_PLUGINS = [Path(module.__file__ or "").parent for module in (bench, torch)]


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        subject: what was checked, as ``vamp x joint``.
        slug: the check's short name.
        check: what was asked, in words.
        passed: whether it held.
        expected: where it did not hold, what was expected.
        found: and what was found.
        remedy: and what to do.
        note: what should be known of a check that held, or why one was not made.
        ran: whether the check was made; one that was not made has not passed.
        seconds: how long it took.
    """

    subject: str
    slug: str
    check: str
    passed: bool = False
    expected: str = ""
    found: str = ""
    remedy: str = ""
    note: str = ""
    ran: bool = True
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """Subject and check."""
        return f"{self.subject}: {self.check}"

    @property
    def failed(self) -> bool:
        """Whether the check was made and did not hold."""
        return self.ran and not self.passed

    @property
    def detail(self) -> str:
        """Of a check that did not hold: what was expected, what was found and what to do."""
        if not self.failed:
            return ""
        return f"expected {self.expected}; found {self.found}. {self.remedy}".rstrip()


class Breach(Exception):
    """Raised by a check that does not hold.

    Args:
        expected: what should have been, as the end of "expected ...".
        found: what was, as the end of "found ...".
        remedy: what to do about it, whole sentences; empty for the check's own.
    """

    def __init__(self, expected: str, found: str, remedy: str = "") -> None:
        super().__init__(f"expected {expected}; found {found}")
        self.expected, self.found, self.remedy = expected, found, remedy


class Unmet(Exception):
    """Raised where a check cannot be made; the text says why."""


@dataclass(frozen=True)
class Case:
    """One check of one subject, still to be made.

    Attributes:
        subject: what is checked.
        slug: the check's short name.
        check: the check in words.
        body: the check; returns a note or None.
        remedy: what to do where the check does not hold and does not say so itself.
        error_remedy: what to do where it ends in an error; the error tells where.
    """

    subject: str
    slug: str
    check: str
    body: Callable[[], str | None]
    remedy: str = ""
    error_remedy: str = ""

    @property
    def id(self) -> str:
        """Name of a parametrised test."""
        return f"{self.subject}-{self.slug}"

    def run(self) -> Finding:
        """Make the check; a plugin may raise anything, and the other checks go on."""
        started = time.perf_counter()
        blank = Finding(self.subject, self.slug, self.check)
        try:
            made = replace(blank, passed=True, note=self.body() or "")
        except Unmet as unmet:
            made = replace(blank, ran=False, note=str(unmet))
        except Breach as breach:
            remedy = breach.remedy or self.remedy
            made = replace(blank, expected=breach.expected, found=breach.found, remedy=remedy)
        except Exception as error:
            found = describe(error)
            made = replace(blank, expected="no error", found=found, remedy=self.error_remedy)
        return replace(made, seconds=time.perf_counter() - started)


def describe(error: BaseException) -> str:
    """An error's type, its first lines, and the last line of a plugin that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_plugin(Path(frame.filename))]
    where = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:4])[:600]
    return f"{type(error).__name__}: {text}{where}"


def _is_plugin(path: Path) -> bool:
    """Whether a file is neither the harness's nor torch's."""
    if path.parent.name in PLURALS.values():
        return True  # a built-in plugin, which lies inside the harness once that is installed
    return not any(path.is_relative_to(folder) for folder in NO_PLUGINS)
