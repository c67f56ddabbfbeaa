"""A run on a real Ray cluster of two nodes: a node, its driver or a process dies, Ctrl-C."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.ray_tasks import Ledger
from rays import TwoNodes, two_nodes
from runs import TINY, bench, results, start, wait_for, write_prior

pytestmark = pytest.mark.slow

GRID = ("--models", "VAE,CP", "--datasets", "digits", "--components", 3, "--seeds", 2)
LONG = ("--set", "training.patience=5000", "--set", "engine.mode=eager")
ALONE = ("--set", "engine.replicas=1")
OFTEN = ("--set", "training.checkpoint_seconds=0")
WORDS = ("run", *TINY, *GRID, *LONG, *ALONE, "--epochs", 150)
SECONDS = 400.0


@pytest.fixture(scope="module")
def nodes() -> Iterator[TwoNodes]:
    with two_nodes() as cluster:
        yield cluster


def on(nodes: TwoNodes) -> tuple[str, ...]:
    return ("--workers", "0", "--ray", nodes.address)


def numbers(out: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in results(out)]


def files(out: Path) -> dict[Path, tuple[int, int]]:
    """Every file of the finished cells, with what changes when it is written again."""
    cells = [row.parent for row in out.glob("cells/*/row.json")]
    found = [path for cell in cells for path in cell.iterdir() if path.name != "checkpoint.pt"]
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in found}


def epochs(out: Path) -> dict[Path, list[dict[str, Any]]]:
    """What checkpoints hold, by the cell's folder. Tasks that go on may delete one meanwhile."""
    found: dict[Path, list[dict[str, Any]]] = {}
    for path in out.glob("cells/*/checkpoint.pt"):
        with suppress(FileNotFoundError):
            state = torch.load(path, weights_only=True)
            found[path.parent] = state["replicas"][0]["progress"]["history"]
    return found


def test_a_process_that_dies_again_and_again_has_failed(tmp_path: Path, nodes: TwoNodes) -> None:
    """The plugin lies where only this machine need see it."""
    plugin = write_prior(tmp_path / "deadly.py", "os.kill(os.getpid(), 9)")
    out = tmp_path / "runs"
    words = ("--plugin", plugin, "--priors", "deadly,standard", "--posteriors", "continuous")
    process = start(
        tmp_path,
        "run",
        *TINY,
        *words,
        *on(nodes),
        "--datasets",
        "digits",
        "--epochs",
        2,
        "--out",
        out,
    )
    text, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 1, text + errors
    failed, ok = sorted(results(out), key=lambda row: row["prior"])
    assert (failed["status"], ok["status"]) == ("failed", "ok")
    assert "its worker process died 3 times without an epoch between" in failed["reason"]


def test_a_search_on_a_cluster_finds_what_it_finds_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nodes: TwoNodes
) -> None:
    """Its trials lie where a relative path leads from here, and not from where a node works."""
    monkeypatch.chdir(tmp_path)
    words = ("--models", "VAE,MG", "--datasets", "digits", "--trials", 2, "--epochs", 2)
    where = ("--set", "tuning.storage=shared/trials.journal")
    waited = list[Ledger]()  # for rows, which no search has
    monkeypatch.setattr(Ledger, "see_rows", waited.append)
    for out, more in (("there", on(nodes)), ("here", ())):
        ended = bench("tune", *TINY, *words, *where[: 2 * bool(more)], "--out", out, *more)
        assert ended.status == 0, ended.out + ended.err
    assert waited == []
    found, expected = (
        {path.parent.name: path.read_text() for path in tmp_path.glob(f"{out}/cells/*/trials.csv")}
        for out in ("there", "here")
    )
    assert len(expected) == 2
    assert found == expected
    assert (tmp_path / "shared" / "trials.journal").is_file()
    assert (tmp_path / "there" / "best.toml").is_file()


def test_ctrl_c_on_a_cluster_saves_and_the_next_run_goes_on(
    tmp_path: Path, nodes: TwoNodes
) -> None:
    out = tmp_path / "runs"
    words = ("run", *TINY, *GRID, *LONG, *ALONE, *OFTEN, *on(nodes), "--out", out)
    process = start(tmp_path, *words, "--epochs", 5000)
    wait_for(lambda: len([*out.glob("cells/*/checkpoint.pt")]) == 2, process, SECONDS)
    os.killpg(process.pid, signal.SIGINT)
    text, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, text + errors
    assert "interrupted; run the same command again" in text
    assert "Traceback" not in text + errors
    assert not [*out.glob("cells/*/row.json")]
    assert len([*out.glob("cells/*/checkpoint.pt")]) == 2


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run without a cluster ends with."""
    out = tmp_path_factory.mktemp("expected") / "runs"
    assert bench(*WORDS, "--out", out).status == 0
    return out


def in_the_middle(out: Path) -> bool:
    """Whether two cells are in training, and one at least has ended."""
    begun = [*out.glob("cells/*/checkpoint.pt")]
    return len(begun) == 2 and bool([*out.glob("cells/*/row.json")])


def check_goes_on(before: dict[Path, list[dict[str, Any]]]) -> None:
    """No epoch was trained again that was in a checkpoint: no two take the same seconds."""
    for folder, history in before.items():
        with (folder / "history.csv").open() as stream:
            lines = [*csv.DictReader(stream)]
        assert [line["seconds"] for line in lines[: len(history)]] == [
            str(record["seconds"]) for record in history
        ]


def test_the_same_command_goes_on_at_once_where_its_driver_was_killed(
    tmp_path: Path, nodes: TwoNodes, expected: Path
) -> None:
    out = tmp_path / "runs"
    command = (*WORDS, *OFTEN, *on(nodes), "--out", out)
    process = start(tmp_path, *command)
    wait_for(lambda: in_the_middle(out), process, SECONDS)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    kept = files(out)
    before = epochs(out)
    assert kept
    assert before

    process = start(tmp_path, *command)
    text, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, text + errors
    assert "finished before" in text
    assert {path: stat for path, stat in files(out).items() if path in kept} == kept
    assert numbers(out) == numbers(expected)
    check_goes_on(before)


def test_a_lost_node_loses_no_cell_and_doubles_none(
    tmp_path: Path, nodes: TwoNodes, expected: Path
) -> None:
    out = tmp_path / "runs"
    process = start(tmp_path, *WORDS, *OFTEN, *on(nodes), "--out", out)
    wait_for(lambda: in_the_middle(out), process, SECONDS)
    nodes.lose_second()
    kept = files(out)
    before = epochs(out)
    assert kept
    assert before

    text, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, text + errors
    # Twice where a cell's end and the next one's beginning fall into the moment of the loss.
    assert text.count("its node was lost; it goes on from its last checkpoint") in (1, 2), text
    assert sum("/4]" in line for line in text.splitlines()) == 4
    assert "Traceback" not in text + errors
    assert {path: stat for path, stat in files(out).items() if path in kept} == kept
    assert numbers(out) == numbers(expected)
    check_goes_on(before)
