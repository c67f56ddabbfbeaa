"""The report's figures: which there are, that they repeat, and that they show stored numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA

from bench.evaluation.kept_examples import kept_examples
from bench.evaluation.responsibilities import posterior_means
from bench.loading import load_model
from bench.report.figures import Figure, make_figures, making, marks
from bench.report.figures.colours import SYSTEMS, colour
from bench.report.figures.comparison import bounds_by_samples, points, stacks
from bench.report.figures.components import mean_pictures, pseudo_inputs
from bench.report.figures.critical import complete, rank
from bench.report.figures.latent_map import map_latents
from bench.report.figures.learning import curves
from bench.report.figures.making import KINDS as DRAWN
from bench.report.figures.marks import Marks
from bench.report.figures.source import Drawing, Source, System, noise
from bench.report.figures.traversal import walk
from bench.report.figures.usage import order_of
from bench.report.scorecard.evidence import Evidence
from bench.store import Store
from runs import run_tiny

KINDS = {
    "Bound against purity", "Decomposition of the bound", "Learning curves",
    "Convergence of the importance-weighted bound", "Generated against true density",
    "Samples by category", "Samples of all systems", "Samples by label",
    "Marginal and uniform sampling, reconstructions", "Categories in use: q(c)",
    "Categories of each label: q(c | label)", "Components of the prior", "Latent traversals",
    "Map of the latent space", "Ranks over datasets",
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    out = tmp_path_factory.mktemp("figures") / "runs"
    many = ("--set", "evaluation.importance_samples=20")
    models = ("--models", "VAE,HVP,CP", "--components", 4, "--seeds", 2)
    assert run_tiny(out, *models, *many, "--datasets", "digits").status == 0
    only = ("--models", "VAE,CP", "--components", 2, "--datasets", "gaussians")
    assert run_tiny(out, *only, epochs=1).status == 0
    return Store(out, create=False)


@pytest.fixture(scope="module")
def source(store: Store) -> Source:
    return Source(store, store.rows())


@pytest.fixture(scope="module")
def made(store: Store) -> list[Figure]:
    told: list[str] = []
    figures = make_figures(store, store.rows(), told.append)
    assert told == []
    return figures


def system(source: Source, model: str, dataset: str = "digits") -> System:
    return next(s for s in source.systems if (s.model, s.dataset) == (model, dataset))


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


def test_the_same_store_gives_the_same_bytes(
    store: Store, made: list[Figure], tmp_path: Path
) -> None:
    shutil.copytree(store.out, tmp_path / "copy", ignore=shutil.ignore_patterns("report"))
    copy = Store(tmp_path / "copy", create=False)
    again = make_figures(copy, copy.rows(), print)
    assert [figure.key for figure in again] == [figure.key for figure in made]
    for one, other in zip(made, again, strict=True):
        assert one.png.read_bytes() == other.png.read_bytes(), one.key
        assert one.svg is not None
        assert other.svg is not None
        assert one.svg.read_bytes() == other.svg.read_bytes(), one.key


def test_only_what_changed_is_drawn_again(store: Store, made: list[Figure], tmp_path: Path) -> None:
    shutil.copytree(store.out, tmp_path / "copy")
    copy = Store(tmp_path / "copy", create=False)
    folder = tmp_path / "copy" / "report" / "figures"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.png")}
    cell = next(figure.cell for figure in made if figure.cell is not None)
    path = copy.folder(cell) / "row.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "seconds": 1.5}))
    make_figures(copy, copy.rows(), print)
    drawn = {path.stem for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert {f.key for f in made if f.cell == cell} <= drawn
    assert not {f.key for f in made if f.cell not in (None, cell)} & drawn


def test_drawing_goes_on_where_it_was_interrupted(
    store: Store, made: list[Figure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(store.out, tmp_path / "copy", ignore=shutil.ignore_patterns("report"))
    copy = Store(tmp_path / "copy", create=False)
    drawn: list[str] = []

    def writing(drawing: Any, *paths: Path) -> None:
        if len(drawn) == 3:
            raise KeyboardInterrupt
        drawn.append(drawing.key)
        real(drawing, *paths)

    real = making._write
    with monkeypatch.context() as patch:
        patch.setattr(making, "_write", writing)
        with pytest.raises(KeyboardInterrupt):
            make_figures(copy, copy.rows(), print)
    first = {key: (copy.out / "report" / "figures" / f"{key}.png").stat().st_ino for key in drawn}
    make_figures(copy, copy.rows(), print)
    for key, inode in first.items():
        assert (copy.out / "report" / "figures" / f"{key}.png").stat().st_ino == inode


@pytest.mark.parametrize("name", ["model.pt", "categories.json", "history.csv"])
def test_a_changed_file_of_a_cell_is_drawn_again(
    store: Store, made: list[Figure], tmp_path: Path, name: str
) -> None:
    copy, drawing = _copy(store, tmp_path), next(f for f in made if f.title == "Latent traversals")
    assert drawing.cell is not None
    path = copy.folder(drawing.cell) / name
    one = _marks(copy)
    path.write_bytes(path.read_bytes() + b" ")
    other = _marks(copy)
    changed = {key for key in one if one[key] != other[key]}
    assert {f.key for f in made if f.cell == drawing.cell} <= changed
    assert not {f.key for f in made if f.cell not in (None, drawing.cell)} & changed


def test_a_figure_is_marked_by_the_code_it_goes_through(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is drawn comes from bench.sampling, the model and the plugins, not figures/ alone."""
    read: list[str] = []
    whole = marks._digest

    def digest(path: Path | None) -> str:
        read.append(str(path))
        return whole(path)

    monkeypatch.setattr(marks, "_digest", digest)
    marks._code.cache_clear()
    marks._plugin.cache_clear()
    rows = store.rows()
    found = Marks(store, rows)
    for drawing in _drawings(store):
        found.of(drawing)
    assert len(read) == len(set(read))  # nothing is read twice
    for name in ("bench/sampling.py", "bench/networks.py", "priors/conditional.py"):
        assert any(path.endswith(name) for path in read), name


