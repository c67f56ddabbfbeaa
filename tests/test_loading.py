"""A trained model comes back from its cell's folder alone, and from MLflow."""

from __future__ import annotations

import json
import re
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.bounds import elbo_enumerated
from bench.data.loading import load_dataset
from bench.errors import BenchError, UsageError
from bench.loading import load_model
from bench.registry import Registry
from bench.tracking import flavour
from bench.trained import TrainedModel
from runs import results, run_tiny

PLUGIN = '''
import torch
from torch import nn
from bench.api import DiagNormal, Joint, Mixture, Posterior, Prior, Spec

class Exemplars(Prior):
    """A mixture of the posterior at training inputs."""

    mixture = True

    def __init__(self, spec: Spec, *, extra: int = 0) -> None:
        super().__init__(spec)
        self.register_buffer("inputs", spec.examples(spec.components + extra))

    def forward(self, posterior: Posterior) -> Joint:
        return Joint(z=Mixture(posterior(self.inputs).marginal("z")))
'''


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells of every shape: no category, a category, components, two layers, a plugin on data."""
    folder = tmp_path_factory.mktemp("loading")
    plugin = folder / "exemplars.py"
    plugin.write_text(PLUGIN)
    priors = "standard,conditional,mog,hierarchical_vamp,exemplars"
    pairs = ("--priors", priors, "--posteriors", "continuous,joint", "--datasets", "digits")
    options = ("--set", "priors.exemplars.extra=2", "--plugin", plugin, "--components", 3)
    ended = run_tiny(folder / "runs", *pairs, *options, epochs=1)
    assert ended.status == 0, ended.out
    plugin.unlink()  # the cells keep their own
    return folder / "runs"


def cell(grid: Path, prior: str, posterior: str) -> Path:
    (row,) = (
        row
        for row in results(grid)
        if (row["prior"], row["posterior"], row["status"]) == (prior, posterior, "ok")
    )
    return grid / "cells" / row["cell"]


def digits(count: int) -> Any:
    return np.random.default_rng(0).integers(0, 2, (count, 8, 8))


PAIRS = [
    ("standard", "continuous", None),
    ("mog", "continuous", 3),
    ("hierarchical_vamp", "continuous", 3),
    ("exemplars", "continuous", 5),
    ("conditional", "joint", 3),
    ("standard", "joint", 3),
    ("hierarchical_vamp", "joint", 3),
]


@pytest.mark.parametrize(("prior", "posterior", "count"), PAIRS)
def test_it_encodes_decodes_and_samples(
    grid: Path, prior: str, posterior: str, count: int | None
) -> None:
    model = TrainedModel.load(cell(grid, prior, posterior))
    assert model.categories == count
    found = model.encode(digits(5))
    latents = ("z2", "z1") if "hierarchical" in prior else ("z",)
    assert list(found) == [*(["c"] if posterior == "joint" else []), *latents]
    assert all(np.isfinite(values).all() for values in found.values())
    if posterior == "joint":
        assert np.allclose(found["c"].sum(1), 1)
        rest = {name: found[name] for name in latents}
        assert model.decode(rest, category=1).shape == (5, 8, 8)
    pixels = model.decode(found)
    assert pixels.shape == (5, 8, 8)
    assert ((pixels >= 0) & (pixels <= 1)).all()
    same = [model.sample(4, seed=1) for _ in range(2)]
    assert np.array_equal(*same)
    assert not np.array_equal(same[0], model.sample(4, seed=2))
    if count is not None:
        assert model.sample(2, category=count - 1).shape == (2, 8, 8)


def test_its_bound_is_that_of_the_cell(grid: Path) -> None:
    folder = cell(grid, "conditional", "joint")
    (row,) = (row for row in results(grid) if row["cell"] == folder.name)
    data = load_dataset(Registry().load("dataset", "digits")(), ())
    x = torch.from_numpy(data.test_x).float()
    terms = elbo_enumerated(load_model(folder), x, torch.Generator().manual_seed(0))
    assert -terms.elbo().mean().item() == pytest.approx(float(row["nelbo"]), rel=0.01)


def test_a_model_needs_nothing_but_its_files(grid: Path, tmp_path: Path) -> None:
    folder = cell(grid, "exemplars", "continuous")
    for name in ("config.json", "model.pt"):
        shutil.copy(folder / name, tmp_path)
    shutil.copytree(folder / "plugins", tmp_path / "plugins")
    here, there = TrainedModel.load(folder), TrainedModel.load(tmp_path)
    assert np.array_equal(here.sample(3, seed=0), there.sample(3, seed=0))
    inputs = torch.load(folder / "model.pt", weights_only=True)["prior.inputs"]
    assert torch.equal(there.model.prior.inputs, inputs)  # the training data, not the noise


def test_mlflow_gives_it_back(grid: Path, tmp_path: Path) -> None:
    import mlflow

    folder = cell(grid, "exemplars", "continuous")
    flavour.write(folder, tmp_path / "model")
    assert not list(tmp_path.rglob("*.pkl"))
    loaded = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    model = TrainedModel.load(folder)
    assert np.array_equal(loaded.predict(digits(2))["z"], model.encode(digits(2))["z"])
    raw = loaded.get_raw_model()
    assert np.array_equal(raw.sample(2, category=4, seed=0), model.sample(2, category=4, seed=0))


@pytest.mark.parametrize(
    ("prior", "posterior"), [("conditional", "joint"), ("exemplars", "continuous")]
)
def test_a_model_from_mlflow_samples_from_each_category(
    grid: Path, tmp_path: Path, prior: str, posterior: str
) -> None:
    import mlflow

    flavour.write(cell(grid, prior, posterior), tmp_path / "model")
    model = mlflow.pyfunc.load_model(str(tmp_path / "model")).get_raw_model()
    count = model.categories
    drawn = [model.sample(5, category=k, seed=3) for k in range(count)]
    for k, images in enumerate(drawn):
        assert images.shape == (5, 8, 8)
        assert ((images >= 0) & (images <= 1)).all()
        assert np.array_equal(images, model.sample(5, category=k, seed=3))
        assert not np.array_equal(images, model.sample(5, category=k, seed=4))
    for one, other in combinations(drawn, 2):
        assert not np.array_equal(one, other)
    assert np.array_equal(drawn[1], model.sample(5, category=np.int64(1), seed=3))
    for wrong in (-1, count, "1", 1.5, True):
        said = rf"expected a category from 0 to {count - 1}, found {wrong!r}"
        with pytest.raises(UsageError, match=re.escape(said)):
            model.sample(5, category=wrong)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.encode(np.zeros((2, 5))), r"\(N, 64\) or \(N, 8, 8\), found \(2, 5\)"),
        (lambda m: m.encode(np.zeros(64)), r"found \(64,\)"),
        (lambda m: m.decode(np.zeros((2, 2))), "say which with category=K"),
        (lambda m: m.decode(np.zeros((2, 3)), category=0), r"z of shape \(N, 2\), found \(2, 3\)"),
        (lambda m: m.decode({"c": np.eye(3)}), "found no z"),
        (lambda m: m.sample(1, category=3), "a category from 0 to 2, found 3"),
    ],
)
def test_what_does_not_fit_is_said(grid: Path, call: Any, message: str) -> None:
    model = TrainedModel.load(cell(grid, "conditional", "joint"))
    with pytest.raises(UsageError, match=message):
        call(model)


def test_a_model_without_components_has_no_categories(grid: Path) -> None:
    with pytest.raises(UsageError, match="neither categories nor components"):
        TrainedModel.load(cell(grid, "standard", "continuous")).sample(1, category=0)


def test_foreign_and_damaged_files_are_refused(grid: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="expected the folder of a trained cell"):
        load_model(tmp_path)
    folder = cell(grid, "conditional", "joint")
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(BenchError, match=r"there is no .*model\.pt"):
        load_model(tmp_path)
    (tmp_path / "model.pt").write_bytes(b"not a model")
    with pytest.raises(BenchError, match="is not a model of conditional x joint"):
        load_model(tmp_path)
    torch.save({"weights": Path("code")}, tmp_path / "model.pt")  # a pickled object
    with pytest.raises(BenchError, match="is not a model of conditional x joint"):
        load_model(tmp_path)
    torch.save({"decoder.out.bias": torch.zeros(1)}, tmp_path / "model.pt")
    with pytest.raises(BenchError, match="is not a model of conditional x joint"):
        load_model(tmp_path)
    described = json.loads((folder / "config.json").read_text())
    del described["recipe"]
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(BenchError, match="earlier version of bench"):
        load_model(tmp_path)
