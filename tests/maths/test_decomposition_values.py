"""T7: the whole table by quadrature to 1e-8, and by ``decompose`` within its error."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch

from bench.evaluation.aggregate import AggregatedPosterior
from bench.evaluation.decomposition import Decomposition, Estimate, decompose
from bench.priors.standard import Standard
from bench.spec import Spec
from maths.cases import Case, case
from maths.cells import Affine, Table, assemble, copies
from maths.exact import decomposition
from maths.paths import EXACT, SIGMAS, check_evidence, check_terms, close, expectations, generator
from maths.t7 import CP_BOUNDS, DATA, EVIDENCE, MOMENTS, TABLE, X, row

REPEATS, DRAWS = 400, 8

each_row = pytest.mark.parametrize("name", TABLE)


@functools.cache
def exact(name: str) -> dict[str, float]:
    return decomposition(row(name).model, X, row(name).within)


@functools.cache
def estimated(name: str) -> Decomposition:
    """Each datum many times over: the aggregated posterior is that of the three."""
    return decompose(row(name).model, X.repeat(REPEATS, 1), generator(), draws=DRAWS)


CELLS = [(name, column) for name in TABLE for column in row(name).values]


@pytest.mark.parametrize(("name", "column"), CELLS)
def test_t7_by_quadrature(name: str, column: str) -> None:
    close(exact(name)[column], row(name).values[column], column, 1e-9)


@each_row
def test_t7_bound_of_the_model_is_the_tables(name: str) -> None:
    """The mean ELBO that ``Model.terms`` gives, by quadrature for each datum."""
    model = row(name).model
    bounds = [expectations(Case(model, (x,), math.nan, math.nan))["elbo"] for x in DATA]
    close(float(np.mean(bounds)), row(name).values["ELBO"], "the mean bound", 1e-9)


def estimates(found: Decomposition) -> dict[str, Estimate]:
    """What ``decompose`` found by the names of the table's columns."""
    elbo = found.elbo
    return {
        **found.terms,
        "ELBO": Estimate(found.total, float(elbo.std(ddof=1)) / math.sqrt(len(elbo))),
        "I(z;c)": found.information_zc,
        "I((z,c);x)": found.information_x,
        "h(q(z))": found.latent_entropy,
    }


ESTIMATED = [(n, c) for n, c in CELLS if c not in ("kl_z", "H", "kl_c")]


@pytest.mark.parametrize(("name", "column"), ESTIMATED)
def test_t7_estimated(name: str, column: str) -> None:
    estimate = estimates(estimated(name))[column]
    assert estimate.se < 0.02
    close(estimate.mean, row(name).values[column], column, SIGMAS * estimate.se + EXACT)


@each_row
def test_t7_exact_parts_of_the_estimate(name: str) -> None:
    """B2 and C2 have no error at all, nor has what the Vamp at the data leaves of C1."""
    found, values = estimated(name), row(name).values
    for term in ("B2", "C2"):
        assert found.terms[term].se == 0.0
        close(found.terms[term].mean, values[term], term, 1e-9)
    if name == "VP":
        close(found.terms["C1"].mean, 0.0, "C1", 1e-10)
        close(found.terms["C1"].se, 0.0, "the error of C1", 1e-10)


@each_row
def test_t7_telescopes(name: str) -> None:
    found = estimated(name)
    assert found.draws == 3 * REPEATS * DRAWS
    close(found.total, float(found.elbo.mean()), "the sum of the terms", 1e-10)


@each_row
def test_t7_family(name: str) -> None:
    assert estimated(name).conditional == row(name).within


@pytest.mark.parametrize("name", MOMENTS)
def test_t7_entropies_around_that_of_q(name: str) -> None:
    mean, gaussian = AggregatedPosterior(row(name).model, X).moments()
    close(mean, MOMENTS[name][0], "mean h(q(z | x, c))", 1e-9)
    close(gaussian, MOMENTS[name][1], "the Gaussian's entropy", 1e-9)
    assert mean <= exact(name)["h(q(z))"] <= gaussian


def test_t7_aggregated_categories() -> None:
    probs = AggregatedPosterior(row("CP").model, X).category_probs
    assert probs is not None
    np.testing.assert_allclose(probs.numpy(), [17 / 30, 13 / 30], atol=1e-12)
    close(math.exp(exact("CP")["H"]), 1.9822484181, "exp H", 1e-9)


@pytest.mark.parametrize("i", range(3))
@pytest.mark.parametrize("name", EVIDENCE)
def test_t7_evidence(name: str, i: int) -> None:
    check_evidence(Case(row(name).model, (DATA[i],), math.nan, EVIDENCE[name][i]))


@pytest.mark.parametrize("i", range(3))
def test_t7_bound_of_each_datum(i: int) -> None:
    check_terms(Case(row("CP").model, (DATA[i],), CP_BOUNDS[i], EVIDENCE["CP"][i]))
    mine = estimated("CP").elbo[i::3]
    error = float(mine.std(ddof=1)) / math.sqrt(len(mine))
    close(float(mine.mean()), CP_BOUNDS[i], "the bound of a datum", SIGMAS * error)


def test_t7_vamp_at_the_data_has_the_joint_posteriors_information() -> None:
    """Marginal Vamp x J-onehot: kl_z is all B1, which is INDp's."""
    model = row("Vamp x J").model
    found = decomposition(model, X, within=False)
    close(found["kl_z"], 0.5631250924, "kl_z", 1e-9)
    close(found["B1"], TABLE["INDp"][2], "B1", 1e-9)
    close(found["C1"], 0.0, "C1", 1e-12)
    estimate = decompose(model, X, generator())
    assert not estimate.conditional
    close(estimate.terms["C1"].mean, 0.0, "C1 of three draws", 1e-12)


def test_t10_lower_latent_is_a_term_of_its_own() -> None:
    """One datum is its own aggregate: B1 = 0, C1 and T1 are the two divergences."""
    subject = case("t10_exact")
    found = decompose(subject.model, copies(subject.x, 2000), generator())
    close(found.terms["B1"].mean, 0.0, "B1", 1e-10)
    for term, value in (("A", -0.6411873453), ("C1", 0.0668899455), ("T1", 0.3570027023)):
        estimate = found.terms[term]
        close(estimate.mean, value, term, SIGMAS * estimate.se + EXACT)
    close(found.total, subject.elbo, "the sum", SIGMAS * float(found.elbo.std()) / 2000**0.5)


@pytest.mark.parametrize(("distance", "reached"), [(0.1, False), (100.0, True)])
def test_ceiling_is_marked_where_it_is_reached(distance: float, reached: bool) -> None:
    """Data whose posteriors do not overlap have log N nats about x, whatever the model."""
    count = 20
    spec = Spec(1, (1,), hidden=2, bounds=None)
    posterior = Table(spec, None, distance * np.arange(count)[:, None], np.ones((count, 1)))
    model = assemble(spec, Standard(spec), posterior, Affine({"z": [[1.0]]}, [0.0], std=1.0))
    found = decompose(model, torch.arange(count).unsqueeze(1), generator(), draws=20)
    assert found.at_ceiling == reached
    assert found.ceiling == pytest.approx(math.log(count))
    if reached:
        close(found.information_x.mean, math.log(count), "I(z; x)", 1e-9)
