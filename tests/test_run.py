"""A whole run: every pair ends with numbers that agree with each other and with what is on disk."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.store import COLUMNS
from pairs import PAIRS, REGISTRY
from runs import bench, results, run_tiny, write_prior

CONTRACT = [
    "cell", "dataset", "prior", "posterior", "model", "components", "seed", "status", "reason",
    "epochs", "seconds", "parameters", "device", "nelbo", "nelbo_se", "nll", "nll_se",
    "reconstruction", "kl_z", "kl_c", "entropy", "entropy_max", "effective_categories",
    "categories_used", "category_information", "assignment", "purity", "purity_chance",
    "purity_corrected", "nmi", "ari", "active_units", "dataset_fingerprint",
]  # fmt: skip
DATASETS = ("digits", "gaussians")
CATEGORY = (
    "entropy", "entropy_max", "effective_categories", "categories_used", "category_information",
    "purity", "purity_chance", "nmi", "ari", "collapsed",
)  # fmt: skip
FILES = {
    "config.json", "history.csv", "metrics.json", "purity.json", "model.pt", "examples.npz",
    "row.json", "training.json", "likelihood.json", "decomposition.json", "categories.json",
    "generation.json",
}  # fmt: skip
PICTURES = {"samples.png", "categories.png", "labels.png"}

Row = dict[str, str]


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every prior x every posterior on the embedded data: what a bare run does, but small."""
    out = tmp_path_factory.mktemp("grid") / "runs"
    ended = run_tiny(out, "--priors", "all", "--datasets", ",".join(DATASETS), "--components", 3)
    assert ended.status == 0, ended.out + ended.err
    assert str(out / "results.csv") in ended.out
    return out


@pytest.fixture(scope="module")
def rows(grid: Path) -> dict[tuple[str, str, str], Row]:
    return {(r["dataset"], r["prior"], r["posterior"]): r for r in results(grid)}


each_cell = pytest.mark.parametrize(
    ("dataset", "prior", "posterior"), [(d, *pair) for d in DATASETS for pair in PAIRS]
)


def test_columns_of_the_contract(grid: Path) -> None:
    header = (grid / "results.csv").read_text().splitlines()[0].split(",")
    assert [name for name in header if name in CONTRACT] == CONTRACT
    assert tuple(header) == COLUMNS


def test_one_row_a_cell_skipped_ones_with_their_reason(
    grid: Path, rows: dict[tuple[str, str, str], Row]
) -> None:
    assert len(results(grid)) == len(rows) == len(DATASETS) * (len(PAIRS) + 1)
    for dataset in DATASETS:
        row = rows[dataset, "conditional", "continuous"]
        assert row["status"] == "skipped"
        assert "mog x continuous" in row["reason"]
        assert row["nelbo"] == row["epochs"] == ""


@each_cell
def test_numbers_of_every_pair(
    grid: Path,
    rows: dict[tuple[str, str, str], Row],
    dataset: str,
    prior: str,
    posterior: str,
) -> None:
    row = rows[dataset, prior, posterior]
    assert (row["status"], row["reason"], row["epochs"], row["seed"]) == ("ok", "", "2", "0")
    nelbo, nll = float(row["nelbo"]), float(row["nll"])
    parts = float(row["reconstruction"]) + float(row["kl_z"]) + float(row["kl_c"] or 0)
    assert nelbo == pytest.approx(parts, abs=1e-4)
    assert nll <= nelbo + 4 * (float(row["nelbo_se"]) + float(row["nll_se"]))

    categorical = REGISTRY.get("posterior", posterior).categorical
    mixture = REGISTRY.get("prior", prior).mixture
    side = "posterior" if categorical else "prior" if mixture else "none"
    assert row["assignment"] == side
    assert row["components"] == ("3" if categorical or mixture else "")
    assert bool(row["kl_c"]) == categorical
    for name in CATEGORY:
        assert bool(row[name]) == (side != "none"), name
    if side != "none":
        entropy, most = float(row["entropy"]), float(row["entropy_max"])
        information = float(row["category_information"])
        assert most == pytest.approx(np.log(3), abs=1e-5)
        assert -1e-6 <= information <= entropy + 1e-6 <= most + 2e-6
        assert float(row["effective_categories"]) == pytest.approx(np.exp(entropy), rel=1e-4)
        assert row["collapsed"] == ("yes" if information < 0.1 else "no")

    folder = grid / "cells" / row["cell"]
    expected = FILES | ({"density.json", "density.png"} if dataset == "gaussians" else PICTURES)
    if side == "none" or dataset == "gaussians":
        expected -= {"categories.png", "labels.png"}
    assert {path.name for path in folder.iterdir()} == expected
    config = json.loads((folder / "config.json").read_text())
    assert (config["prior"], config["posterior"]) == (prior, posterior)
    assert config["prior_options"] == {}
    with np.load(folder / "examples.npz") as examples:
        assert len(examples["nelbo"]) == {"digits": 400, "gaussians": 10_000}[dataset]
        for name in ("nelbo", "nll", "reconstruction", "kl_z"):
            mean = examples[name].mean(dtype=float)
            assert float(row[name]) == pytest.approx(mean, rel=1e-5, abs=2e-6)
        error = examples["nelbo"].std(ddof=1, dtype=float) / len(examples["nelbo"]) ** 0.5
    assert float(row["nelbo_se"]) == pytest.approx(error, rel=1e-3)
    assert sum(
        value.numel() for value in torch.load(folder / "model.pt", weights_only=True).values()
    ) >= int(row["parameters"])
    with (folder / "history.csv").open() as stream:
        history = list(csv.DictReader(stream))
    assert [line["epoch"] for line in history] == ["1", "2"]
    labels = json.loads((folder / "purity.json").read_text())
    if side != "none":
        assert float(row["purity"]) == pytest.approx(
            np.mean([r["purity"] for r in labels]), abs=1e-6
        )
        assert len(labels) == {"digits": 10, "gaussians": 2}[dataset]
    assert json.loads((folder / "metrics.json").read_text())["nelbo"] == pytest.approx(nelbo)


