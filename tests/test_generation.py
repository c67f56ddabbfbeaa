"""What a model generates, measured: planted models get the scores that they must."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data.loading import Labels
from bench.evaluation import generation
from bench.evaluation.classifier import trained_classifier
from bench.evaluation.generation import measure_generation
from bench.evaluation.section import Section
from bench.store import COLUMNS
from generated import COUNT, DATA, MEANS, assign, bump_model, measure, pictures, settings
from pairs import build, each_pair, spec_of


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Nothing here draws from torch's global generator."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifiers of this module's datasets, trained once."""
    return tmp_path_factory.mktemp("classifiers")


@pytest.mark.parametrize("categories", [True, False])
def test_a_model_of_the_data_has_every_good_score(categories: bool, cache: Path) -> None:
    metrics = measure(bump_model(categories=categories), cache).metrics
    assert metrics["classifier_accuracy"] == 1.0
    for name in ("purity", "purity_corrected", "majority", "ceiling", "self_consistency"):
        assert metrics[f"generation_{name}"] == pytest.approx(1.0, abs=1e-3)
    assert metrics["generation_information"] == pytest.approx(math.log(3), abs=0.01)
    assert metrics["generation_labels"] == pytest.approx(3.0, abs=1e-3)
    assert metrics["generation_coverage"] == 3
    assert metrics["generation_diversity"] == pytest.approx(1.0, abs=0.15)
    assert metrics["generation_consistency"] == pytest.approx(0.0, abs=1e-3)
    assert metrics["label_generation"] == pytest.approx(1.0, abs=1e-3)


