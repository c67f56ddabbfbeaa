"""The page without a browser: one file, nothing from outside, no name that takes it over."""

from __future__ import annotations

import hashlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import cells, training
from bench.data import loading as data_loading
from bench.report.figures import Figure
from bench.report.page import build, write_page
from bench.report.page.inline import inline
from bench.report.page.links import LOCAL, Links, find_links
from bench.report.page.pairs import paired
from bench.report.page.parts import Parts
from bench.report.page.pictures import Embedder
from bench.report.page.views import cell_columns
from bench.report.statistics import models_test
from bench.report.summary import summarise
from bench.store import Store
from fabricated import empty, put, row
from paged import HOSTILE, MEANS, costs, full_store
from runs import bench

VENDOR = Path(__file__).parents[1] / "bench" / "report" / "page" / "vendor"
SUMS = re.findall(
    r"^\| (\S+) \| \S+ \| ([0-9a-f]{64}) \|$", (VENDOR / "README.md").read_text(), re.M
)


class Reader(HTMLParser):
    """What a browser would fetch or run, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts, self.fetched, self.words, self.handlers = 0, [], "", []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.scripts += tag == "script" and found.get("type") != "application/json"
        self.handlers += [name for name in found if name.startswith("on")]
        if tag in ("link", "iframe", "object", "embed", "base", "form"):
            self.fetched.append(tag)
        if source := found.get("src"):
            self.fetched += [] if source.startswith("data:") else [source]

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    store, rows = full_store(tmp_path_factory.mktemp("page"))
    return write_page(store, rows).read_text()


def test_nothing_is_fetched_and_nothing_runs_but_what_is_written_here(text: str) -> None:
    found = Reader(text)
    assert found.fetched == []
    assert found.handlers == []
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    hashes = re.findall(r"'(sha256-[^']*)'", policy)
    assert found.scripts == len(hashes) == 7
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_hostile_names_and_reasons_are_text(text: str) -> None:
    assert HOSTILE not in text
    assert HOSTILE in Reader(text).words
    assert "&lt;/script&gt;" in text


def test_everything_is_in_the_html_itself(text: str) -> None:
    words = Reader(text).words
    for expected in ("0.50 ± 0.01 (0.10)", "permutation null", "1 cell failed", "Compare", "nats"):
        assert expected in words
    assert text.count('src="data:image/png;base64,') == 2
    assert 'href="../cells/cp0/samples.png"' in text


def test_a_store_of_a_failure_alone_has_a_page(tmp_path: Path) -> None:
    store = empty(tmp_path)
    failed = put(store, row(status="failed", reason="no", nelbo=None, nll=None, purity=None))
    assert "1 cell failed" in Reader(write_page(store, [failed]).read_text()).words


def test_every_number_of_a_cell_has_a_definition() -> None:
    values = {"nelbo", "nll", "purity", "js_uniform", "js", "A", "epochs", "seconds", "ess"}
    (line,) = summarise([row(**dict.fromkeys(values, 1.0))])
    blank = {
        column.heading
        for _, column, _ in cell_columns([line])
        if not column.meaning and not column.heading.endswith(" u")
    }
    assert blank == set()


def test_pairs_are_those_of_the_paired_test(tmp_path: Path) -> None:
    store, rows = full_store(tmp_path)
    done = [one for one in rows if one["status"] == "ok"]
    found = paired(store, done, summarise(rows))
    (group,) = (one for one in found["groups"] if one["examples"] == 400)
    pairs = [(a, b) for i, a in enumerate(group["cells"]) for b in group["cells"][i + 1 :]]
    values = dict(zip(pairs, group["values"]["nelbo"], strict=True))
    a, b = costs(0, MEANS["CP"]), costs(20, MEANS["VP"])
    test = models_test(a[None], b[None])
    difference, se, p, lower, higher = values["cp0", "vp0"]
    expected = (test.difference, test.se, test.p)
    assert (difference, se, p) == pytest.approx(expected, rel=1e-3)
    assert lower + higher == pytest.approx(1.0)
    assert group["quantile"] * test.se == pytest.approx(test.high - test.difference)


def test_pairs_without_room_are_named(tmp_path: Path) -> None:
    store, rows = full_store(tmp_path)
    done = [one for one in rows if one["status"] == "ok"]
    found = paired(store, done, summarise(rows), entries=20)
    assert found["left_out"] == ["nll", "nll_rb", "reconstruction", "kl_z", "kl_c"]
    assert paired(store, done, summarise(rows), entries=1)["groups"] == []


def test_pictures_are_pressed_into_their_share_or_left_out(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (400, 400), dtype=np.uint8)
    path = tmp_path / "samples.png"
    Image.fromarray(noise).save(path)
    alone = Embedder(1_000_000, [10]).embed(path)
    assert alone is not None
    assert alone.source.startswith("data:image/png")
    assert (alone.width, alone.height) == (400, 400)
    pressed = Embedder(400_000, [160_000] * 10).embed(path)
    assert pressed is not None
    assert pressed.source.startswith("data:image/webp")
    assert len(pressed.source) < len(alone.source)
    large = Embedder(400_000, [160_000, *([10] * 9)]).embed(path)
    assert large is not None
    assert large.source == alone.source  # the small ones leave it their room
    full = Embedder(1000, [10])
    left_out = full.embed(path)
    assert left_out is not None
    assert (left_out.source, full.left_out) == ("", 1)
    assert Embedder(1000, [10]).embed(tmp_path / "none.png") is None
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert Embedder(1000, [10]).embed(tmp_path / "broken.png") is None


def test_figures_without_room_are_links_and_those_of_the_grid_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rows = full_store(tmp_path)
    folder = store.out / "report" / "figures"
    folder.mkdir(parents=True)
    random, figures = np.random.default_rng(0), list[Figure]()
    for number in range(12):  # noise cannot be pressed
        path = folder / f"{number}.png"
        noise = random.integers(0, 255, (400, 400), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        cell = None if number == 11 else "cp0"
        figures.append(
            Figure(f"{number}", "Noise", f"Figure {number}.", path, None, "digits", (), None, cell)
        )
    parts = Parts(figures)
    monkeypatch.setattr(build, "make_parts", lambda *_: parts)
    monkeypatch.setattr(build, "FIGURE_ROOM", 100_000)
    monkeypatch.setattr(build, "CELL_ROOM", 20_000)
    told: list[str] = []
    text = write_page(store, rows, notice=told.append).read_text()
    left_out = text.count("; no room for it here")
    assert 0 < left_out < 12
    assert f"{left_out} figures are links: the page has no more room" in told
    assert 'alt="Figure 11."' in text
    monkeypatch.setattr(build, "CELL_ROOM", 2_000_000)  # what pictures of cells leave, is theirs
    told.clear()
    assert "; no room for it here" not in write_page(store, rows, notice=told.append).read_text()
    assert not told


@pytest.mark.slow
def test_sixty_cells_take_less_than_ten_megabytes(tmp_path: Path) -> None:
    store, rows = empty(tmp_path), []
    picture = np.random.default_rng(1).integers(0, 255, (280, 280), dtype=np.uint8)
    for number in range(60):
        values = costs(number, 90.0 + number)
        made = row(number % 3, f"M{number // 3}", cell=f"cell{number}")
        names = ("nelbo", "nll", "nll_rb", "reconstruction", "kl_z", "kl_c")
        rows.append(put(store, made, **dict.fromkeys(names, np.tile(values, 25))))
        for name in ("samples.png", "categories.png", "labels.png"):
            Image.fromarray(picture).save(store.folder(made["cell"]) / name)
    path = write_page(store, rows)
    assert path.stat().st_size < 10_000_000


def test_the_page_of_a_trained_store_trains_nothing_and_has_everything(
    store: Store, made: list[Figure], monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long it takes for sixty cells, ``python -m benchmarks.report`` says."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the report trains, evaluates or reads a dataset")

    monkeypatch.setattr(training.ReplicaTrainer, "__init__", refuse)
    monkeypatch.setattr(data_loading, "load_splits", refuse)
    monkeypatch.setattr(cells, "_evaluate", refuse)
    told: list[str] = []
    shutil.rmtree(store.out / "report" / "figures")
    path = write_page(store, store.rows(), notice=told.append)
    assert told == []
    text = path.read_text()
    found = Reader(text)
    for figure in made:
        assert figure.caption in found.words, figure.key
        assert figure.png.is_file()
    for done in store.rows():
        assert f'id="cell-{done["cell"]}"' in text
    for table in ("Table 1", "Table 3", "Scorecard"):
        assert table in found.words


def test_a_drawing_in_the_page_says_what_its_points_are(tmp_path: Path) -> None:
    """The names in it are the user's: they are text, whatever they hold."""
    store = empty(tmp_path)
    rows = [put(store, row(0, model, cell=f"cell{i}")) for i, model in enumerate((HOSTILE, "CP"))]
    text = write_page(store, rows, notice=pytest.fail).read_text()
    drawn = re.search(r'<div class="drawing">(.*?)</div>', text, re.S)
    assert drawn is not None
    assert drawn[1].startswith("<svg ")
    assert HOSTILE not in text
    assert Reader(text).handlers == []
    said = re.findall(r'tabindex="0" role="img" aria-label="([^"]*)"', drawn[1])
    assert len(said) == 2
    assert any(
        label.startswith("CP K=10: NELBO 100.00 ± 0.70 nats, purity 0.500") for label in said
    )
    ids = re.findall(r' id="([^"]*)"', drawn[1])
    assert all(name.startswith("bound-purity-digits-") for name in ids)
    for name in re.findall(r'(?:href="|url\()#([^")]*)', drawn[1]):
        assert name in ids


