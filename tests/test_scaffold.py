"""`bench new` writes a package that passes `bench check`, runs, installs and is found."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.registry import KINDS, Registry
from bench.scaffold import write_package
from bench.testing import CHECKS, check_model_plugin
from runs import Ended, bench, results, run_tiny

ROOT = Path(__file__).parents[1]
NAMES = {"prior": "scale_mixture", "posterior": "deep_heads", "dataset": "ring"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(kind: str, name: str, *options: object) -> Ended:
    ended = bench("new", kind, name, *options)
    assert ended.status == 0, ended.err
    return ended


def commands(ended: Ended) -> list[list[str]]:
    """The commands that `bench new` told its user to type next."""
    lines = ended.out.split("next:\n")[1].splitlines()
    return [shlex.split(line) for line in lines if line.startswith("  ")]


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["prior", "dataset"])
def test_it_passes_the_check_that_it_names(here: Path, kind: str) -> None:
    check, *_ = commands(new(kind, NAMES[kind]))
    assert check[:4] == ["bench", "check", kind, NAMES[kind]]
    checked = bench(*check[1:])
    assert checked.status == 0, checked.out
    assert " 0 failed" in checked.out


@pytest.mark.slow
@pytest.mark.parametrize("partner", ["conditional", "hierarchical_vamp"])
def test_the_posterior_passes_the_suite(here: Path, partner: str) -> None:
    """With a prior over c and z, and with one over two layers that is built from it."""
    package = write_package("posterior", "deep_heads", None, Registry())
    registry = Registry([package.source])
    checks = [slug for slug in CHECKS if slug != "compiled"]  # as costly as all others
    findings = check_model_plugin(
        "posterior", "deep_heads", registry, partners=[partner], checks=checks
    )
    assert len(findings) > 15
    assert [finding.detail for finding in findings if not finding.passed] == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_commands_that_it_names_are_right(here: Path, kind: str) -> None:
    _, run, install = commands(new(kind, NAMES[kind]))
    planned = bench(*run[1:], "--dry-run")
    assert planned.status == 0, planned.err
    assert NAMES[kind] in planned.out
    assert install == ["pip", "install", "-e", f"./{NAMES[kind]}"]


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_those_it_names(here: Path, kind: str) -> None:
    ended, name = new(kind, NAMES[kind], "--to", "deep/er"), NAMES[kind]
    folder = here / "deep" / "er"
    assert files(here) == {f"deep/er/{path}" for path in files(folder)}
    assert files(folder) == {
        "pyproject.toml",
        "README.md",
        f"src/{name}.py",
        f"tests/test_{name}.py",
    }
    assert all(f"  {path} " in ended.out for path in files(folder))
    texts = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert not [text for text in texts if "$" in text]


def test_the_prior_is_short(here: Path) -> None:
    new("prior", "scale_mixture")
    assert len((here / "scale_mixture/src/scale_mixture.py").read_text().splitlines()) < 30


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", [("check",), ("format", "--check")], ids=" ".join)
def test_ruff_finds_nothing(here: Path, kind: str, command: tuple[str, ...]) -> None:
    new(kind, NAMES[kind])
    ruff = [
        sys.executable,
        "-m",
        "ruff",
        *command,
        "--no-cache",
        "--config",
        ROOT / "pyproject.toml",
    ]
    run = subprocess.run([*ruff, NAMES[kind]], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_the_prior_gets_rows_in_a_grid(here: Path) -> None:
    new("prior", "scale_mixture")
    plugin = ("--plugin", "scale_mixture/src/scale_mixture.py")
    cells = ("--posteriors", "continuous,joint", "--datasets", "digits", "--components", 3)
    ended = run_tiny(here / "runs", *plugin, "--priors", "scale_mixture", *cells, epochs=1)
    assert ended.status == 0, ended.out + ended.err
    rows = {row["posterior"]: row for row in results(here / "runs")}
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert rows["continuous"]["assignment"] == "prior"  # its components are found
    assert rows["joint"]["assignment"] == "posterior"


@pytest.mark.slow
def test_installed_it_is_found_and_its_own_test_passes(here: Path) -> None:
    new("prior", "scale_mixture")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    flags = ["--no-build-isolation", "--disable-pip-version-check", "--target", "site"]
    subprocess.run([*pip, *flags, "./scale_mixture"], check=True)

    def there(*command: str) -> str:
        env = {**os.environ, "PYTHONPATH": str(here / "site"), "OMP_NUM_THREADS": "1"}
        run = subprocess.run(command, cwd=here, env=env, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    listed = there(sys.executable, "-c", "from bench.cli import main; main()", "list", "priors")
    (line,) = [line for line in listed.splitlines() if "scale_mixture" in line]
    assert "Gaussian scale mixture" in line
    chosen = ("-k", "continuous and not compiled")  # the whole suite has been run above
    options = ("-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen)
    tested = there(sys.executable, *options, "scale_mixture")
    assert " passed" in tested


# What was typed, and words of the one line that answers.
REFUSED = {
    "kind": (("priors", "mine"), ("unknown kind of plugin 'priors'", "Did you mean 'prior'?")),
    "name with a dash": (("prior", "My-Prior"), ("'My-Prior' cannot name", "Try 'my_prior'.")),
    "name with a digit": (("prior", "3d"), ("'3d' cannot name a prior", "Try 'my_3d'.")),
    "word of Python's": (("prior", "lambda"), ("cannot name a prior", "Try 'my_lambda'.")),
    "nothing of a name": (("prior", "__"), ("'__' cannot name a prior: expected lowercase",)),
    "taken": (("prior", "vamp"), ("there is a prior 'vamp' already", "vamp.py", "'my_vamp'")),
    "hides a module": (("dataset", "numpy"), ("Python module 'numpy'", "would hide it")),
    "hides a built-in module": (("prior", "sys"), ("Python module 'sys'", "'my_sys'")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_mistakes_are_one_line_and_write_nothing(here: Path, case: str) -> None:
    typed, words = REFUSED[case]
    ended = bench("new", *typed)
    assert ended.status == 2
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert [word for word in words if word not in ended.err] == []
    assert not files(here)


@pytest.mark.parametrize("path", ["mine/notes.txt", "mine"], ids=["a folder", "a file"])
def test_nothing_is_overwritten(here: Path, path: str) -> None:
    (here / path).parent.mkdir(exist_ok=True)
    (here / path).write_text("all my work")
    ended = bench("new", "prior", "mine")
    assert ended.status == 2
    assert "error: mine exists already" in ended.err
    assert (files(here), (here / path).read_text()) == ({path}, "all my work")


def test_a_folder_that_cannot_be_written_is_one_line(here: Path) -> None:
    (here / "file").touch()
    ended = bench("new", "prior", "mine", "--to", "file/mine")
    assert ended.status == 2
    assert "error: file/mine cannot be written" in ended.err


CLASSES = [
    ("prior", "prior", "PriorPrior"),
    ("prior", "spec", "SpecPrior"),
    ("prior", "tempered_vamp_prior", "TemperedVampPrior"),
    ("posterior", "joint_2", "Joint2Posterior"),
    ("dataset", "split", "SplitDataset"),
]


@pytest.mark.parametrize(("kind", "name", "expected"), CLASSES, ids=[c[1] for c in CLASSES])
def test_no_name_hides_what_the_plugin_imports(
    here: Path, kind: str, name: str, expected: str
) -> None:
    package = write_package(kind, name, here / "made", Registry())
    assert Registry([package.source]).load(kind, name).__name__ == expected


def test_a_free_name_is_suggested(here: Path) -> None:
    taken = write_package("prior", "my_vamp", None, Registry())
    with pytest.raises(UsageError, match="such as 'my_vamp_2'"):
        write_package("prior", "vamp", here / "other", Registry([taken.source]))
