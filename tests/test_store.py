"""Results on disk: whole or absent, one row a cell, blanks where a column does not apply."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UsageError
from bench.files import atomic_write, write_json, write_text
from bench.grid import Cell
from bench.store import COLUMNS, Store
from runs import plan_of, results

PLAN = plan_of("run.priors=standard,conditional", posteriors="continuous,joint", seeds=2)
VAE, CP = PLAN.cells[0], PLAN.cells[-1]
OK: dict[str, Any] = {"status": "ok", "reason": "", "nelbo": 1.5, "kl_c": None}
FAILED = {"status": "failed", "reason": "RuntimeError: no"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def test_a_cell_is_finished_when_its_row_says_so(store: Store) -> None:
    assert not store.finished(CP)
    store.folder(CP.id).mkdir()
    write_text(store.folder(CP.id) / "model.pt", "all but the row")
    assert not store.finished(CP)
    store.finish(CP, FAILED)
    assert not store.finished(CP)
    store.finish(CP, OK)
    assert store.finished(CP)
    assert not store.finished(VAE)


def test_a_checkpoint_lives_as_long_as_it_is_needed(store: Store) -> None:
    checkpoint = store.folder(CP.id) / "checkpoint.pt"
    write_text(checkpoint, "state")
    store.finish(CP, FAILED)
    assert checkpoint.exists()
    store.finish(CP, OK)
    assert not checkpoint.exists()


@pytest.mark.parametrize("text", ["", "{", '{"status": "o'])
def test_a_row_that_is_not_whole_is_no_row(store: Store, text: str) -> None:
    store.folder(CP.id).mkdir()
    (store.folder(CP.id) / "row.json").write_text(text)
    assert store.row(CP.id) is None
    assert not store.finished(CP)
    assert store.rows() == []


def test_results_have_every_cell_in_order(store: Store) -> None:
    for cell in reversed(PLAN.cells):
        store.finish(cell, FAILED if cell is VAE else OK)
    store.skip(PLAN.skipped)
    store.write_results()
    found = results(store.out)
    assert list(found[0]) == list(COLUMNS)
    names = [(row["prior"], row["posterior"], row["seed"]) for row in found]
    assert names == sorted(names)
    assert [row["status"] for row in found].count("skipped") == 1
    by_id = {row["cell"]: row for row in found}
    assert by_id[VAE.id]["reason"] == "RuntimeError: no"
    assert by_id[VAE.id]["components"] == ""
    assert (by_id[CP.id]["components"], by_id[CP.id]["kl_c"]) == ("10", "")
    assert by_id[CP.id]["dataset_fingerprint"] == "print of digits"


def test_a_pair_is_skipped_in_one_row_whatever_the_settings(store: Store) -> None:
    (skipped,) = PLAN.skipped
    store.skip([skipped])
    store.skip([replace(skipped, settings={**skipped.settings, "device": "cuda"})])
    store.skip([])
    (row,) = store.rows()
    assert (row["status"], row["reason"]) == ("skipped", skipped.reason)


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(-1e9, 1e9),
    st.text("abc,;\"'\n °±|é", max_size=20),
)


@given(st.dictionaries(st.sampled_from(COLUMNS), values))
def test_every_value_survives_the_table(
    tmp_path_factory: pytest.TempPathFactory, row: dict[str, Any]
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    kept = {key: value for key, value in row.items() if key not in ("cell", "setting")}
    for name in ("dataset", "prior", "posterior", "components", "seed"):
        kept.pop(name, None)
    store.finish(CP, {"status": "ok", **kept})
    store.write_results()
    text = (store.out / "results.csv").read_bytes().decode()
    (found,) = csv.DictReader(io.StringIO(text, newline=""))
    for key, value in kept.items():
        if value is None:
            assert found[key] == ""
        elif isinstance(value, bool):
            assert found[key] == ("yes" if value else "no")
        elif isinstance(value, float):
            assert float(found[key]) == pytest.approx(value, abs=1e-6)
        else:
            assert found[key] == str(value)


def test_forgetting_removes_one_cell(store: Store) -> None:
    store.finish(CP, OK)
    store.finish(VAE, OK)
    store.forget(CP)
    store.forget(CP)
    assert [row["cell"] for row in store.rows()] == [VAE.id]


def test_looking_creates_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "runs", create=False)
    assert store.rows() == []
    assert store.row("none") is None
    assert store.labels("none") == []
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("below", ["file", "file/runs", "file/a/b"])
def test_a_folder_that_cannot_be_written_is_bad_usage(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match=r"--out .*file.* cannot be written .*--out DIR"):
        Store(tmp_path / below)
    assert not Store(tmp_path / below, create=False).finished(CP)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})

    def break_off() -> None:
        with atomic_write(path) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in path.parent.iterdir()] == ["file.json"]


def test_files_may_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_text(tmp_path / "results.csv", "a,b\n")
    finally:
        os.umask(before)
    assert (tmp_path / "results.csv").stat().st_mode & 0o777 == 0o644


def test_two_seeds_are_two_cells_of_one_setting() -> None:
    first, second = (cell for cell in PLAN.cells if cell.model == "CP")
    assert isinstance(first, Cell)
    assert first.id != second.id
    assert first.setting == second.setting
