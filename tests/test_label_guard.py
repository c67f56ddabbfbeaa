"""Labels reach the evaluation only: no parameter, no tuned value and no bound depends on them."""

from __future__ import annotations

import csv
import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bench.searching
from bench.training import Pixels
from bench.tuning import TuningResult, search
from bench.workshop import Workshop
from labelled import write_dataset
from runs import results, run_tiny

TRIALS = 5  # the fifth is drawn from what the first four have found
CELLS = [("CP", "shuffled"), ("CP", "exchanged"), ("CP", "constant"), ("VP", "shuffled")]
each_cell = pytest.mark.parametrize(("model", "labels"), CELLS)


@dataclass(frozen=True)
class Trained:
    """All that a run of one cell has chosen, learned and measured."""

    row: dict[str, str]
    searches: list[TuningResult]
    weights: dict[str, torch.Tensor]
    history: list[dict[str, str]]
    examples: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("labels"))


@functools.cache
def run(plugin: Path, model: str, labels: str, trials: int = TRIALS) -> Trained:
    """One cell, tuned, trained and evaluated with those labels."""
    out, searches = plugin.parent / f"{model}-{labels}-{trials}", list[TuningResult]()

    def remembered(*arguments: Any, **options: Any) -> TuningResult:
        searches.append(search(*arguments, **options))
        return searches[-1]

    words = ["--plugin", plugin, "--datasets", "mine", "--models", model]
    words += ["--trials", trials, "--set", f"datasets.mine.labels={labels}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.searching, "search", remembered)
        ended = run_tiny(out, *words)
    assert ended.status == 0, ended.out + ended.err
    (row,) = results(out)
    cell = out / "cells" / row["cell"]
    with (cell / "history.csv").open(newline="") as stream:
        history = [dict(line, seconds="") for line in csv.DictReader(stream)]
    with np.load(cell / "examples.npz") as arrays:
        examples = dict(arrays)
    weights = torch.load(cell / "model.pt", weights_only=True)
    return Trained(row, searches, weights, history, examples)


def check_same_model(first: Trained, second: Trained) -> None:
    assert first.searches == second.searches
    assert first.history == second.history
    assert first.weights.keys() == second.weights.keys()
    for name, value in first.weights.items():
        assert torch.equal(value, second.weights[name]), name


@each_cell
def test_parameters_and_tuning_are_equal_bit_for_bit(plugin: Path, model: str, labels: str) -> None:
    first, second = run(plugin, model, "plain"), run(plugin, model, labels)
    assert first.row["cell"] != second.row["cell"]
    assert len(first.searches) == 1
    assert len(first.searches[0].trials) == TRIALS
    assert all(trial.state == "complete" for trial in first.searches[0].trials)
    check_same_model(first, second)


@each_cell
def test_bounds_are_equal_for_every_example(plugin: Path, model: str, labels: str) -> None:
    first, second = run(plugin, model, "plain"), run(plugin, model, labels)
    assert {"nelbo", "nll"} <= first.examples.keys() == second.examples.keys()
    for name, values in first.examples.items():
        np.testing.assert_array_equal(values, second.examples[name], err_msg=name)
    for column in ("nelbo", "nll", "kl_z", "entropy", "category_information", "components"):
        assert first.row[column] == second.row[column], column


def test_what_is_measured_against_labels_moves(plugin: Path) -> None:
    """Else these tests could not fail."""
    first, second = run(plugin, "CP", "plain"), run(plugin, "CP", "shuffled")
    for column in ("purity", "nmi", "dataset_fingerprint"):
        assert first.row[column] != second.row[column], column


def test_a_label_that_orders_the_batches_is_found(
    plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Workshop.pixels

    def sorted_by_label(self: Workshop, name: str) -> Pixels:
        order = np.argsort(self.data(name).labels.train, kind="stable")
        pixels = right(self, name)
        return replace(pixels, train=pixels.train[torch.from_numpy(order)])

    monkeypatch.setattr(Workshop, "pixels", sorted_by_label)
    first, second = (run.__wrapped__(plugin, "CP", name, 1) for name in ("plain", "shuffled"))
    with pytest.raises(AssertionError):
        check_same_model(first, second)