@pytest.mark.parametrize(
    "content",
    [
        b"<svg",
        b"<html/>",
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>',
        b'<svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>',
        b'<svg xmlns="http://www.w3.org/2000/svg"><a href="javascript:x()"/></svg>',
    ],
)
def test_a_drawing_that_is_more_than_one_is_left_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "drawing.svg"
    path.write_bytes(content)
    assert inline(path, "caption") == ""


def test_a_server_has_addresses_of_its_own(tmp_path: Path) -> None:
    told: list[str] = []
    assert find_links("", tmp_path, told.append) == Links()
    found = find_links("http://127.0.0.1:9/", tmp_path, told.append)
    assert (found.home, found.is_server, found.runs) == ("http://127.0.0.1:9", True, {})
    assert len(told) == 1


def test_runs_of_a_store_are_found(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    from bench.tracking.location import locate

    client = MlflowClient(tracking_uri=locate("", tmp_path).uri)
    experiment = client.create_experiment("bench", str(tmp_path / "mlartifacts"))
    run = client.create_run(experiment, tags={"cell": "cp0"}).info.run_id
    client.create_run(experiment, tags={"cell": "vae0", "trial": "3"})
    found = find_links("", tmp_path, pytest.fail)
    assert found.runs == {"cp0": f"{LOCAL}/#/experiments/{experiment}/runs/{run}"}


def test_the_command_writes_it_and_the_report_says_where(tmp_path: Path) -> None:
    store, _ = full_store(tmp_path)
    path = store.out / "report" / "index.html"
    assert "page: `bench report --format html`" in bench("report", "--out", store.out).out
    ended = bench("report", "--out", store.out, "--format", "html")
    assert (ended.status, ended.err) == (0, "")
    assert str(path) in ended.out
    assert path.is_file()
    assert str(path) in bench("report", "--out", store.out).out


def test_a_choice_gives_its_tables_and_no_page(tmp_path: Path) -> None:
    store, _ = full_store(tmp_path)
    ended = bench("report", "--out", store.out, "--format", "html", "--models", "CP")
    assert ended.status == 0
    assert "<table" in ended.out
    assert "<script" not in ended.out
    assert not (store.out / "report" / "index.html").exists()


@pytest.mark.parametrize(("name", "digest"), SUMS)
def test_vendored_files_are_the_published_ones(name: str, digest: str) -> None:
    assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest


def test_every_vendored_file_has_its_sum() -> None:
    names = {path.name for path in VENDOR.iterdir()} - {"README.md"}
    assert names == {name for name, _ in SUMS}
