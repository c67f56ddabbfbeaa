"""`bench report --track`: the figures and the page as artifacts of a run in a real store."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.tracking import runs as runs_module
from bench.tracking.location import locate
from runs import bench, run_tiny

TRACK = ("report", "--format", "html", "--track", "--out")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reported") / "runs"
    assert run_tiny(out, "--models", "VAE,CP", "--datasets", "digits", epochs=1).status == 0
    return out


@pytest.fixture
def out(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "runs"))


def reports(out: Path) -> list[Any]:
    """The runs of reports in the store, and the names of their artifacts."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=locate("", out).uri)
    found = client.get_experiment_by_name("bench")
    runs = client.search_runs([found.experiment_id])
    names = {
        run.info.run_id: {
            file.path
            for folder in client.list_artifacts(run.info.run_id)
            for file in client.list_artifacts(run.info.run_id, folder.path)
        }
        for run in runs
    }
    return [(run, names[run.info.run_id]) for run in runs if "bench.report" in run.data.tags]


def test_every_figure_is_an_artifact_as_png_and_as_svg(out: Path) -> None:
    said = bench(*TRACK, out)
    assert said.status == 0, said.err
    ((run, names),) = reports(out)
    assert run.info.status == "FINISHED"
    assert run.info.run_name in said.out
    assert run.data.params == {"cells": "2"}
    drawn = {path.stem for path in (out / "report" / "figures").glob("*.png")}
    assert len(drawn) > 5
    pictures = {f"figures/{stem}{kind}" for stem in drawn for kind in (".png", ".svg")}
    assert names == pictures | {"page/index.html"}

    again = bench(*TRACK, out)
    assert "these figures are recorded already" in again.out
    assert len(reports(out)) == 1


def test_a_store_that_does_not_answer_costs_no_report(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(runs_module, "command", lambda: [sys.executable, "-c", "exit(3)"])
        said = bench(*TRACK, out)
    assert said.status == 0
    assert (out / "report" / "index.html").is_file()
    assert "MLflow tracking waits" in " ".join(said.out.split())
    assert not (out / "mlflow.db").exists()
    assert bench("sync", "--out", out).status == 0
    ((_, names),) = reports(out)
    assert "page/index.html" in names


@pytest.mark.parametrize(
    "words", [(), ("--format", "csv"), ("--format", "html", "--models", "CP"), ("--scorecard",)]
)
def test_track_goes_with_the_whole_page(trained: Path, words: tuple[str, ...]) -> None:
    said = bench("report", "--track", *words, "--out", trained)
    assert said.status == 2
    assert "--track goes with --format html" in said.err
    assert "Traceback" not in said.err
