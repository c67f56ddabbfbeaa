"""The report's figures: which there are, and that they show stored numbers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA

from bench.evaluation.kept_examples import kept_examples
from bench.evaluation.responsibilities import posterior_means
from bench.loading import load_model
from bench.report.figures import Figure
from bench.report.figures.comparison import bounds_by_samples, points, stacks
from bench.report.figures.components import mean_pictures, pseudo_inputs
from bench.report.figures.critical import complete, rank
from bench.report.figures.latent_map import map_latents
from bench.report.figures.source import Source, System, noise
from bench.report.figures.traversal import walk
from bench.report.figures.usage import order_of
from bench.report.scorecard.evidence import Evidence
from bench.store import Store

KINDS = {
    "Bound against purity", "Decomposition of the bound", "Learning curves",
    "Convergence of the importance-weighted bound", "Generated against true density",
    "Samples by category", "Samples of all systems", "Samples by label",
    "Marginal and uniform sampling, reconstructions", "Categories in use: q(c)",
    "Categories of each label: q(c | label)", "Components of the prior", "Latent traversals",
    "Map of the latent space", "Ranks over datasets",
}  # fmt: skip


def system(source: Source, model: str, dataset: str = "digits") -> System:
    return next(s for s in source.systems if (s.model, s.dataset) == (model, dataset))


def stored_in(source: Source, cell: str, name: str) -> Any:
    return json.loads((source.store.folder(cell) / f"{name}.json").read_text())


def test_every_kind_is_drawn(made: list[Figure]) -> None:
    assert {figure.title for figure in made} == KINDS
    assert len({figure.key for figure in made}) == len(made)


def test_files_are_whole(made: list[Figure]) -> None:
    for figure in made:
        with Image.open(figure.png) as picture:
            picture.load()
            assert min(picture.size) >= 80
            assert max(picture.size) <= 2500
        assert figure.svg is not None
        text = figure.svg.read_text()
        assert text.rstrip().endswith("</svg>")
        assert "<dc:date>" not in text
        assert figure.caption.endswith(".")


def test_figures_of_one_cell_name_it(made: list[Figure], store: Store) -> None:
    cells = {str(row["cell"]) for row in store.rows()}
    assert {figure.cell for figure in made} - {None} <= cells
    assert {figure.dataset for figure in made} == {"digits", "gaussians", None}
    assert [figure.key for figure in made if figure.dataset is None] == ["critical-difference"]


def test_bars_are_the_stored_shares(source: Source) -> None:
    cp = system(source, "CP")
    shares = source.usage(cp.cell)
    assert shares is not None
    assert shares.sum() == pytest.approx(1.0)
    stored = stored_in(source, cp.cell, "categories")["train_category_probabilities"]
    assert shares.tolist() == stored


def test_heat_maps_are_the_means_of_the_assignments(source: Source, store: Store) -> None:
    cp = system(source, "CP")
    stored = stored_in(source, cp.cell, "categories")["label_categories"]
    kept = source.examples(cp)  # all 400 of digits
    assert kept is not None
    with torch.no_grad():
        q = load_model(store.folder(cp.cell)).posterior(torch.from_numpy(kept.x).float())
    probs = q.factors["c"].probs.double().numpy()  # type: ignore[union-attr]
    for label, shares in zip(stored["labels"], stored["shares"], strict=True):
        here = kept.labels == kept.names.index(label)
        np.testing.assert_allclose(shares, probs[here].mean(axis=0), atol=1e-5)


def test_categories_are_sorted_by_their_label() -> None:
    shares = np.array([[0.1, 0.6, 0.3], [0.8, 0.1, 0.1]])
    assert order_of(shares).tolist() == [1, 2, 0]


def test_scatter_and_bars_are_means_over_seeds(source: Source) -> None:
    cp = system(source, "CP")
    found = {s.name: (bound, purity) for s, bound, purity in points(source.on("digits"))}
    assert found.keys() == {"CP", "HVP"}  # a VAE has no purity
    for value, name in zip(found["CP"], ("nelbo", "purity"), strict=True):
        assert value.mean == pytest.approx(np.mean([row[name] for row in cp.rows]))
    assert stacks(cp).keys() == {"B1", "B2", "C1", "C2"}
    assert stacks(system(source, "HVP")).keys() == {"B1", "C1", "T1"}


def test_the_decomposition_adds_up_to_the_bound(source: Source) -> None:
    cp = system(source, "CP", "gaussians")
    values = cp.line.values
    total = -values["A"].mean + sum(value.mean for value in stacks(cp).values())
    stored = stored_in(source, cp.cell, "decomposition")["sum_of_terms"]
    assert total == pytest.approx(-stored, abs=1e-9)


def test_convergence_ends_at_the_reported_bound(source: Source) -> None:
    curve = bounds_by_samples(source, system(source, "CP"))
    assert list(curve) == [1, 10, 20]
    assert curve[20] == pytest.approx(system(source, "CP").line.values["nll"].mean)


def test_the_map_is_a_pca_of_posterior_means(source: Source, store: Store) -> None:
    cp = system(source, "CP")
    kept = kept_examples(store.out, str(cp.rows[0]["dataset_fingerprint"]))
    assert kept is not None
    model = load_model(store.folder(cp.cell))
    found = map_latents(model, kept.x)
    assert found is not None
    means = posterior_means(model, torch.from_numpy(kept.x), layers=1).numpy()
    pca = PCA(2).fit(means)
    expected = pca.transform(means)
    signs = np.sign((found.points * expected).sum(axis=0))
    np.testing.assert_allclose(found.points * signs, expected, atol=1e-6)
    np.testing.assert_allclose(found.explained, pca.explained_variance_ratio_, atol=1e-6)
    loc = model.prior.loc.detach().double().numpy()  # type: ignore[union-attr, operator]
    np.testing.assert_allclose(found.centres * signs, pca.transform(loc), atol=1e-5)
    variance = torch.diagonal(torch.from_numpy(found.covariances), dim1=1, dim2=2).sum(1)
    with torch.no_grad():
        factor = model.joint_prior().given("z", {"c": torch.eye(4)})
    np.testing.assert_allclose(variance, factor.variance.sum(1).numpy(), rtol=1e-4)  # D = 2


def test_decoded_means_and_pseudo_inputs(source: Source, store: Store) -> None:
    cp = load_model(store.folder(system(source, "CP").cell))
    assert pseudo_inputs(cp) is None
    pictures = mean_pictures(cp, [2, 0], noise("test"))
    with torch.no_grad():
        values = {"c": torch.eye(4)[[2, 0]], "z": cp.prior.loc[[2, 0]]}  # type: ignore[index]
        expected = cp.decode(values).mean.numpy()
    np.testing.assert_allclose(pictures, expected, atol=1e-6)
    hvp = load_model(store.folder(system(source, "HVP").cell))
    inputs = pseudo_inputs(hvp)
    assert inputs is not None
    assert inputs.shape == (4, 64)
    assert inputs.min() >= 0.0
    assert mean_pictures(hvp, [0, 3], noise("test")).shape == (2, 64)


@pytest.mark.parametrize(("model", "component"), [("VAE", None), ("CP", 1), ("HVP", 2)])
def test_walks_pass_through_the_mean(
    source: Source, store: Store, model: str, component: int | None
) -> None:
    found = load_model(store.folder(system(source, model).cell))
    dimensions, pictures = walk(found, component, noise("test"))
    assert pictures.shape == (2, 9, 64)  # D = 2
    assert len(set(dimensions)) == 2
    np.testing.assert_allclose(pictures[0, 4], pictures[1, 4], atol=1e-6)


def test_ranks_are_demsars() -> None:
    costs = [[1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [1.0, 2.0, 3.0], [2.0, 1.0, 3.0]]
    found = rank(costs)
    np.testing.assert_allclose(found.ranks, [1.25, 2.0, 2.75])
    assert found.difference == pytest.approx(2.343 * np.sqrt(3 * 4 / (6 * 4)), rel=1e-3)  # Table 5
    assert found.p == pytest.approx(0.1054, abs=1e-3)  # chi2 = 4.5 with 2 degrees of freedom


def test_ranks_need_three_datasets(source: Source) -> None:
    datasets, systems = complete(source, Evidence(source.store, source.rows))
    assert datasets == ["digits", "gaussians"]
    assert systems.keys() == {"VAE", "CP"}
    rows = [
        {"cell": f"{d}{m}", "dataset": d, "prior": m, "posterior": "p", "model": m, "seed": 0,
         "components": None, "status": "ok", "setting": "s", "dataset_fingerprint": d,
         "nelbo": float(m == "VAE")}
        for d in ("a", "b", "c") for m in ("VAE", "CP")
    ]  # fmt: skip
    from bench.report.figures.critical import diagram

    drawn = list(diagram(Source(source.store, rows)))
    assert [drawing.models for drawing in drawn] == [("CP", "VAE")]
    assert drawn[0].draw() is not None
    (absent,) = diagram(source)
    assert absent.caption == (
        "Not drawn. Friedman's test over datasets needs 3 of them, and this store has 2: digits, "
        "gaussians."
    )
    assert absent.draw() is not None
    (alone,) = diagram(Source(source.store, [row for row in rows if row["model"] == "VAE"]))
    assert "two systems that have finished on all of a, b, c" in alone.caption
