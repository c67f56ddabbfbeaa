"""Both sides of a cell whose categories are known by construction: encoder and prior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn import metrics as scores

from bench.distributions import Mixture
from bench.evaluation.categories import measure_categories
from bench.evaluation.purity import purity
from bench.joint import Joint, OneHotCategorical
from maths.cells import Affine, FixedPrior, Table, assemble, normal, tensor
from planted import CONFIG, FAR, NEAR, SPEC, Y, certain, conditional, measure, toy, two_layers


def test_disagreement_by_hand() -> None:
    """pi is .9 on the label, z always lies in the label's component, or in the next one."""
    pi = certain(Y, 3)
    same, _ = measure(conditional(pi, Y, SPEC), toy(Y))
    assert same.metrics["disagreement"] == pytest.approx(0.1, abs=1e-9)
    assert same.details["disagreement_noise"] == pytest.approx(0.0, abs=1e-9)
    apart, _ = measure(conditional(pi, (Y + 1) % 3, SPEC), toy(Y))
    assert apart.metrics["disagreement"] == pytest.approx((0.9 + 0.95 + 0.05) / 2, abs=1e-9)


def test_disagreement_is_noise_where_z_follows_c() -> None:
    """r is pi then, so that what is measured is the noise of r, which is said."""
    found, _ = measure(conditional(certain(Y, 3), None, SPEC), toy(Y), responsibility_samples=400)
    noise = found.details["disagreement_noise"]
    assert 0.0 < noise < 0.02
    assert found.metrics["disagreement"] == pytest.approx(noise, rel=0.25)


def test_both_sides_are_measured_apart() -> None:
    """The encoder's categories say nothing, the components are the labels."""
    found, rows = measure(conditional(np.full((120, 3), 1 / 3), Y, SPEC), toy(Y))
    assert found.metrics["purity"] == pytest.approx(1 / 3)
    assert found.metrics["collapsed"] is True
    assert found.metrics["prior_purity"] == pytest.approx(1.0)
    assert found.metrics["prior_purity_corrected"] == pytest.approx(1.0)
    assert found.metrics["prior_ari"] == pytest.approx(1.0)
    assert found.metrics["disagreement"] == pytest.approx(2 / 3)
    assert [row["prior_purity"] for row in rows] == pytest.approx([1.0] * 3)
    assert found.details["prior"]["accuracy_matched"] == 1.0
    information = found.details["prior"]["category_information"]
    assert found.metrics["prior_category_information"] == information
    assert information == pytest.approx(found.metrics["prior_entropy"])


def test_a_mixture_over_z_is_another_variable_than_c() -> None:
    """As many components as categories, and both sides informative: still no disagreement."""
    prior = FixedPrior(SPEC, Joint(z=Mixture(normal(FAR, NEAR))))
    posterior = Table(SPEC, certain(Y, 3), FAR[torch.from_numpy(Y)], torch.full((120, 2), 0.5))
    model = assemble(SPEC, prior, posterior, Affine({"z": [[0.0, 0.0]]}, [0.0], std=1.0))
    found, _ = measure(model, toy(Y))
    assert found.metrics["prior_purity"] == pytest.approx(1.0)
    assert found.metrics["disagreement"] is None


def test_permuted_labels_leave_only_chance() -> None:
    model = conditional(certain(Y, 3), Y, SPEC)
    shuffled = np.random.default_rng(1).permutation(Y)
    straight, _ = measure(model, toy(Y))
    found, _ = measure(model, toy(shuffled))
    for side in ("", "prior_"):
        assert straight.metrics[f"{side}purity"] > 0.7
        gap = found.metrics[f"{side}purity"] - found.metrics[f"{side}purity_chance"]
        assert abs(gap) < 4 * found.metrics[f"{side}purity_se"]
        assert found.metrics[f"{side}entropy"] == straight.metrics[f"{side}entropy"]
    assert found.metrics["disagreement"] == straight.metrics["disagreement"]
    chance = found.metrics["cluster_purity_chance"]
    assert found.metrics["cluster_purity"] == pytest.approx(chance, abs=0.05)
    assert straight.metrics["cluster_purity"] > chance + 0.3
    assert straight.metrics["cluster_purity_chance"] == pytest.approx(chance, abs=0.02)


