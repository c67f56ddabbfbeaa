"""What the benchmark was to reach, judged from made-up results."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarked import load

TARGETS = load("targets")


def results_with(sections: dict[str, Any], gpu: str | None = None, hidden: int = 300) -> Any:
    sizes = {"batch_size": 100, "hidden": hidden, "latent_dim": 40}
    environment = {"gpu": gpu, "bfloat16_products": False}
    return {"environment": environment, "settings": sizes, "sections": sections}


def spread(median: float) -> dict[str, float]:
    return {"low": median, "median": median, "high": median}


@pytest.mark.parametrize(("speed", "met"), [(1.59, False), (1.6, True), (None, None)])
def test_a_target_is_met_by_the_median(speed: float | None, met: bool | None) -> None:
    fast = {} if speed is None else {"bench, eager": {"pythae": spread(speed)}}
    peers = {"chosen_mode": "eager", "times_as_fast": {"VAE": fast}}
    target = TARGETS.targets(results_with({"peers": peers}))[0]
    assert target.met is met


def test_the_slowest_system_is_judged_without_the_excepted() -> None:
    times = {"VP": 9.0, "HVP": 8.0, "CP": 1.9, "MG": 1.2}
    rows = [{"system": s, "components": 150, "to_vae": spread(t)} for s, t in times.items()]
    rows.append({"system": "MG", "components": 500, "to_vae": spread(5.0)})
    sections = {"systems": {"rows": rows, "cp_to_indq": {"500": spread(1.4)}}}
    slowest, cp = TARGETS.targets(results_with(sections))[-2:]
    assert (slowest.found["median"], slowest.met) == (1.9, True)
    assert cp.met is False


def test_a_gpu_has_targets_of_its_own() -> None:
    rows = [{"replicas": n, "aggregate_rate": spread(r)} for n, r in ((1, 1.0), (32, 9.0))]
    sections = {"replicas": {"cells": {"VAE": rows}}}
    speed, replicas = TARGETS.targets(results_with(sections, gpu="a GPU"))
    assert (speed.wanted, speed.met) == (15.0, None)
    assert (replicas.wanted, replicas.met) == (10.0, False)


def test_other_sizes_have_no_targets() -> None:
    assert TARGETS.targets(results_with({}, hidden=64)) == []


def test_the_mode_that_the_engine_chooses_is_judged_if_it_was_measured() -> None:
    peers = {"chosen_mode": "compile", "times_as_fast": {"VAE": {"bench, eager": {}}}}
    assert TARGETS.judged({"peers": peers})[0] == "eager"
    peers["times_as_fast"]["VAE"]["bench, compile"] = {}
    assert TARGETS.judged({"peers": peers})[0] == "compile"
