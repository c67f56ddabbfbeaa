"""bench compare: which cells a name means, what is compared with what, and what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from bench.errors import UsageError
from bench.report.compare import Compared, Report, compare_models
from bench.report.selection import Filter
from bench.report.statistics import holm
from bench.store import Store
from fabricated import Array, empty, put, put_model, row
from runs import bench

N = 50


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return empty(tmp_path)


def costs(seeds: int, mean: float = 100.0, *, stream: int = 0, n: int = N) -> Array:
    """Costs that share their examples' difficulty; exact in single precision."""
    shared = 3.0 * np.random.default_rng(99).standard_normal(n)
    own = np.random.default_rng(stream).standard_normal((seeds, n))
    return (mean + shared + own).astype(np.float32).astype(np.float64)


def run(store: Store, a: str, b: str, metric: str = "nelbo", **chosen: Any) -> Report:
    return compare_models(store, store.rows(), a, b, metric, Filter(**chosen))


def only(report: Report) -> Compared:
    (one,) = report.compared
    return one


def test_models_are_compared_on_their_examples(store: Store) -> None:
    a, b = costs(3, 99.0, stream=1), costs(2, stream=2)
    put_model(store, a, "CP")
    put_model(store, b, "VP")
    one = only(run(store, "CP", "VP"))
    known = scipy.stats.ttest_rel(a.mean(0), b.mean(0))
    assert one.found.models.difference == pytest.approx(a.mean() - b.mean())
    assert one.found.models.p == pytest.approx(known.pvalue)
    assert one.found.means == pytest.approx((a.mean(), b.mean()))
    assert (one.found.examples, one.found.seeds) == (N, (3, 2))
    assert one.found.share == (a.mean(0) < b.mean(0)).mean()
    assert one.found.procedures is not None


def test_the_other_way_round_is_the_negative(store: Store) -> None:
    put_model(store, costs(2, 99.0, stream=1), "CP")
    put_model(store, costs(2, stream=2), "VP")
    there, back = only(run(store, "CP", "VP")).found, only(run(store, "VP", "CP")).found
    assert there.models.difference == pytest.approx(-back.models.difference)
    assert there.models.p == pytest.approx(back.models.p)


@pytest.mark.parametrize(
    ("name", "label", "seeds"),
    [
        ("CP", "CP", 2),
        ("cp", "CP", 2),
        ("conditional x joint", "CP", 2),
        ("Conditional  X  Joint", "CP", 2),
        ("CP K=10", "CP K=10", 2),
        ("cp k = 10", "CP K=10", 2),
        ("cp1", "CP (cp1)", 1),
        ("mog x joint", "mog x joint", 1),
        ("unn", "mog x joint (unnamed0)", 1),
    ],
)
def test_names_in_every_form(store: Store, name: str, label: str, seeds: int) -> None:
    put_model(store, costs(2, stream=1), "CP")
    put_model(store, costs(2, stream=2), "VP")
    put(store, row(0, ""), nelbo=costs(1, stream=3)[0])
    report = run(store, name, "VP")
    assert report.a == label
    assert only(report).found.seeds == (seeds, 2)


def test_an_id_may_be_the_beginning_of_another(store: Store) -> None:
    put_model(store, costs(2, stream=1), "CP")
    put(store, row(7, cell="cp10"), nelbo=costs(1, stream=3)[0])
    put_model(store, costs(1, stream=2), "VP")
    report = run(store, "cp1", "VP")
    assert (report.a, only(report).found.seeds) == ("CP (cp1)", (1, 1))


def sized(store: Store) -> None:
    """CP at K = 10 and 150, VP at 10, VAE without K."""
    put_model(store, costs(2, stream=1), "CP", components=10, tag="a")
    put_model(store, costs(2, stream=2), "CP", components=150, tag="b")
    put_model(store, costs(2, stream=3), "VP", components=10)
    put_model(store, costs(2, stream=4), "VAE")


@pytest.mark.parametrize(
    ("a", "b", "sizes"),
    [
        ("CP", "VP", [(10, 10)]),
        ("CP", "VAE", [(10, None), (150, None)]),
        ("VAE", "CP", [(None, 10), (None, 150)]),
        ("CP K=150", "VP K=10", [(150, 10)]),
        ("CP K=10", "CP K=150", [(10, 150)]),
        ("cpb0", "vp0", [(150, 10)]),
        ("CP", "vp0", [(10, 10)]),
    ],
)
def test_components_agree_unless_both_are_named(
    store: Store, a: str, b: str, sizes: list[tuple[int | None, int | None]]
) -> None:
    sized(store)
    assert [one.match.sizes for one in run(store, a, b).compared] == sizes


