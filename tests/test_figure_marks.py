"""When figures are drawn anew, what damage costs, and that they repeat."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bench import loading
from bench.report.figures import Figure, make_figures, making, marks
from bench.report.figures.comparison import bounds_by_samples
from bench.report.figures.learning import curves
from bench.report.figures.making import KINDS as DRAWN
from bench.report.figures.marks import Marks
from bench.report.figures.source import Drawing, Source
from bench.store import Store


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


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("history.csv", b"epoch,validation_bound\n1,-3.5\n2\n", "it is no table of numbers"),
        ("history.csv", b"\xff\xfe", "it is no table of numbers"),
        ("history.csv", b"epoch,validation_bound\n1,-3\n2,-2,9\n", "it is no table of numbers"),
        ("history.csv", b"epoch\n1\n", "expected rows with epoch, validation_bound"),
        ("likelihood.json", b'{"sampled": ', "it is no JSON"),
        ("likelihood.json", b"[]", "expected a JSON object, found list"),
        ("likelihood.json", b'{"sampled": []}', "at sampled: "),
        (
            "likelihood.json",
            b'{"sampled": {"by_samples": [{"samples": 10, "bound": "low"}]}}',
            "at sampled.by_samples.0.bound: expected a valid number, found str",
        ),
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


@pytest.mark.parametrize(
    ("name", "found", "said", "title", "left"),
    [
        ("categories.json", {"label_categories": [1]}, "at label_categories: ",
         "Categories of each label: q(c | label)", 1),
        ("categories.json", {"label_categories": {"labels": ["a", "b"], "shares": [[1.0]]}},
         "a row of equal length for each of 2 labels, found 1 rows of 1",
         "Categories of each label: q(c | label)", 1),
        ("categories.json", {"train_category_probabilities": {"0": 1.0}},
         "at train_category_probabilities: ", "Categories in use: q(c)", 2),
        ("categories.json", {"train_category_probabilities": ["0.5", 0.5]},
         "at train_category_probabilities.0: expected a valid number, found str",
         "Categories in use: q(c)", 2),
        ("generation.json", {"pictures": {"labels.png": [3]}}, "at pictures.labels.png: ",
         "Samples by label", 0),
        ("config.json", {"recipe": {"event_shape": 64}}, "at recipe.event_shape: ",
         "Samples of all systems", 1),
        ("config.json", {"model": {"latent_dim": "two"}}, "at model.latent_dim: ",
         "Map of the latent space", 4),
        ("density.json", {"truth": {"grid": 5}}, "at truth.grid: ",
         "Generated against true density", 1),
        ("density.json", {"truth": {"grid": [0.0, 1.0, 3]}, "curves": {"true": [0.5, 0.5]}},
         "expected a density above 0 on the 3 points from 0 up to 1, found 2 values",
         "Generated against true density", 1),
    ],
)  # fmt: skip
def test_json_of_another_structure_costs_its_cell_alone(
    store: Store, tmp_path: Path, name: str, found: Any, said: str, title: str, left: int
) -> None:
    """Of every kind of figure the drawings of all other cells are left, and the file is named."""
    copy = _copy(store, tmp_path)
    data = "gaussians" if name == "density.json" else "digits"
    broken = next(row for row in copy.rows() if (row["model"], row["dataset"]) == ("CP", data))
    before, _ = making._drawings(Source(copy, copy.rows()))
    (copy.folder(broken["cell"]) / name).write_text(json.dumps(found))
    source = Source(copy, copy.rows())
    after, failed = making._drawings(source)
    assert failed == {}
    ((path, why),) = source.damaged.items()
    assert (path, said in why) == (f"{broken['cell']}/{name}", True), why
    others = {drawing.key for drawing in before if drawing.cell not in (None, broken["cell"])}
    assert others <= {drawing.key for drawing in after}
    shown = [drawing for drawing in after if drawing.title == title]
    assert not any(drawing.cell == broken["cell"] for drawing in shown)
    assert len(shown) >= left
    several = [drawing for drawing in shown if drawing.cell is None and drawing.dataset == data]
    assert not any(broken["cell"] in drawing.cells for drawing in several)


def test_a_seed_of_another_structure_is_left_out_of_a_mean(store: Store, tmp_path: Path) -> None:
    copy = _copy(store, tmp_path)
    first, second = (
        row["cell"] for row in copy.rows() if (row["model"], row["dataset"]) == ("CP", "digits")
    )
    (copy.folder(first) / "likelihood.json").write_text('{"sampled": {"by_samples": {}}}')
    source = Source(copy, copy.rows())
    system = next(s for s in source.systems if first in s.cells)
    kept = json.loads((copy.folder(second) / "likelihood.json").read_text())["sampled"]
    assert bounds_by_samples(source, system) == {
        point["samples"]: pytest.approx(-point["bound"]) for point in kept["by_samples"]
    }


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


def test_a_model_is_loaded_once_for_all_of_its_figures(
    store: Store, made: list[Figure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading took longer than drawing; the figures of several cells show what is there."""
    loaded: list[str] = []
    whole = loading.load_model

    def load(folder: Path, **options: object) -> object:
        loaded.append(folder.name)
        return whole(folder, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loading, "load_model", load)
    copy = _copy(store, tmp_path)
    assert len(make_figures(copy, copy.rows(), print)) == len(made)
    assert len(loaded) == len(set(loaded)) == 5  # the first seed of every system


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


def _copy(store: Store, folder: Path) -> Store:
    shutil.copytree(store.out, folder / "copy", ignore=shutil.ignore_patterns("report"))
    return Store(folder / "copy", create=False)


def _marks(store: Store) -> dict[str, str]:
    found = Marks(store, store.rows())
    return {drawing.key: found.of(drawing) for drawing in _drawings(store)}


def _drawings(store: Store) -> list[Drawing]:
    source = Source(store, store.rows())
    return [drawing for kind in DRAWN for drawing in kind(source)]