def test_measured_numbers_are_those_of_the_assignments() -> None:
    pi = np.random.default_rng(2).dirichlet([0.5] * 3, 120)
    found, _ = measure(conditional(pi, Y, SPEC), toy(Y))
    expected, hard = purity(pi, Y), pi.argmax(1)
    assert found.metrics["purity_micro"] == pytest.approx(expected.micro)
    assert found.metrics["purity_micro_chance"] == pytest.approx(expected.micro_chance)
    assert found.metrics["cluster_purity"] == pytest.approx(expected.cluster)
    assert found.metrics["label_overlap"] == pytest.approx(expected.overlap)
    assert found.metrics["ari"] == pytest.approx(scores.adjusted_rand_score(Y, hard))
    assert found.metrics["ami"] == pytest.approx(scores.adjusted_mutual_info_score(Y, hard))
    table = scores.cluster.contingency_matrix(Y, hard)
    in_majority = table.max(0).sum() / 120
    assert found.details["purity_hard_details"]["cluster"] == pytest.approx(in_majority)


def test_majorities_come_from_training_labels() -> None:
    """Training calls every category by the next label: right there, never on the test set."""
    model = conditional(certain(Y, 3), Y, SPEC)
    assert measure(model, toy(Y))[0].metrics["accuracy_majority"] == 1.0
    moved, _ = measure(model, toy(Y, train_y=(Y + 1) % 3))
    assert moved.metrics["accuracy_majority"] == 0.0
    assert moved.metrics["accuracy_matched"] == 1.0


@pytest.mark.parametrize("informative", ["z2", "z1"])
def test_kmeans_reads_the_upper_latent(informative: str) -> None:
    spec = replace(SPEC, categories=None, latents=("z2", "z1"))
    follows, silent = FAR[torch.from_numpy(Y)], torch.zeros(120, 2, dtype=torch.float64)
    pair = (follows, silent) if informative == "z2" else (silent, follows)
    found, _ = measure(two_layers(spec, *pair), toy(Y))
    assert found.metrics["kmeans_k"] == 3
    assert found.metrics["kmeans_purity"] == pytest.approx(1.0 if informative == "z2" else 1 / 3)
    assert found.metrics["kmeans_accuracy"] == pytest.approx(
        1.0 if informative == "z2" else np.bincount(Y).max() / 120
    )


def test_one_category_has_an_entropy_and_no_correction_to_make() -> None:
    spec = replace(SPEC, categories=1)
    prior = FixedPrior(
        spec, Joint(c=OneHotCategorical(tensor([0.0])), z=normal([0.0] * 2, [1.0] * 2))
    )
    posterior = Table(spec, np.ones((120, 1)), np.zeros((120, 2)), np.ones((120, 2)))
    model = assemble(spec, prior, posterior, Affine({"z": [[0.0, 0.0]]}, [0.0], std=1.0))
    found, _ = measure(model, toy(Y))
    assert found.metrics["entropy"] == 0.0
    assert found.metrics["completeness"] is None
    assert found.metrics["purity_corrected"] == pytest.approx(0.0, abs=1e-12)


def test_what_generation_needs_is_the_main_assignment_and_its_weights() -> None:
    pi = certain(Y, 3)
    model = conditional(pi, (Y + 1) % 3, SPEC)
    found = measure_categories(model, toy(Y), model.joint_prior(), CONFIG)
    np.testing.assert_allclose(found.assignments, pi, atol=1e-12)
    np.testing.assert_allclose(found.weights, pi.mean(0), atol=1e-12)
