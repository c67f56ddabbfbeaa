"""A team's server: MLflow over HTTP, PostgreSQL behind it; and what happens when it dies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.tracking.spool import spools
from postgres import postgres
from runs import TINY, bench, results, start, wait_for
from tracked import snapshot
from tracking_server import Server

pytestmark = pytest.mark.slow

CELLS = {"digits CP K=4 seed 0", "digits CP K=4 seed 1", "digits VAE seed 0", "digits VAE seed 1"}
GRID = ("--models", "CP,VAE", "--datasets", "digits", "--components", 4, "--seeds", 2)
SETTINGS = ("tracking.enabled=true", "engine.replicas=1", "training.warmup_epochs=2")


def grid(out: Path, uri: str, experiment: str, *more: str) -> list[Any]:
    """The command line of a small run that is told to a server."""
    sets = (*SETTINGS, f"tracking.uri={uri}", f"tracking.experiment={experiment}", *more)
    flags = [word for text in sets for word in ("--set", text)]
    return ["run", *TINY, *GRID, "--epochs", 12, "--out", out, *flags]


@dataclass
class Team:
    """A server, and what it holds of a run that nothing disturbed."""

    server: Server
    calm: dict[str, dict[str, Any]]
    out: Path


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    with postgres(folder) as store:
        driver = store.replace("postgresql:", "postgresql+psycopg2:")
        server = Server(driver, folder)
        try:
            server.start()
            out = folder / "calm"
            registered = "tracking.register_models_as=digits-models"
            ended = bench(*grid(out, server.uri, "calm", registered))
            assert ended.status == 0, ended.err
            assert "tracking" not in ended.out
            yield Team(server, snapshot(server.uri, "calm"), out)
        finally:
            server.kill()


def test_the_server_holds_the_whole_run(team: Team) -> None:
    assert set(team.calm) == {"bench", *CELLS}
    run = team.calm["digits CP K=4 seed 1"]
    assert (run["status"], run["tags"]["mlflow.parentRunId"]) == ("FINISHED", "bench")
    assert run["tags"]["mlflow.source.name"] == "bench"
    wanted = {"prior": "conditional", "prior.radius": "2.0", "model": "CP", "components": "4"}
    assert wanted.items() <= run["params"].items()
    assert [step for step, _ in run["metrics"]["validation_bound"]] == list(range(1, 13))
    (row,) = [r for r in results(team.out) if r["model"] == "CP" and r["seed"] == "1"]
    assert run["metrics"]["nelbo"][0][1] == pytest.approx(float(row["nelbo"]), abs=1e-5)
    assert run["inputs"] == [("digits", row["dataset_fingerprint"])]
    assert {"purity.png", "samples.png", "history.csv", "model/MLmodel"} <= set(run["artifacts"])


def test_a_model_comes_back_through_mlflow(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", team.server.uri)
    versions = mlflow.MlflowClient(team.server.uri).search_model_versions("name='digits-models'")
    assert len(versions) == len(CELLS)
    model = mlflow.pyfunc.load_model(f"runs:/{versions[0].run_id}/model").get_raw_model()
    registered = mlflow.pyfunc.load_model(f"models:/digits-models/{versions[0].version}")
    x = np.random.default_rng(0).integers(0, 2, (3, 8, 8))
    assert np.array_equal(model.encode(x)["z"], registered.predict(x)["z"])
    assert model.sample(2).shape == (2, 8, 8)


def test_a_server_that_dies_costs_nothing(team: Team, tmp_path: Path) -> None:
    out, server = tmp_path / "runs", team.server
    process = start(tmp_path, *grid(out, server.uri, "storm"))
    # It dies as soon as it holds something of the first cell.
    wait_for(lambda: any(len(s.sent(server.uri).runs) > 1 for s in spools(out)), process, 180)
    server.kill()
    said = "".join(process.communicate(timeout=300))
    assert process.returncode == 0, said
    assert [row["status"] for row in results(out)] == ["ok"] * len(CELLS)
    flat = " ".join(said.split())
    assert flat.count("MLflow tracking waits: ") == 1
    assert f"`bench sync --out {out}` sends them" in flat

    before = bench("sync", "--out", out)
    assert before.status == 1
    assert "not everything was sent" in before.err
    assert "Connection refused" in before.err

    server.start()
    assert set(snapshot(server.uri, "storm")) < set(team.calm) | {"bench"}
    after = bench("sync", "--out", out)
    assert after.status == 0, after.err
    assert f"5 runs, to {server.uri}" in after.out
    assert snapshot(server.uri, "storm") == team.calm
    assert "nothing waits" in bench("sync", "--out", out).out
