"""`bench sample`, the Python interface, and the notebook that uses it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

import bench as package
from bench.errors import UsageError
from runs import SETTINGS, bench, results, run_tiny

TOUR = Path(__file__).parents[1] / "examples" / "tour.ipynb"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("interface") / "runs"
    words = ("--models", "VAE,VP,CP", "--components", 4, "--datasets", "digits")
    assert run_tiny(out, *words).status == 0
    only = ("--models", "HVAE", "--datasets", "gaussians")
    assert run_tiny(out, *only, epochs=1).status == 0
    return out


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (("CP",), (6, 6)),
        (("CP", "--category", 3, "--number", 4), (2, 2)),
        (("cp k=4", "--label", "7", "--number", 5), (3, 2)),
        (("CP", "--component", 0, "--number", 1), (1, 1)),
        (("VP", "--component", 3, "--number", 2), (2, 1)),
        (("VP", "--grid", "--number", 3), (3, 4)),
        (("VAE", "--interpolate", "--number", 2), (10, 2)),
        (("CP", "--interpolate", "--number", 2), (10, 2)),
    ],
)
def test_sample_writes_pictures(
    out: Path, tmp_path: Path, words: tuple[object, ...], size: tuple[int, int]
) -> None:
    to = tmp_path / "deep" / "picture.png"
    first = bench("sample", *words, "--out", out, "--to", to)
    assert (first.status, first.err) == (0, "")
    assert first.out.strip() == str(to)
    with Image.open(to) as picture:
        side = 8 * 3 + 1  # enlarged, with a white line
        # a block has a line more than it has pictures, and lies in a margin
        columns, rows = ((pixels - 13) // side for pixels in picture.size)
    assert (columns, rows) == size
    before = to.read_bytes()
    assert bench("sample", *words, "--out", out, "--to", to).status == 0
    assert to.read_bytes() == before


@pytest.mark.parametrize(
    "words", [("CP",), ("CP", "--label", "7"), ("VP", "--grid"), ("VAE", "--interpolate")]
)
def test_another_seed_gives_other_pictures(
    out: Path, tmp_path: Path, words: tuple[object, ...]
) -> None:
    made = []
    for seed in (0, 1):
        to = tmp_path / f"{seed}.png"
        words_of = (*words, "--number", 4, "--seed", seed)
        assert bench("sample", *words_of, "--out", out, "--to", to).status == 0
        made.append(to.read_bytes())
    assert made[0] != made[1]


def test_sample_takes_the_beginning_of_an_id(out: Path, tmp_path: Path) -> None:
    cell = next(row["cell"] for row in results(out) if row["model"] == "CP")
    assert bench("sample", cell[:8], "--out", out, "--to", tmp_path / "a.png").status == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing",), "unknown model or cell 'nothing'"),
        (("CP", "--category", 4), "has 0 to 3; found 4"),
        (("VP", "--category", 0), "use --component"),
        (("VAE", "--component", 0), "its prior has no components"),
        (("VAE", "--grid"), "no categories or components for --grid"),
        (("VAE", "--label", "3"), "no categories through which a label"),
        (("CP", "--label", "x"), "unknown label 'x'"),
        (("CP", "--grid", "--category", 1), "found --category and --grid"),
        (("CP", "--number", 0), "expected 1 or more, found 0"),
        (("CP", "--label", "7", "--seed", -1), "--seed: expected a number from 0 to 2^63 - 1"),
        (("CP", "--seed", 2**64), "--seed: expected a number from 0 to 2^63 - 1"),
        (("HVAE",), "no pictures in grey"),
    ],
)
def test_sample_says_what_is_wrong(
    out: Path, tmp_path: Path, words: tuple[object, ...], said: str
) -> None:
    ended = bench("sample", *words, "--out", out, "--to", tmp_path / "a.png")
    assert ended.status == 2
    assert said in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_importing_is_cheap() -> None:
    code = (
        "import sys, bench; heavy = {'torch', 'pandas', 'matplotlib', 'mlflow'} & set(sys.modules);"
        "assert not heavy, heavy; assert 'load' in bench.__all__;"
        "assert bench.__version__; assert not hasattr(bench, 'nothing')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=400)


def test_a_name_must_mean_one_cell(out: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown model or cell"):
        package.load("MG", out=out)
    with pytest.raises(UsageError, match="no results in"):
        package.load("CP", out=tmp_path)
    with pytest.raises(UsageError, match="no results in"):
        package.results(tmp_path)


def test_a_cell_encodes_decodes_and_samples(out: Path) -> None:
    cell = package.load("CP", out=out)
    assert "CP K=4 on digits, seed 0" in repr(cell)
    assert cell.config["prior"] == "conditional"
    kept = cell.examples
    assert kept is not None
    found = cell.encode(kept.x[:5].reshape(5, 8, 8))
    assert found.z.shape == (5, 2)
    assert found.c is not None
    np.testing.assert_allclose(found.c.sum(axis=1), 1.0)
    whole = cell.decode(found.z, [0, 1, 2, 3, 0])
    assert whole.shape == (5, 8, 8)
    np.testing.assert_allclose(cell.decode(found.z[1:2], 1)[0], whole[1], atol=1e-6)
    for options in ({}, {"category": 2}, {"label": "7"}, {"component": 1}):
        one, other = (cell.sample(3, **options, seed=4) for _ in range(2))  # type: ignore[arg-type]
        assert one.shape == (3, 8, 8)
        np.testing.assert_array_equal(one, other)


def test_wrong_shapes_and_categories_are_said(out: Path) -> None:
    cp, vae = package.load("CP", out=out), package.load("VAE", out=out)
    with pytest.raises(ValueError, match="expected rows of 64 numbers"):
        cp.encode(np.zeros((2, 63)))
    with pytest.raises(ValueError, match=r"expected z of shape \(N, 2\)"):
        cp.decode(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="categories 0 to 3; found c = 4"):
        cp.decode(np.zeros((2, 2)), 4)
    with pytest.raises(ValueError, match="no category"):
        vae.decode(np.zeros((2, 2)), 0)
    assert vae.encode(np.zeros((2, 64))).c is None


def test_results_are_those_of_the_csv(out: Path) -> None:
    table = package.results(out)
    written = results(out)
    assert table["cell"].tolist() == [row["cell"] for row in written]
    assert list(table.columns) == list(written[0])
    np.testing.assert_allclose(table["nelbo"], [float(row["nelbo"]) for row in written], atol=1e-6)
    assert table.set_index("model")["components"].dropna().to_dict() == {"VP": 4, "CP": 4}


def test_every_name_stays_what_it_is(out: Path) -> None:
    """A module of the same name would take its place as soon as something imports it."""
    code = (
        "import bench, pkgutil; found = {name: getattr(bench, name) for name in bench.__all__};"
        "import bench.cli, bench.interface_report, bench.interface_run;"
        "assert all(getattr(bench, name) is value for name, value in found.items());"
        "assert not set(bench.__all__) & {m.name for m in pkgutil.iter_modules(bench.__path__)}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=400)


def test_comparisons_are_those_of_the_command(out: Path) -> None:
    table = package.compare("CP", "VAE", out=out, datasets=["digits"])
    printed = bench("compare", "CP", "VAE", "--out", out, "--format", "csv").out
    (written,) = csv.DictReader(io.StringIO(printed))
    assert list(table.columns) == list(written)
    assert table["difference"].tolist() == [float(written["difference"])]
    with pytest.raises(UsageError, match="unknown metric"):
        package.compare("CP", "VAE", "nothing", out=out)


def test_the_scorecard_is_that_of_the_command(out: Path) -> None:
    printed = json.loads(bench("report", "--scorecard", "--out", out, "--format", "json").out)
    table = package.scorecard(out)
    assert table["verdict"].tolist() == [verdict["verdict"] for verdict in printed]
    assert len(package.scorecard(out, models=["CP"])) == len(printed)
    with pytest.raises(UsageError, match="unknown model"):
        package.scorecard(out, models=["nothing"])


def test_tables_are_those_of_the_report(out: Path) -> None:
    found = package.tables(out)
    bounds = found["bounds-digits"]
    assert set(bounds["model"]) == {"VAE", "VP", "CP"}
    printed = bench("report", "--out", out, "--format", "markdown").out
    assert all(text in printed for text in bounds["NELBO"])
    assert any(key.startswith("table1") for key in found)
    assert package.tables(out, ["bounds"], models=["CP"]).keys() == {"bounds-digits"}
    with pytest.raises(UsageError, match="unknown section 'nothing'"):
        package.tables(out, ["nothing"])


def test_the_page_and_pictures_are_written(out: Path, tmp_path: Path) -> None:
    told: list[str] = []
    path = package.page(out, told.append)
    assert path == out / "report" / "index.html"
    assert told == []
    made = package.sample("CP", tmp_path / "a.png", out=out, category=3, number=4, seed=2)
    same = ("--category", 3, "--number", 4, "--seed", 2, "--out", out, "--to", tmp_path / "b.png")
    assert bench("sample", "CP", *same).status == 0
    assert made.read_bytes() == (tmp_path / "b.png").read_bytes()
    with pytest.raises(UsageError, match="no results in"):
        package.page(tmp_path)


def test_a_search_writes_the_best_settings(tmp_path: Path) -> None:
    small = {word.split("=")[0]: word.split("=")[1] for word in SETTINGS}
    best = package.tune(
        models="VAE", datasets="digits", epochs=1, trials=2, out=tmp_path, settings=small, workers=1
    )
    assert best == tmp_path / "best.toml"
    assert "learning_rate" in best.read_text()
    with pytest.raises(UsageError, match="unknown"):
        package.tune(models="nothing", datasets="digits", out=tmp_path)


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    """In a kernel, as its readers run it: workers and figures behave otherwise in a script."""
    notebook = nbformat.read(TOUR, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 5
    assert not any(cell.outputs for cell in code)
    here = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=here).execute()
    outputs = [output for cell in code for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 2
    assert (tmp_path / "tour" / "results.csv").is_file()
    assert (tmp_path / "tour" / "report" / "index.html").is_file()
