"""What lower precision costs is told from a results folder, seed by seed."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarked import load

precision = load("precision")

FLOAT32 = {0: 95.0, 1: 96.0, 2: 97.5}
BFLOAT16 = {0: 95.2, 1: 96.1, 2: 97.9}


LOOK = {0: 140.0, 1: 141.0}


def store(folder: Path) -> Path:
    """Twenty epochs in two precisions, and a look of two epochs that must not be mixed in."""
    lines = ["cell,model,components,seed,status,nelbo,dataset_fingerprint"]
    runs = (("float32", 20, FLOAT32), ("bfloat16", 20, BFLOAT16), ("bfloat16", 2, LOOK))
    for kind, epochs, bounds in runs:
        for seed, bound in bounds.items():
            cell = f"{kind}{epochs}{seed}"
            lines.append(f"{cell},VAE,,{seed},ok,{bound},f0")
            lines.append(f"{cell}f,CP,10,{seed},failed,,f0")
            (folder / "cells" / cell).mkdir(parents=True)
            config = {"training": {"precision": kind, "epochs": epochs}, "model": {"hidden": 300}}
            (folder / "cells" / cell / "config.json").write_text(json.dumps(config))
    (folder / "results.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_differences_are_taken_within_a_seed(tmp_path: Path) -> None:
    found = precision.bounds(store(tmp_path))
    by_epochs = {key[:3]: value for key, value in found.items()}
    together = {"float32": FLOAT32, "bfloat16": BFLOAT16}
    assert by_epochs == {("VAE", "", "20"): together, ("VAE", "", "2"): {"bfloat16": LOOK}}
    mean, error = precision.difference(together, "bfloat16")
    each = [0.2, 0.1, 0.4]
    assert mean == pytest.approx(statistics.mean(each))
    assert error == pytest.approx(statistics.stdev(each) / math.sqrt(3))
    assert math.isnan(precision.difference({"float32": {0: 1.0}, "tf32": {0: 1.5}}, "tf32")[1])


def test_every_precision_is_trained_into_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store(tmp_path)
    commands: list[list[str]] = []

    def run(command: list[str], check: bool) -> SimpleNamespace:
        commands.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(precision, "precisions", lambda _: ("float32", "bfloat16"))
    monkeypatch.setattr(precision.subprocess, "run", run)
    assert precision.main(["--out", str(tmp_path), "--device", "cpu", "--epochs", "2"]) == 0
    sets = [command[command.index("--set") + 1] for command in commands]
    assert sets == ["training.precision=float32", "training.precision=bfloat16"]
    assert all(str(tmp_path) in command for command in commands)
    shown = capsys.readouterr().out
    assert shown == (tmp_path / "precision.md").read_text()
    assert "| VAE |  | 20 | bfloat16 | 3 | 96.400 | +0.233 | 0.088 |" in shown


def test_a_run_that_fails_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = SimpleNamespace(returncode=130)
    monkeypatch.setattr(precision.subprocess, "run", lambda *_, **__: failed)
    assert precision.main(["--out", str(tmp_path), "--device", "cpu"]) == 130
    assert not list(tmp_path.iterdir())