def test_components_and_datasets_are_chosen(store: Store) -> None:
    sized(store)
    put_model(store, costs(2, stream=5), "VAE", dataset="mnist", dataset_fingerprint="9", tag="m")
    put_model(store, costs(2, stream=6), "CP", dataset="mnist", dataset_fingerprint="9", tag="m")
    assert len(run(store, "CP", "VAE").compared) == 3
    assert only(run(store, "CP", "VAE", components=(150,), datasets=("digits",))).match.sizes == (
        150,
        None,
    )
    assert only(run(store, "CP", "VAE", datasets=("mnist",))).match.dataset == "mnist"


def test_p_values_are_adjusted_for_all_comparisons(store: Store) -> None:
    sized(store)
    compared = run(store, "CP", "VAE").compared
    assert [one.models_p for one in compared] == holm([one.found.models.p for one in compared])
    procedures = [one.found.procedures for one in compared]
    assert [one.procedures_p for one in compared] == holm([one.p for one in procedures if one])
    assert compared[0].models_p > compared[0].found.models.p


def test_a_dataset_that_one_side_lacks_is_named(store: Store) -> None:
    put_model(store, costs(2, stream=1), "CP")
    put_model(store, costs(2, stream=2), "VP")
    put_model(store, costs(2), "CP", dataset="mnist", dataset_fingerprint="9", tag="m")
    report = run(store, "CP", "VP")
    assert report.missing == ("mnist: CP has finished cells and VP has none",)
    assert only(report).match.dataset == "digits"


def test_tuned_components_differ_between_seeds(store: Store) -> None:
    for seed, size in ((0, 7), (1, 9)):
        cell = row(seed, components=size, tuned={"components": size})
        put(store, cell, nelbo=costs(1, stream=seed)[0])
    put_model(store, costs(2, stream=3), "VP")
    one = only(run(store, "CP", "VP"))
    assert one.match.sizes == ("tuned", 10)
    assert "CP: tuned" in one.warnings


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ({"collapsed": True}, "CP: collapsed"),
        ({"tuned": {"training.learning_rate": 0.1}}, "CP: tuned"),
        ({}, "2 seeds on a side"),
    ],
    ids=str,
)
def test_what_may_mislead_is_said(store: Store, change: dict[str, Any], warning: str) -> None:
    put_model(store, costs(2, stream=1), "CP", **change)
    put_model(store, costs(2, stream=2), "VP")
    assert any(warning in said for said in only(run(store, "CP", "VP")).warnings)


def test_unverified_data_are_said(store: Store) -> None:
    for stream, model in enumerate(("CP", "VP")):
        put_model(store, costs(3, stream=stream), model, dataset_fingerprint="unverified-1")
    warnings = only(run(store, "CP", "VP")).warnings
    assert warnings == ("CP: unverified data", "VP: unverified data")


def test_bounds_of_unlike_samples_are_said(store: Store) -> None:
    for stream, (model, samples) in enumerate((("CP", 50), ("VP", 5000))):
        cell = row(0, model, importance_samples=samples, nll=1.0)
        put(store, cell, nelbo=costs(1)[0], nll=costs(1, stream=stream)[0])
    (first, *_) = only(run(store, "CP", "VP", "nll")).warnings
    assert first == "the bounds are not equally tight: importance_samples is 50 and 5000"
    assert not any("tight" in said for said in only(run(store, "CP", "VP")).warnings)


@pytest.mark.parametrize(
    ("metric", "change", "said"),
    [
        ("nll", {"weights_trusted": False}, "weights of CP are not known to be trusted"),
        ("nll", {"weights_trusted": None}, "weights of CP are not known to be trusted"),
        ("nll", {"importance_samples": 99}, "CP has importance_samples 99"),
        ("nll_rb", {"rb_weights_trusted": False}, "weights of CP are not known to be trusted"),
        ("nll_rb", {"rb_samples": 5}, "CP has rb_samples 5"),
        ("nll", {"rb_weights_trusted": False, "rb_samples": 5}, None),
        ("nll_rb", {"weights_trusted": False, "importance_samples": 5}, None),
        ("nelbo", {"weights_trusted": False}, None),
    ],
)
def test_bounds_that_bias_may_decide_are_said(
    store: Store, metric: str, change: dict[str, Any], said: str | None
) -> None:
    good = {
        "nll": 1.0, "importance_samples": 100, "weights_trusted": True,
        "nll_rb": 1.0, "rb_samples": 100, "rb_weights_trusted": True,
    }  # fmt: skip
    for model, values in (("CP", {**good, **change}), ("VP", good)):
        own = costs(2, stream=len(change) + (model == "CP"))
        for seed, cost in enumerate(own):
            put(store, row(seed, model, **values), nelbo=cost, nll=cost, nll_rb=cost)
    found = [w for w in only(run(store, "CP", "VP", metric)).warnings if "bias" in w]
    assert found == (
        [] if said is None else [f"the bias of {metric} may decide, not the models: {said}"]
    )


