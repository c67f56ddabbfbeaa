"""The command line: selection, the plan, lists, reports, and one clear message for each mistake."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from runs import TINY, Ended, bench, results, run_tiny, write_prior

Folder = Callable[[Path], list[object]]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command in an empty folder: what it writes without being told to is found there."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)


LIGHT = [
    ["--help"],
    ["run", "--help"],
    ["list"],
    ["list", "models"],
    ["list", "presets"],
    ["new", "prior", "student_t"],
]


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_help_and_lists_import_nothing_heavy(words: list[str]) -> None:
    code = """
import sys
from bench.cli import main
try:
    main()
except SystemExit as ended:
    status = ended.code
heavy = {"torch", "mlflow", "optuna", "pandas", "sklearn", "bench.priors"} & set(sys.modules)
sys.exit(f"status {status}, imported {heavy}" if status or heavy else 0)
"""
    run = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout


TABLE_3 = [
    ("VAE", "standard", "continuous"),
    ("MG", "mog", "continuous"),
    ("VP", "vamp", "continuous"),
    ("HVAE", "hierarchical", "continuous"),
    ("HVP", "hierarchical_vamp", "continuous"),
    ("INDqp", "standard", "independent"),
    ("INDp", "standard", "joint"),
    ("INDq", "conditional", "independent"),
    ("CP", "conditional", "joint"),
]


def test_list_models_shows_which_pair_is_which_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    lines = [
        [cell.strip() for cell in line.replace("┃", "│").split("│")]
        for line in bench("list", "models").out.splitlines()
    ]
    (header,) = [line for line in lines if "prior" in line]
    for name, prior, posterior in TABLE_3:
        (row,) = [line for line in lines if prior in line]
        assert row[header.index(posterior)] == name
    assert "mog x continuous" in bench("list", "models").out


@pytest.mark.parametrize("named", ["cp,indqp", "CP,INDqp", "Cp, InDqP"])
def test_models_are_named_in_any_case(named: str) -> None:
    ended = bench("run", *TINY, "--dry-run", "--models", named, "--datasets", "digits")
    assert ended.status == 0, ended.err
    assert "2 cells" in ended.out
    assert "CP" in ended.out
    assert "INDqp" in ended.out


@pytest.mark.parametrize(("seeds", "expected"), [("2", ["0", "1"]), ("0,4", ["0", "4"])])
def test_seeds_are_counted_or_listed(tmp_path: Path, seeds: str, expected: list[str]) -> None:
    out = tmp_path / "runs"
    words = ("--models", "VAE", "--datasets", "gaussians", "--seeds", seeds)
    assert run_tiny(out, *words, epochs=1).status == 0
    assert [row["seed"] for row in results(out)] == expected
    assert results(out)[0]["nelbo"] != results(out)[1]["nelbo"]


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    ended = bench("run", "--dry-run", "--priors", "all", "--datasets", "digits", *TINY)
    assert ended.status == 0, ended.err
    assert "23 cells; 1 pairs skipped" in ended.out
    assert "conditional x continuous" in ended.out
    assert "mog x continuous" in ended.out
    assert "at most about" in ended.out
    assert ended.out.count(" digits ") == 23
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


def test_the_seeds_of_a_setting_share_the_time_of_its_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bench.estimate.time_cell", lambda *_: (1.0, 50.0))
    words = ("run", "--dry-run", "--models", "VAE", "--datasets", "digits", "--seeds", 2)
    search = ("--set", "tuning.finalists=2", "--set", "tuning.repeats=3")
    ended = bench(*words, "--epochs", 100, "--trials", 20, *search, *TINY)
    assert ended.status == 0, ended.err
    # Two cells of 150 s, and one search of 20 trials and 6 repeats of 100 s: 2900 s.
    assert "at most about 48 min with 1 worker(s)" in ended.out
    assert ended.out.split("digits")[-1].split("\n")[0].replace("│", "").split() == [
        "VAE", "2", "1.00", "s", "2", "min", "50", "s", "1", "43", "min",
    ]  # fmt: skip
    ended = bench(*words, "--epochs", 100, *TINY)
    assert "at most about 5 min" in ended.out
    assert "search" not in ended.out


def test_version() -> None:
    ended = bench("--version")
    assert (ended.status, ended.out.startswith("bench ")) == (0, True)


def plugin(body: str) -> Folder:
    def _make(folder: Path) -> list[object]:
        (folder / "mine.py").write_text(body)
        return ["--plugin", folder / "mine.py", "--datasets", "digits"]

    return _make


def clash(folder: Path) -> list[object]:
    return ["--plugin", write_prior(folder / "vamp.py"), "--datasets", "digits"]


def no_data(folder: Path) -> list[object]:
    return ["--datasets", "mnist,digits,omniglot", "--data-dir", folder / "nothing"]


def corrupt(folder: Path) -> list[object]:
    from bench.datasets.mnist import MNIST

    for download in MNIST.downloads:
        path = folder / download.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no idx file")
    return ["--datasets", "mnist", "--data-dir", folder]


def below_a_file(folder: Path) -> list[object]:
    (folder / "file").touch()
    return ["--models", "VAE", "--datasets", "digits", "--out", folder / "file" / "runs"]


DATASET = """
from bench.api import Dataset
class Mine(Dataset):
    embedded = True
    def __init__(self, size: int = 3) -> None:
        self.size = 10 // size
    def load(self, roots):
        raise KeyError("no such table")
