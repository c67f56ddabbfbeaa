"""Which settings of a store's systems the critical-difference diagram ranks."""

from __future__ import annotations

from pathlib import Path

from bench.report.figures.critical import diagram
from bench.report.figures.source import Drawing, Source
from bench.store import Store
from claimed import put_bounds, put_cell
from fabricated import empty

DATASETS = ("fashion_mnist", "mnist", "omniglot")
MEANS = {"CP": 100.0, "HVP": 101.0}


def drawn(store: Store) -> Drawing:
    (drawing,) = diagram(Source(store, store.rows()))
    return drawing


def test_the_papers_protocol_is_ranked_where_there_are_several(tmp_path: Path) -> None:
    store = empty(tmp_path)
    for dataset in DATASETS:
        put_bounds(store, MEANS, (dataset, 10), seeds=1)
        for preset in ("quick", "released"):  # "HVP10" sorts before "quickHVP": so do capitals
            put_bounds(store, MEANS, (dataset, 10), seeds=1, preset=preset)
        put_cell(store, "HVP", (dataset, 10), 0, cell=f"0{dataset}", setting="000", nelbo=1.0,
                 config={"training": {"epochs": 1}})  # fmt: skip
    found = drawn(store)
    assert set(found.cells) == {f"{model}-{d}-10-0" for d in DATASETS for model in MEANS}
    assert f"Trained by preset paper ({', '.join(DATASETS)})." in found.caption


def test_the_smallest_k_is_of_settings_that_count(tmp_path: Path) -> None:
    store = empty(tmp_path)
    for dataset in DATASETS:
        put_bounds(store, MEANS, (dataset, 10), seeds=1)
    put_bounds(store, MEANS, ("mnist", 5), seeds=1, preset="released")
    assert set(drawn(store).cells) == {f"{m}-{d}-10-0" for d in DATASETS for m in MEANS}


def test_other_settings_are_said(tmp_path: Path) -> None:
    store = empty(tmp_path)
    for dataset in DATASETS:
        preset = "quick" if dataset == "mnist" else ""
        put_bounds(store, {"CP": 100.0}, (dataset, 10), seeds=1, preset=preset)
        put_bounds(store, {"HVP": 100.0}, (dataset, 10), seeds=1)
    caption = drawn(store).caption
    assert "Trained by preset paper (fashion_mnist, HVP on mnist, omniglot); " in caption
    assert "preset quick (CP on mnist)." in caption


def test_settings_that_cannot_be_chosen_among_are_not_ranked(tmp_path: Path) -> None:
    store = empty(tmp_path)
    for dataset in DATASETS:
        put_bounds(store, MEANS | {"VP": 99.0}, (dataset, 10), seeds=1)
    for setting in ("aaa", "bbb"):
        put_cell(store, "MG", ("mnist", 10), 0, cell=setting, setting=setting, config={})
    assert set(drawn(store).models) == {"CP", "HVP", "VP"}  # MG is not on all datasets
    for dataset in ("fashion_mnist", "omniglot"):
        put_cell(store, "MG", (dataset, 10), 0)
    found = drawn(store)
    assert found.caption == (
        "Not drawn. Systems have cells of several settings or data: choose with --settings "
        "among MG on mnist (aaa, bbb)."
    )
    assert found.draw() is not None


def test_other_test_examples_are_not_ranked(tmp_path: Path) -> None:
    store = empty(tmp_path)
    for dataset in DATASETS:
        put_bounds(store, {"CP": 100.0}, (dataset, 10), seeds=1)
        print_ = "other" if dataset == "mnist" else f"print of {dataset}"
        put_cell(store, "HVP", (dataset, 10), 0, dataset_fingerprint=print_)
    assert drawn(store).caption == (
        "Not drawn. Systems were measured on different test examples on mnist."
    )