def test_a_finished_run_trains_nothing(grid: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in grid.glob("cells/*/*")}
    table = results(grid)
    arguments = ("--priors", "all", "--datasets", ",".join(DATASETS), "--components", 3)
    ended = run_tiny(grid, *arguments)
    assert ended.status == 0
    assert f"{sum(path.name == 'row.json' for path in before)} finished before" in ended.out
    assert {path: path.stat().st_mtime_ns for path in grid.glob("cells/*/*")} == before
    assert results(grid) == table


BREAKS = {
    "raises": ('raise RuntimeError("no [/dim] today [/]")', "RuntimeError: no [/dim] today [/]"),
    "nan": (
        'return Joint(z=DiagNormal(self.loc * float("nan"), torch.ones(2)))',
        "epoch 1, step 1 of",
    ),
}


@pytest.mark.parametrize("how", BREAKS)
def test_a_failing_cell_stops_no_other_and_is_tried_again(tmp_path: Path, how: str) -> None:
    body, words = BREAKS[how]
    flag = tmp_path / "broken"
    flag.touch()
    plugin = write_prior(
        tmp_path / "fails.py",
        f"if torch.is_grad_enabled() and os.path.exists({str(flag)!r}):\n    {body}",
    )
    arguments = ("--plugin", plugin, "--priors", "fails,standard", "--posteriors", "continuous",
                 "--datasets", "digits")  # fmt: skip
    out = tmp_path / "runs"
    ended = run_tiny(out, *arguments)
    assert ended.status == 1, ended.err
    rows = {row["prior"]: row for row in results(out)}
    assert (rows["fails"]["status"], rows["standard"]["status"]) == ("failed", "ok")
    assert words in rows["fails"]["reason"]
    assert words in ended.out
    assert "1 cells failed" in ended.out
    traceback = (out / "cells" / rows["fails"]["cell"] / "traceback.txt").read_text()
    assert traceback.startswith("Traceback")
    assert words in traceback
    kept = (out / "cells" / rows["standard"]["cell"] / "row.json").stat().st_mtime_ns
    assert words in bench("report", "--out", out).out

    flag.unlink()
    assert run_tiny(out, *arguments).status == 0
    again = {row["prior"]: row for row in results(out)}
    assert again["fails"]["status"] == "ok"
    assert again["fails"]["cell"] == rows["fails"]["cell"]
    assert not (out / "cells" / rows["fails"]["cell"] / "traceback.txt").exists()
    assert (out / "cells" / again["standard"]["cell"] / "row.json").stat().st_mtime_ns == kept


@pytest.mark.slow
def test_workers_that_die_cost_their_own_cells_only(tmp_path: Path) -> None:
    """What the kernel does to a process that wants too much memory: both workers, here."""
    body = "if torch.is_grad_enabled():\n    os._exit(9)"
    out = tmp_path / "runs"
    words: list[object] = ["--priors", "dies,dies_too,standard", "--posteriors", "continuous"]
    for name in ("dies", "dies_too"):
        words += ["--plugin", write_prior(tmp_path / f"{name}.py", body)]
    ended = run_tiny(out, *words, "--datasets", "digits", "--workers", 2)
    assert ended.status == 1, ended.out + ended.err
    rows = {row["prior"]: row for row in results(out)}
    assert rows["standard"]["status"] == "ok"
    for name in ("dies", "dies_too"):
        assert rows[name]["status"] == "failed"
        assert "exit status 9" in rows[name]["reason"]