def _copy(store: Store, folder: Path) -> Store:
    shutil.copytree(store.out, folder / "copy", ignore=shutil.ignore_patterns("report"))
    return Store(folder / "copy", create=False)


def _marks(store: Store) -> dict[str, str]:
    found = Marks(store, store.rows())
    return {drawing.key: found.of(drawing) for drawing in _drawings(store)}


def _drawings(store: Store) -> list[Drawing]:
    source = Source(store, store.rows())
    return [drawing for kind in DRAWN for drawing in kind(source)]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("history.csv", b"epoch,validation_bound\n1,-3.5\n2\n", "it is no table of numbers"),
        ("history.csv", b"\xff\xfe", "it is no table of numbers"),
        ("history.csv", b"epoch\n1\n", "expected rows with epoch, validation_bound"),
        ("likelihood.json", b'{"sampled": ', "it is no JSON"),
        ("likelihood.json", b"[]", "expected a JSON object, found list"),
    ],
)
def test_a_damaged_file_costs_its_cell_alone(
    store: Store, made: list[Figure], tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    copy = _copy(store, tmp_path)
    shutil.copytree(store.out / "report", copy.out / "report")  # else everything is drawn
    first = next(row for row in copy.rows() if (row["model"], row["dataset"]) == ("CP", "digits"))
    (copy.folder(first["cell"]) / name).write_bytes(content)
    told: list[str] = []
    left = make_figures(copy, copy.rows(), told.append)
    (notice,) = told
    assert notice.startswith(f"left out of the figures: {first['cell']}/{name}: ")
    assert said in notice
    assert {figure.key for figure in left} == {figure.key for figure in made}
    source = Source(copy, copy.rows())
    assert "CP" in next(d for d in curves(source) if d.dataset == "digits").models  # another seed


def test_what_is_gone_is_removed_and_what_fails_is_told(
    store: Store, made: list[Figure], tmp_path: Path
) -> None:
    shutil.copytree(store.out, tmp_path / "copy")
    copy = Store(tmp_path / "copy", create=False)
    rows = [row for row in copy.rows() if row["dataset"] == "digits"]
    broken = next(row for row in rows if row["model"] == "CP")
    (copy.folder(broken["cell"]) / "model.pt").write_bytes(b"torn")
    told: list[str] = []
    shutil.rmtree(copy.out / "report")
    left = make_figures(copy, rows, told.append)
    assert len(told) == 1
    assert "not drawn: " in told[0]
    assert f"{broken['cell']}/model.pt is not a model" in told[0]
    assert {f"map-{broken['cell']}"} & {figure.key for figure in left} == set()
    assert {"learning-digits", "bound-purity-digits"} <= {figure.key for figure in left}
    assert not list((copy.out / "report" / "figures").glob("*gaussians*"))


def test_bars_are_the_stored_shares(source: Source) -> None:
    cp = system(source, "CP")
    shares = source.usage(cp.cell)
    assert shares is not None
    assert shares.sum() == pytest.approx(1.0)
    stored = source.json(cp.cell, "categories")["train_category_probabilities"]
    assert shares.tolist() == stored


def test_heat_maps_are_the_means_of_the_assignments(source: Source, store: Store) -> None:
    cp = system(source, "CP")
    stored = source.json(cp.cell, "categories")["label_categories"]
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
    stored = source.json(cp.cell, "decomposition")["sum_of_terms"]
    assert total == pytest.approx(-stored, abs=1e-9)


def test_convergence_ends_at_the_reported_bound(source: Source) -> None:
    curve = bounds_by_samples(source, system(source, "CP"), "sampled")
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


def test_colours_are_stable_and_differ() -> None:
    assert len({colour(name) for name in SYSTEMS}) == 9
    assert colour("mog x joint") == colour("mog x joint")
    assert len(colour("mog x joint")) == 7
