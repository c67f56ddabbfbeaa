"""Two runs on one store share its cells, and results.csv is whole whoever writes it last."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bench.store import Store
from fabricated import put, row
from runs import TINY, bench, results, start

GRID = ("--models", "VAE,CP", "--datasets", "digits", "--components", 3, "--seeds", 2)
ALONE = ("--set", "engine.replicas=1", "--epochs", 3)


def numbers(out: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in results(out)]


@pytest.mark.slow
def test_two_runs_started_together_train_each_cell_once(tmp_path: Path) -> None:
    words = ("run", *TINY, *GRID, *ALONE)
    expected, out = tmp_path / "expected", tmp_path / "runs"
    assert bench(*words, "--out", expected).status == 0
    processes = [start(tmp_path, *words, "--out", out) for _ in range(2)]
    said = [process.communicate(timeout=600) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert numbers(out) == numbers(expected)
    # The seconds of an epoch are never the same twice: a cell that was trained twice, or a row
    # that is not of the model beside it, would show other ones.
    for found in results(out):
        folder = out / "cells" / found["cell"]
        with (folder / "history.csv").open() as stream:
            seconds = sum(float(line["seconds"]) for line in csv.DictReader(stream))
        assert float(found["seconds"]) == pytest.approx(seconds, abs=2e-3)
        # The folder was begun, trained and ended by one process, in this order.
        times = [(folder / name).stat().st_mtime_ns for name in ("model.pt", "row.json")]
        assert times == sorted(times)
    assert not [*out.rglob(".*.csv.*")]


def test_a_store_reads_rows_again_only_where_they_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, other = Store(tmp_path), Store(tmp_path)
    for seed in range(3):
        put(writer, row(seed))
    writer.write_results()
    read: list[str] = []
    real = Store.row

    def spy(store: Store, cell_id: str) -> object:
        read.append(cell_id)
        return real(store, cell_id)

    monkeypatch.setattr(Store, "row", spy)
    changed = row(1, nelbo=7.0)
    put(other, changed)
    writer.write_results()
    assert read == [changed["cell"]]
    assert [line["nelbo"] for line in results(tmp_path)] == ["100.0", "7.0", "102.0"]
    (other.folder(changed["cell"]) / "row.json").unlink()
    writer.write_results()
    assert [line["seed"] for line in results(tmp_path)] == ["0", "2"]


def test_results_are_refreshed_at_a_small_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    now = [0.0]
    monkeypatch.setattr("bench.results_file.time.monotonic", lambda: now[0])
    written: list[float] = []

    def text(_: object) -> str:
        now[0] += 1.0  # a second for each writing
        written.append(now[0])
        return ""

    monkeypatch.setattr("bench.results_file.ResultsFile._text", text)
    for _ in range(2000):
        store.refresh_results()
        now[0] += 0.1  # a cell ends
    assert len(written) == 4
    store.write_results()  # at the end of a run, always
    assert len(written) == 5
