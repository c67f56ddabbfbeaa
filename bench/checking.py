"""``bench check``: run the conformance suite and print what it found, pair by pair."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console

from bench.commands import settings_for
from bench.errors import PluginError, UsageError, unknown
from bench.registry import KINDS, Registry
from bench.terminal import duration
from bench.testing.conformance import cases
from bench.testing.finding import Breach, Case, Finding


def check_plugins(
    kind: str | None,
    name: str | None,
    plugins: Sequence[Path],
    data_dirs: Sequence[Path],
    config_file: Path | None,
    *,
    partners: str | None = None,
    verbose: bool = False,
    full: bool = False,
) -> int:
    """Check one plugin, all of a kind or all that there are; 1 if anything failed.

    Args:
        kind: ``prior``, ``posterior`` or ``dataset``; None for all.
        name: of the plugin; None or ``all`` for all of its kind.
        plugins: ``--plugin`` files.
        data_dirs: where data lie; none for the settings' folders.
        config_file: the settings.
        partners: for a prior or posterior, what it is paired with: A,B; None for all.
        verbose: whether to print what passed, too.
        full: whether to check at real sizes and with the real compiler.

    Raises:
        UsageError: no such kind, name or partner, or the plugin does not import.
    """
    import torch

    torch.set_num_threads(1)  # models of a few units: threads would only wait for each other
    if kind is not None and kind not in KINDS:
        raise unknown("kind of plugin", kind, KINDS)
    if partners is not None and kind in (None, "dataset"):
        raise UsageError(
            "--with names what a prior or a posterior is paired with; name one of them"
        )
    paired = None if partners is None else [word.strip() for word in partners.split(",")]
    registry = Registry(plugins)
    roots = settings_for(None, data_dirs, config_file).run.data_dirs
    found: dict[str, Case] = {}  # by id: a pair is met from both sides
    for one in KINDS if kind is None else (kind,):
        every = name in (None, "all")
        for known in _names(registry, one) if every else [str(name)]:
            try:
                listed = cases(one, known, registry, roots, partners=paired, full=full)
            except PluginError as error:
                if not every:
                    raise
                listed = [_broken(one, known, error)]
            found.update({case.id: case for case in listed})
    return _print_all(found.values(), Console(), verbose)


def _names(registry: Registry, kind: str) -> list[str]:
    return [info.name for info in registry.infos(kind)]


def _broken(kind: str, name: str, error: PluginError) -> Case:
    def body() -> None:
        raise Breach("a plugin that can be used", str(error))

    return Case(f"{kind} {name}", "imports", "imports", body)


def _print_all(listed: Iterable[Case], console: Console, verbose: bool) -> int:
    started = time.perf_counter()
    findings: list[Finding] = []
    for subject, group in groupby(listed, key=lambda case: case.subject):
        made = list(_run(subject, list(group), console))
        _print(subject, made, console, verbose)
        findings += made
    seconds = duration(time.perf_counter() - started)
    console.print(f"{_counts(findings)} in {seconds}", markup=False, highlight=False)
    return 1 if any(finding.failed for finding in findings) else 0


def _run(subject: str, group: list[Case], console: Console) -> Iterator[Finding]:
    shown = console.status("") if console.is_terminal else contextlib.nullcontext()
    with shown as status:
        for number, case in enumerate(group, start=1):
            if status is not None:
                status.update(f"{subject}: {case.check} ({number} of {len(group)})")
            yield case.run()


def _print(subject: str, made: list[Finding], console: Console, verbose: bool) -> None:
    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    seconds = sum(finding.seconds for finding in made)
    failed = any(finding.failed for finding in made)
    say(f"{subject:32} {_counts(made)} in {duration(seconds)}", "red" if failed else None)
    for finding in made:
        if finding.failed:
            say(f"FAILED {finding.name}", "bold red")
            for mark, text in (
                ("expected", finding.expected),
                ("found", finding.found),
                ("to do", finding.remedy),
            ):
                if text:
                    say(f"    {mark:8}  " + text.replace("\n", "\n" + " " * 14))
        elif verbose and finding.passed:
            say(f"ok {finding.name} ({finding.seconds:.2f} s)")
        if finding.passed and finding.note:
            say(f"    note      {finding.check}: {finding.note}")
    for reason in dict.fromkeys(finding.note for finding in made if not finding.ran):
        names = [finding.check for finding in made if not finding.ran and finding.note == reason]
        say(f"    not made  since {reason}: {'; '.join(names)}", "yellow")


def _counts(findings: list[Finding]) -> str:
    passed = sum(finding.passed for finding in findings)
    failed = sum(finding.failed for finding in findings)
    rest = len(findings) - passed - failed
    return f"{passed} passed, {failed} failed" + (f", {rest} not made" if rest else "")