"""
DIGITS = ["--datasets", "digits"]
MISTAKES: dict[str, tuple[list[object] | Folder, list[str]]] = {
    "prior": (["--priors", "vmap"], ["unknown prior 'vmap'", "Did you mean 'vamp'?"]),
    "posterior": (["--posteriors", "jiont"], ["unknown posterior", "Did you mean 'joint'?"]),
    "dataset": (["--datasets", "digit"], ["unknown dataset", "Did you mean 'digits'?"]),
    "model": (["--models", "indqpp"], ["unknown model 'indqpp'", "Did you mean 'INDqp'?"]),
    "preset": (["--preset", "qiuck"], ["unknown preset", "Did you mean 'quick'?"]),
    "key": (["--set", "training.epoch=3"], ["unknown key", "Did you mean 'training.epochs'?"]),
    "value": (["--set", "training.learning_rate=fast"], ["training.learning_rate", "'fast'"]),
    "no value": (["--set", "training.epochs"], ["KEY=VALUE", "'training.epochs'"]),
    "option": (
        [*DIGITS, "--set", "priors.vamp.maen=1"],
        ["unknown option of prior vamp 'maen'", "Did you mean 'mean'?"],
    ),
    "option's value": ([*DIGITS, "--set", "priors.vamp.mean=x"], ["vamp x", "mean='x'"]),
    "components": (["--components", "0"], ["run.components", "greater than 0", "found 0"]),
    "no components": (["--components", "many"], ["run.components", "'many'"]),
    "seeds": (["--seeds", "some"], ["run.seeds", "'some'"]),
    "no seeds": (["--seeds", "0"], ["run.seeds", "at least one seed"]),
    "same seeds": (["--seeds", "1,1"], ["run.seeds", "[1, 1]"]),
    "epochs": (["--epochs", "0"], ["training.epochs", "greater than 0"]),
    "device": (["--device", "tpu"], ["engine.device", "'tpu'"]),
    "config": (["--config", "absent.toml"], ["absent.toml", "no such file"]),
    "both": (["--models", "CP", "--priors", "vamp"], ["either models or priors"]),
    "no data": (
        no_data,
        ["mnist", "omniglot", "bench data fetch mnist", "bench data import omniglot"],
    ),
    "corrupt": (corrupt, ["train-images-idx3-ubyte", "idx", "bench data fetch mnist"]),
    "plugin": (plugin("import no_such_module\nfrom bench.api import Prior\n"), ["mine.py"]),
    "import": (
        plugin("import no_such_module\nfrom bench.api import Prior\nclass A(Prior):\n    pass\n"),
        ["mine.py", "no_such_module", "line 1"],
    ),
    "syntax": (plugin("class A(Prior:\n"), ["mine.py", "SyntaxError", "line 1"]),
    "absent": (["--plugin", "absent.py"], ["absent.py", "no such file"]),
    "clash": (clash, ["two priors are named 'vamp'", "vamp.py"]),
    "their data": (
        lambda folder: [*plugin(DATASET)(folder)[:2], "--datasets", "mine"],
        ["dataset mine cannot be loaded", "KeyError"],
    ),
    "their option": (
        lambda folder: [
            *plugin(DATASET)(folder)[:2], "--datasets", "mine", "--set", "datasets.mine.size=0",
        ],
        ["dataset mine", "size=0", "ZeroDivisionError"],
    ),
    "out": (below_a_file, ["--out", "cannot be written"]),
}  # fmt: skip


def assert_one_message(ended: Ended, words: list[str]) -> None:
    assert ended.status == 2, ended.err
    assert ended.err.startswith("error: ")
    assert ended.err.count("error: ") == 1
    assert "Traceback" not in ended.err + ended.out
    for word in words:
        assert word in ended.err
    assert "epoch" not in ended.out


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_message_and_nothing_is_written(tmp_path: Path, mistake: str) -> None:
    given, words = MISTAKES[mistake]
    folder = tmp_path / "given"
    folder.mkdir()
    arguments = given(folder) if callable(given) else given
    out = [] if "--out" in arguments else ["--out", tmp_path / "runs"]
    assert_one_message(bench("run", *TINY, *out, *arguments), words)
    assert not [*tmp_path.rglob("results.csv"), *tmp_path.rglob("cells")]
    assert not [*Path.cwd().iterdir()]


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here, so it is no mistake")
def test_cuda_without_a_gpu() -> None:
    words = ["device 'cuda'", "0 CUDA devices", "--device cpu"]
    assert_one_message(bench("run", *TINY, "--device", "cuda", *DIGITS), words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["report"], ["no results in runs", "bench run"]),
        (["report", "--format", "marcdown"], ["unknown format", "'markdown'"]),
        (["list", "prior"], ["unknown list", "'priors'"]),
        (["check", "priors", "vamp"], ["unknown kind of plugin", "'prior'"]),
        (["check", "prior", "vmap"], ["unknown prior", "'vamp'"]),
    ],
    ids=lambda words: " ".join(words) if len(words) > 2 else None,
)
def test_mistakes_of_the_other_commands(words: list[str], expected: list[str]) -> None:
    assert_one_message(bench(*words), expected)
