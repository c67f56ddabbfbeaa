"""By which protocol a store's cells were trained, and which of them the scorecard judges."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench.report import protocols
from bench.report.scorecard import CLAIMS, Verdict, judge
from bench.store import Store
from claimed import FALSE, OPEN, TRUE, WORLDS, protocol, put_bounds, put_cell
from fabricated import empty, put
from runs import bench

MNIST = ("mnist", 10)


def verdict(store: Store, key: str) -> Verdict:
    return next(found for found in judge(store, store.rows()) if found.key == key)


def test_cells_that_were_trained_for_less_judge_only_what_was_run(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"CP": 101.0, "INDq": 100.0}, MNIST, seeds=1)
    for model in ("CP", "INDq"):
        path = store.folder(f"{model}-mnist-10-0") / "config.json"
        config = json.loads(path.read_text())
        config["training"] |= {"epochs": 20, "checkpoint_seconds": 5.0}
        path.write_text(json.dumps(config))
    found = verdict(store, "cp-beats-indq")
    assert (found.verdict, found.here) == (OPEN, FALSE)
    assert "protocol: mnist K=10 (epochs 20 instead of 2000)" in found.detail
    for model in ("CP", "INDq"):
        (store.folder(f"{model}-mnist-10-0") / "config.json").unlink()
    assert "not on disk" in verdict(store, "cp-beats-indq").detail


@pytest.mark.parametrize(
    ("part", "key", "value", "said"),
    [
        ("training", "initialisation", "he", "initialisation he instead of glorot"),
        ("training", "normalise_gradients", True, "normalise_gradients True instead of False"),
        ("training", "precision", "bfloat16", "precision bfloat16 instead of float32"),
        ("training", "temperature_floor", 0.2, "temperature_floor 0.2 instead of 0.5"),
        ("model", "latent_dim", 20, "latent_dim 20 instead of 40"),
        ("prior_options", "learn", False, "priors.conditional.learn False instead of True"),
        ("posterior_options", "logits", "elu", "posteriors.joint.logits elu instead of linear"),
    ],
)
def test_every_option_is_part_of_the_protocol(
    tmp_path: Path, part: str, key: str, value: Any, said: str
) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"CP": 101.0, "INDq": 100.0}, MNIST)
    assert verdict(store, "cp-beats-indq").verdict == FALSE
    for model in ("CP", "INDq"):
        for seed in range(3):
            path = store.folder(f"{model}-mnist-10-{seed}") / "config.json"
            config = json.loads(path.read_text())
            if part != "posterior_options" or model == "CP":
                config[part][key] = value
            path.write_text(json.dumps(config))
    found = verdict(store, "cp-beats-indq")
    assert (found.verdict, found.here) == (OPEN, FALSE)
    assert said in found.detail


def test_an_option_with_its_default_is_no_difference(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"CP": 101.0, "INDq": 100.0}, MNIST)
    for seed in range(3):
        path = store.folder(f"CP-mnist-10-{seed}") / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()),
                                    "prior_options": {"learn": True}}))  # fmt: skip
    assert verdict(store, "cp-beats-indq").verdict == FALSE


def test_the_users_own_file_is_not_the_papers_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bench.toml").write_text("[training]\ntemperature_floor = 0.1\n")
    monkeypatch.chdir(tmp_path)
    store = empty(tmp_path)
    put_bounds(store, {"CP": 101.0, "INDq": 100.0}, MNIST)
    for cell in store.rows():
        path = store.folder(cell["cell"]) / "config.json"
        config = json.loads(path.read_text())
        config["training"]["temperature_floor"] = 0.1
        path.write_text(json.dumps(config))
    protocols._config.cache_clear()
    protocols._of_preset.cache_clear()
    found = verdict(store, "cp-beats-indq")
    assert (found.verdict, "temperature_floor 0.1" in found.detail) == (OPEN, True)


def test_one_seed_speaks_of_its_models_and_not_of_systems(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"CP": 101.0, "INDq": 100.0}, MNIST, seeds=1)
    found = verdict(store, "cp-beats-indq")
    assert (found.verdict, found.here) == (OPEN, FALSE)
    assert "About these trained models alone: mnist K=10 (one training seed" in found.detail
    assert "at least two" in found.detail
    put_bounds(store, {"CP": 101.0, "INDq": 100.0}, MNIST, seeds=2)
    found = verdict(store, "cp-beats-indq")
    assert (found.verdict, "two training seeds on a side" in found.detail) == (FALSE, True)


@pytest.mark.parametrize("key", [claim.key for claim in CLAIMS])
def test_no_claim_has_a_verdict_from_one_seed(tmp_path: Path, key: str) -> None:
    for outcome in (TRUE, FALSE):
        store = empty(tmp_path / outcome)
        WORLDS[key](store, outcome)
        for cell in store.rows():
            if cell["seed"]:
                shutil.rmtree(store.folder(cell["cell"]))
        assert verdict(store, key).verdict == OPEN


def test_the_papers_protocol_is_judged_where_there_are_several(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"CP": 101.0, "INDq": 100.0}, MNIST)
    put_bounds(store, {"CP": 99.0, "INDq": 100.0}, MNIST, preset="quick")
    put_bounds(store, {"CP": 99.0, "INDq": 100.0}, MNIST, preset="released")
    found = verdict(store, "cp-beats-indq")
    assert (found.verdict, found.here) == (FALSE, FALSE)
    assert "Not judged: preset quick, preset released of the same models" in found.detail
    ended = bench("report", "--scorecard", "--out", store.out)
    said = " ".join(ended.out.split())
    assert "verdicts are on 6 cells of the paper's protocol; also here: 6 of preset" in said
    for words, here in ((["quick"], TRUE), (["quickCP,quickINDq"], TRUE), (["paper"], FALSE)):
        chosen = bench("report", "--scorecard", "--out", store.out, "--format", "json",
                       "--settings", *words)  # fmt: skip
        (first, *_) = json.loads(chosen.out)
        assert (first["here"], "also here" in chosen.err) == (here, False), words
        assert ("here is on 6 of preset quick" in chosen.err) == (here == TRUE)


def test_the_released_code_is_judged_apart_and_under_its_name(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"CP": 101.0, "INDq": 100.0}, MNIST, preset="released")
    found = verdict(store, "cp-beats-indq")
    assert (found.verdict, found.here) == (FALSE, FALSE)
    said = "Not the paper's protocol: mnist K=10 (preset released: the released code's choices)."
    assert said in found.detail
    assert "of preset released" in bench("report", "--scorecard", "--out", store.out).out
    put_bounds(store, {"CP": 99.0, "INDq": 100.0}, ("mnist", 150))  # now the paper's is judged
    found = verdict(store, "cp-beats-indq")
    assert (found.verdict, found.here) == (OPEN, TRUE)
    assert "mnist K=10 (CP only of preset released: --settings released judges it" in found.detail


def test_the_stated_sizes_are_judged_before_smaller_ones(tmp_path: Path) -> None:
    """Of section 6.1, for which there are two presets."""
    store, place = empty(tmp_path), ("gaussians", 2)
    smaller = protocol("gaussians", "CP", "synthetic")
    for seed in range(5):
        put_cell(store, "CP", place, seed, recovered=True, js=0.01, config=smaller)
    found = verdict(store, "cp-recovers-2")
    assert found.verdict == TRUE
    assert "Not the paper's protocol: gaussians K=2 (preset synthetic: smaller" in found.detail
    said = " ".join(bench("report", "--scorecard", "--out", store.out).out.split())
    assert "verdicts are on 5 cells of preset synthetic: smaller networks" in said
    for seed in range(5):
        stated = {"cell": f"stated-{seed}", "setting": "stated"}
        put_cell(store, "CP", place, seed, recovered=False, js=0.01, **stated)
    found = verdict(store, "cp-recovers-2")
    assert found.verdict == FALSE
    assert "Not the paper's" not in found.detail
    assert "Not judged: preset synthetic of the same models" in found.detail
    said = " ".join(bench("report", "--scorecard", "--out", store.out).out.split())
    assert "verdicts are on 5 cells of the paper's protocol; 5 cells of preset synthetic" in said


def test_cells_of_no_preset_are_counted_together(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"CP": 101.0, "INDq": 100.0, "VAE": 99.0}, MNIST, seeds=1)
    for cell in store.rows():
        path = store.folder(cell["cell"]) / "config.json"
        config = json.loads(path.read_text())
        path.write_text(json.dumps({**config, "model": {"latent_dim": 3}}))
    said = " ".join(bench("report", "--scorecard", "--out", store.out).out.split())
    assert "no cell is of the paper's protocol: here is on 3 of other settings." in said


def test_settings_that_no_cell_has_are_a_mistake(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"CP": 101.0, "INDq": 100.0}, MNIST)
    for word in ("released", "zz"):
        ended = bench("report", "--scorecard", "--out", store.out, "--settings", word)
        assert ended.status == 2
        assert "a preset (paper)" in ended.err
        assert f"--settings {word}" in ended.err


def test_a_tuned_learning_rate_is_no_difference(tmp_path: Path) -> None:
    store = empty(tmp_path)
    put_bounds(store, {"CP": 99.0, "INDq": 100.0}, MNIST, seeds=1)
    for model, rate in (("CP", 0.1), ("INDq", 0.2)):
        name = f"{model}-mnist-10-0"
        found = store.row(name) or {}
        tuned = {"training.learning_rate": rate}
        put(store, {**found, "tuned": tuned})
        config = {"training": {"learning_rate": rate, "checkpoint_seconds": rate}}
        (store.folder(name) / "config.json").write_text(json.dumps(config))
    assert verdict(store, "cp-beats-indq").here == TRUE
