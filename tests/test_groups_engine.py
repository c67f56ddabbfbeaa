"""What was begun with one way of multiplying goes on, with or without it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from bench import products
from bench.training import ReplicaTrainer
from runs import results, run_tiny

WORDS = ("--models", "VAE", "--datasets", "digits", "--set", "training.checkpoint_seconds=0")


@pytest.mark.parametrize("there", [True, False])
def test_a_training_goes_on_where_its_kernels_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """The models are too small for oneDNN to multiply: it need not be here for this test."""
    real = ReplicaTrainer.epoch

    def epoch(self: ReplicaTrainer) -> Any:
        if self.number == 2:
            raise RuntimeError("out of memory")
        return real(self)

    monkeypatch.setattr(products, "has_onednn", lambda: True)
    wanted = ("--set", "engine.products=onednn")
    with monkeypatch.context() as patch:
        patch.setattr(ReplicaTrainer, "epoch", epoch)
        assert run_tiny(tmp_path, *WORDS, *wanted, epochs=4).status == 1

    monkeypatch.setattr(products, "has_onednn", lambda: there)
    ended = run_tiny(tmp_path, *WORDS, epochs=4)
    assert ended.status == 0, ended.out
    said = "begun with products by onednn, which are not here: goes on by blas"
    assert (said in " ".join(ended.out.split())) == (not there)  # lines end where the window does
    (row,) = results(tmp_path)
    assert row["products"] == ("onednn" if there else "blas")
    with (tmp_path / "cells" / row["cell"] / "history.csv").open() as stream:
        assert len([*csv.DictReader(stream)]) == 4