def test_settings_choose_among_runs_of_one_model(store: Store) -> None:
    put_model(store, costs(2, stream=1), "CP", setting="aaaaaa", tag="a")
    put_model(store, costs(2, stream=2), "CP", setting="bbbbbb", tag="b")
    put_model(store, costs(2, stream=3), "VP", setting="bbccc")
    with pytest.raises(UsageError, match=r"2 settings.*aaaaaa \(cell cpa\d\).*bbbbbb"):
        run(store, "CP", "VP")
    chosen = only(run(store, "CP", "VP", settings=("bb",)))
    assert {cell["setting"] for cell in chosen.match.a} == {"bbbbbb"}
    assert only(run(store, "cpa0", "VP")).found.seeds == (1, 2)


MISTAKES: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "unknown": (("CPP", "VP"), ["unknown model or cell 'CPP'", "Did you mean 'CP'?", "VAE"]),
    "blank": (("", "VP"), ["unknown model or cell ''"]),
    "ambiguous": (("cpa", "VP"), ["ambiguous cell 'cpa': 2 cells", "cpa0 (digits CP K=10 seed 0)"]),
    "metric": (("CP", "VP", "--metric", "nlebo"), ["unknown metric", "Did you mean 'nelbo'?"]),
    "same": (("CP", "cp"), ["are the same cells on digits"]),
    "no K": (("CP", "VP", "--components", "150"), ["VP", "no cell left", "digits K=10"]),
    "no common K": (("CP K=150", "VP"), ["no K in common: 150 for CP K=150, 10 for VP"]),
    "absent K": (("CP K=7", "VP"), ["CP has no cell with K=7: its K are 10, 150"]),
    "dataset": (("CP", "VP", "--datasets", "digist"), ["unknown dataset", "'digits'"]),
    "components": (("CP", "VP", "--components", "ten"), ["--components", "found 'ten'"]),
    "format": (("CP", "VP", "--format", "html"), ["unknown format 'html'", "markdown"]),
    "fingerprint": (("CP", "other"), ["not the same test examples", "0123 for CP", "4567"]),
    "elsewhere": (("CP", "far"), ["digits: CP has finished cells and far has none"]),
    "failed": (("CP", "broken"), ["broken has no finished cell", "failed (out of memory)"]),
    "no file": (("CP", "bare"), ["bare0", "examples.npz", "no such file", "--fresh"]),
    "no metric": (("CP", "VP", "--metric", "nll"), ["nll of every test example", "only nelbo"]),
    "torn": (("CP", "torn"), ["torn0", "cannot be read"]),
    "not finite": (("CP", "nan"), ["not finite numbers", "nan0"]),
    "lengths": (("CP", "short"), ["not the same test examples: 50 of CP and 49 of short"]),
    "blank metric": (("CP", "VAE", "--metric", "kl_c"), ["kl_c does not apply to CP on digits"]),
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = empty(tmp_path_factory.mktemp("faulty"))
    sized(store)
    put_model(store, costs(1), "other", dataset_fingerprint="4567")
    put_model(store, costs(1), "far", dataset="mnist", dataset_fingerprint="9")
    put(store, row(0, "broken", status="failed", reason="out of memory", nelbo=None))
    put(store, row(0, "bare"))
    put_model(store, costs(1), "torn")
    (store.folder("torn0") / "examples.npz").write_bytes(b"PK no archive")
    put_model(store, costs(1), "nan")
    put(store, row(0, "nan"), nelbo=np.full(N, np.nan))
    put_model(store, costs(1, n=N - 1), "short")
    return store.out


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_message(faulty: Path, mistake: str) -> None:
    words, expected = MISTAKES[mistake]
    ended = bench("compare", *words, "--out", faulty)
    assert ended.status == 2, ended.out
    assert ended.err.startswith("error: ")
    assert ended.out == ""
    for part in expected:
        assert part in ended.err


def test_no_store_is_one_message(tmp_path: Path) -> None:
    ended = bench("compare", "CP", "VP", "--out", tmp_path / "none")
    assert (ended.status, "no results in" in ended.err) == (2, True)