def test_sampling_that_ignores_the_category_is_found_out(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    """The planted fault: draws of category k come from the whole prior."""
    monkeypatch.setattr(generation, "given_component", lambda model, prior, index: prior)
    found = measure(bump_model(), cache, generation_samples=400)
    shown = found.details["shown"]["agreement"]["all"]
    assert abs(shown["corrected"]) < 0.02
    assert shown["majority"] == pytest.approx(shown["majority_chance"], abs=0.04)
    assert abs(shown["information"]) < 0.02
    assert found.metrics["generation_coverage"] == 0
    assert found.metrics["label_generation"] == pytest.approx(
        1 / 3, abs=5 * found.metrics["label_generation_se"] + 0.01
    )
    assert found.metrics["generation_self_consistency"] == pytest.approx(1 / 3, abs=0.08)
    assert found.metrics["generation_diversity"] > 3.0
    # real data are still put where they belong
    assert found.metrics["generation_ceiling"] == pytest.approx(1.0, abs=1e-3)


def test_one_prototype_a_category_is_pure_and_not_diverse(cache: Path) -> None:
    metrics = measure(bump_model(std=1e-4, noise=1e-3), cache).metrics
    assert metrics["generation_purity_corrected"] == pytest.approx(1.0)
    assert metrics["generation_diversity"] < 0.05


def test_a_model_of_one_label_has_nothing_to_correct(cache: Path) -> None:
    metrics = measure(bump_model(means=np.full(3, 4.0)), cache).metrics
    assert metrics["generation_purity"] == 1.0
    assert metrics["generation_purity_corrected"] is None
    assert metrics["generation_labels"] == 1.0
    assert metrics["generation_coverage"] == 1
    assert metrics["label_generation"] == pytest.approx(1 / 3)


def test_swapped_categories_are_pure_and_inconsistent(cache: Path) -> None:
    """Each category generates one label, but not that of the data which are put in it."""
    metrics = measure(bump_model(means=np.roll(MEANS, 1)), cache).metrics
    assert metrics["generation_purity_corrected"] == pytest.approx(1.0)
    assert metrics["generation_consistency"] == pytest.approx(math.log(2), abs=0.01)
    assert metrics["generation_self_consistency"] == pytest.approx(0.0, abs=0.01)
    assert metrics["label_generation"] == pytest.approx(0.0, abs=0.01)


def test_the_ceiling_is_of_what_the_classifier_sees_in_the_real_data(cache: Path) -> None:
    """Other labels of the test set change its accuracy, not how its categories agree."""
    plain = measure(bump_model(), cache)
    y = DATA.labels
    shuffled = np.random.default_rng(2).permutation(y.test)
    moved = replace(DATA, labels=Labels(y.train, y.validation, shuffled))
    other = measure(bump_model(), cache, moved)
    assert other.metrics["classifier_accuracy"] < 0.5
    assert other.metrics["generation_ceiling"] == plain.metrics["generation_ceiling"] > 0.99
    assert other.metrics["generation_consistency"] > 0.2


def test_the_ceiling_of_assignments_by_chance_is_nothing(cache: Path) -> None:
    random = np.random.default_rng(1)
    for a in (random.dirichlet(np.ones(3), COUNT), np.eye(3)[random.integers(0, 3, COUNT)]):
        ceiling = measure(bump_model(), cache, assignments=a).metrics["generation_ceiling"]
        assert abs(ceiling) < 0.03
    same = np.full((COUNT, 3), 1 / 3)
    found = measure(bump_model(), cache, assignments=same).metrics["generation_ceiling"]
    assert found == pytest.approx(0.0, abs=1e-9)  # without bias: not 1/N


def test_grey_levels_are_what_probabilities_are_compared_with(cache: Path) -> None:
    data, model = pictures(), build("mog", "continuous", dtype=torch.float32)
    assert "grey_accuracy" in measure(model, cache, data).details["classifier"]
    a = assign(model, data)
    grey = data.train_x  # the made data have one split
    grey.flags.writeable = False
    with torch.no_grad():
        found = measure_generation(
            model, data, model.joint_prior(), settings(), a, a.mean(0), cache, grey
        )
    plain = measure(model, cache, data)
    assert plain.details["classifier"]["grey_accuracy"] is None
    judge = trained_classifier(data, cache, torch.device("cpu"))
    right = judge.judge(torch.from_numpy(grey / np.float32(255))).labels == data.labels.test
    assert found.details["classifier"]["grey_accuracy"] == right.mean()
    # the column is of the form that is judged
    assert found.metrics["classifier_accuracy"] == right.mean()
    drawn = found.metrics["classifier_accuracy_drawn"]
    assert right.mean() > drawn
    assert plain.metrics["classifier_accuracy"] == drawn
    assert plain.metrics["classifier_accuracy_drawn"] == drawn
    assert found.details["drawn"] == plain.details["drawn"]
    # grey levels lie closer together than binarized ones
    assert found.metrics["generation_diversity"] > plain.metrics["generation_diversity"]


# --- every pair, and the files


@each_pair
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_every_pair_is_measured(prior: str, posterior: str, likelihood: str, cache: Path) -> None:
    model = build(prior, posterior, noise=0.5, dtype=torch.float32, likelihood=likelihood)
    data = pictures(likelihood=likelihood)
    found = measure(model, cache, data, generation_samples=20)
    assert set(found.metrics) <= set(COLUMNS)
    json.dumps(dict(found.details), allow_nan=False)
    for value in found.metrics.values():
        assert value is None or type(value) in (int, float)
    assert not found.files  # data in one dimension have no pictures
    if assign(model, data) is None:
        assert set(found.metrics) == {
            "classifier_accuracy", "classifier_accuracy_drawn", "marginal_labels",
            "marginal_diversity",
        }  # fmt: skip
        return
    for name in ("purity", "purity_se", "majority", "majority_chance", "labels", "coverage"):
        assert found.metrics[f"generation_{name}"] is not None
    assert 0.0 < found.metrics["label_generation"] < 1.0
    assert len(found.details["categories"]) == 3
    assert ("drawn" in found.details) == (likelihood == "bernoulli")
    assert found.details["label_generation"]["baseline"] == pytest.approx(1 / 3)
    assert found.metrics["label_generation_chance"] == pytest.approx(1 / 3)


def test_labels_are_generated_through_the_categories_of_the_given_owners(cache: Path) -> None:
    data, model = DATA, bump_model()
    a = assign(model, data)
    owners = np.roll(a.T @ np.eye(3)[data.labels.test], 1, axis=0)  # every label's in the next
    options = (model, data, model.joint_prior(), settings(), a, a.mean(0), cache, None)
    with torch.no_grad():
        usual, moved = measure_generation(*options), measure_generation(*options, owners)
    assert moved.metrics["label_generation"] < usual.metrics["label_generation"] - 0.3
    same = [name for name in usual.metrics if not name.startswith("label_generation")]
    assert all(usual.metrics[name] == moved.metrics[name] for name in same)


def test_no_samples_measure_nothing(cache: Path) -> None:
    assert measure(bump_model(), cache, generation_samples=0) == Section()


def test_a_single_sample_is_no_purity(cache: Path) -> None:
    metrics = measure(bump_model(), cache, generation_samples=1).metrics
    assert metrics["generation_purity"] is metrics["generation_diversity"] is None
    assert metrics["label_generation"] == pytest.approx(1.0, abs=1e-3)


def test_the_same_numbers_again_and_others_for_another_seed(cache: Path) -> None:
    model = build("conditional", "joint", noise=0.5, dtype=torch.float32)
    first, second, other = (measure(model, cache, pictures(), seed=s) for s in (5, 5, 6))
    assert first == second
    assert first.metrics["generation_purity"] != other.metrics["generation_purity"]


@pytest.mark.parametrize(
    ("assignments", "weights"),
    [
        (np.full((COUNT, 2), 0.5), np.full(2, 0.5)),
        (np.full((COUNT - 1, 3), 1 / 3), np.full(3, 1 / 3)),
        (np.full((COUNT, 3), 1 / 3), np.full(2, 0.5)),
        (np.full((COUNT, 3), 1 / 3), None),
        (np.full((COUNT, 3), 0.5), np.full(3, 1 / 3)),
    ],
)
def test_assignments_that_do_not_fit_are_refused(
    assignments: np.ndarray, weights: np.ndarray | None, cache: Path
) -> None:
    model = bump_model()
    with pytest.raises(ValueError, match="assignments"):
        measure_generation(
            model, DATA, model.joint_prior(), settings(), assignments, weights, cache
        )


def test_a_model_without_components_takes_no_assignments(cache: Path) -> None:
    data, model = pictures(), build("standard", "continuous", dtype=torch.float32)
    with pytest.raises(ValueError, match="generates from no categories and there are 90 test"):
        measure(model, cache, data, assignments=np.ones((90, 1)))


def size_of(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        assert picture.mode == "L"
        return picture.size


@pytest.mark.parametrize("event_shape", [(29, 15), (1, 29, 15)])
def test_pictures_of_pictures(event_shape: tuple[int, ...], cache: Path) -> None:
    spec = replace(spec_of("conditional", "joint"), event_shape=event_shape)
    model = build("conditional", "joint", dtype=torch.float32, spec=spec)
    found = measure(model, cache, pictures(event_shape))
    assert set(found.files) == {"samples.png", "categories.png", "labels.png"}
    assert size_of(found.files["samples.png"]) == (10 * 16 + 13, 10 * 30 + 13)
    assert size_of(found.files["categories.png"]) == (10 * 16 + 13, 3 * 30 + 13)
    assert found.details["pictures"]["labels.png"].keys() == {"few", "some", "many"}
    rows = found.details["pictures"]["categories.png"]
    used = assign(model, pictures(event_shape)).mean(0)
    assert rows == sorted(rows, key=lambda k: -used[k])
