"""With CI=true, a skip for any other reason than a missing GPU or shared data is a failure."""

from __future__ import annotations

import os

import pytest

ALLOWED = ("CUDA", "shared data")

_refused: list[str] = []


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return str(report.longrepr)


def _record(report: pytest.TestReport | pytest.CollectReport) -> None:
    # An expected failure is reported as skipped too, and carries its reason in the test.
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = _reason(report)
        if not reason.startswith(ALLOWED):
            _refused.append(f"{report.nodeid}: {reason}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _record(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _record(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    # A worker's exit status is not the run's: only the controller decides.
    if _enforced() and not hasattr(session.config, "workerinput"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _enforced():
        terminalreporter.section("skips that CI does not allow", red=True)
        for line in _refused:
            terminalreporter.line(line)
        terminalreporter.line(f"A skip must give a reason that starts with {' or '.join(ALLOWED)}.")


def _enforced() -> bool:
    return bool(_refused) and os.environ.get("CI", "").lower() in ("true", "1")
