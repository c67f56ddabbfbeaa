"""bench report and bench compare on a store that bench run wrote."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest

from runs import bench, results, run_tiny


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "runs"
    words = ("--priors", "standard,conditional", "--posteriors", "continuous,joint")
    assert run_tiny(out, *words, "--datasets", "digits", "--seeds", 2, epochs=1).status == 0
    return out


def test_report_as_csv(store: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(bench("report", "--out", store, "--format", "csv").out)))
    by_model = {row["model"]: row for row in rows}
    assert by_model.keys() == {"VAE", "INDp", "CP", "conditional x continuous"}
    found = [float(row["nelbo"]) for row in results(store) if row["model"] == "CP"]
    assert float(by_model["CP"]["nelbo"]) == pytest.approx(sum(found) / 2, abs=1e-5)
    assert by_model["CP"]["seeds"] == "2"
    assert by_model["VAE"]["purity"] == ""
    assert by_model["conditional x continuous"]["marks"] == "skipped"


def test_report_as_markdown(store: Path) -> None:
    words = ("--format", "markdown", "--section", "bounds")
    lines = bench("report", "--out", store, *words).out.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert len(table) == 2 + 3
    assert any(line.startswith("| CP | 10 | 2 |") for line in table)
    assert any("skipped: conditional x continuous" in line for line in lines)


def test_report_on_a_terminal(store: Path) -> None:
    ended = bench("report", "--out", store)
    assert ended.status == 0
    for words in ("VAE", "CP", "INDp", "nats", "chance", "skipped: conditional x continuous"):
        assert words in ended.out


def test_report_has_every_section_of_a_real_store(store: Path) -> None:
    ended = bench("report", "--out", store)
    for section in ("bounds", "likelihood", "decomposition", "categories"):
        assert f"{section}: " in ended.out
    assert "●" in ended.out
    assert "digits CP K=10 seed 0" in ended.out


def test_compare_on_a_real_store(store: Path) -> None:
    ended = bench("compare", "CP", "INDp", "--out", store, "--format", "csv")
    assert ended.status == 0, ended.err
    (record,) = csv.DictReader(io.StringIO(ended.out))
    rows = results(store)
    means = [
        sum(float(row["nelbo"]) for row in rows if row["model"] == name) / 2
        for name in ("CP", "INDp")
    ]
    assert float(record["difference"]) == pytest.approx(means[0] - means[1], abs=1e-4)
    assert (record["examples"], record["seeds_a"]) == ("400", "2")
    assert float(record["seeds_se"]) > 0


@pytest.mark.parametrize("words", [["report"], ["compare", "CP", "INDp"]], ids=" ".join)
def test_reading_a_store_takes_no_torch(store: Path, words: list[str]) -> None:
    code = "import sys; from bench.cli import app; app(standalone_mode=False); "
    code += "sys.exit('torch' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code, *words, "--out", str(store)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "CP" in run.stdout
