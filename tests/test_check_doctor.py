"""`bench check` passes what is sound and finds planted faults; `bench doctor` finds problems."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.testing import CHECKS
from runs import Ended, bench, results, run_tiny, write_prior


def test_a_sound_plugin_passes(tmp_path: Path) -> None:
    plugin = write_prior(tmp_path / "mine.py")
    ended = bench("check", "prior", "mine", "--plugin", plugin, "--with", "continuous,joint")
    assert ended.status == 0, ended.out
    lines = ended.out.splitlines()
    assert [line.split("  ")[0] for line in lines[:-1]] == ["mine x continuous", "mine x joint"]
    assert f"{2 * len(CHECKS)} passed, 0 failed" in lines[-1]


@pytest.mark.parametrize("name", ["digits", "gaussians"])
def test_embedded_datasets_pass(name: str) -> None:
    ended = bench("check", "dataset", name, "--verbose")
    assert ended.status == 0, ended.out
    assert "6 passed, 0 failed" in ended.out
    assert f"ok {name}: fingerprint is stable" in ended.out


def test_a_dataset_that_is_missing_fails_alone(tmp_path: Path) -> None:
    ended = bench("check", "dataset", "mnist", "--data-dir", tmp_path)
    assert ended.status == 1
    assert "FAILED mnist: loads, with sound arrays" in ended.out
    assert "bench data fetch mnist" in ended.out
    assert "not made  since the data do not load: splits are disjoint" in ended.out
    assert "1 passed, 1 failed, 4 not made" in ended.out


# What a plugin does, the check that fails, and what is expected, found and to do.
FAULTS = {
    "never learns its mean (defect 1 of the released code)": (
        "return Joint(z=DiagNormal(self.loc.detach(), torch.ones_like(self.loc)))",
        "every learned parameter gets a gradient",
        ("a gradient for parameter prior.loc", "it would never be learned", "without detach()"),
    ),
    "has another latent": (
        "return Joint(w=DiagNormal(self.loc, torch.ones_like(self.loc)))",
        "builds a model over the declared latents",
        ("no error", "must return a Joint over z", "in the order in which they are drawn"),
    ),
    "raises": (
        'raise ValueError("not today [/]")',
        "builds a model over the declared latents",
        ("no error", "ValueError: not today [/] (", "in the order in which they are drawn"),
    ),
}


MARKS = ("expected", "found", "to do")


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_told(tmp_path: Path, fault: str) -> None:
    """What each check finds is in test_conformance_faults.py; this is how it is said."""
    body, question, words = FAULTS[fault]
    plugin = write_prior(tmp_path / "faulty.py", body)
    ended = bench("check", "prior", "faulty", "--plugin", plugin, "--with", "continuous")
    assert ended.status == 1, ended.out
    assert "Traceback" not in ended.out + ended.err
    lines = ended.out.splitlines()
    at = lines.index(f"FAILED faulty x continuous: {question}")
    for word, mark, line in zip(
        words, ("expected", "found", "to do"), lines[at + 1 :], strict=False
    ):
        assert line.split()[0] == mark.split()[0]
        assert word in line


# A plugin may be broken in what its source shows, or only when it is imported.
BROKEN = {
    "source": "class Theirs(Prior:\n",
    "import": "from bench.api import Prior\nimport no_such\nclass Theirs(Prior):\n    pass\n",
    "absent": None,
}


@pytest.fixture(params=BROKEN)
def broken(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed distribution whose entry point names a broken prior, called `theirs`."""
    text = BROKEN[request.param]
    module = f"their_{request.param}"
    info = tmp_path / "site" / "their-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Name: their\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[bench.priors]\ntheirs = {module}\n")
    if text is not None:
        (tmp_path / "site" / f"{module}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, module, raising=False)
    return module


def named(text: str, module: str) -> bool:
    return "theirs" in text and module in " ".join(text.split())


def test_a_broken_entry_point_stops_no_other(tmp_path: Path, broken: str) -> None:
    out = tmp_path / "runs"
    words = ("--posteriors", "continuous", "--datasets", "digits", "--components", 2)
    ended = run_tiny(out, "--priors", "all", *words, epochs=1)
    assert ended.status == 0, ended.out + ended.err
    assert named(ended.out, broken)
    assert {row["status"] for row in results(out)} == {"ok", "skipped"}
    assert "theirs" not in {row["prior"] for row in results(out)}

    for words in (
        ("run", "--priors", "theirs", "--datasets", "digits"),
        ("check", "prior", "theirs"),
    ):
        refused = bench(*words)
        assert refused.status == 2
        assert refused.err.startswith("error: ")
        assert named(refused.err, broken)


def test_doctor_shows_a_broken_plugin(tmp_path: Path, broken: str) -> None:
    ended = bench("doctor", "--out", tmp_path / "runs")
    assert ended.status == 1
    (line,) = [line for line in ended.out.splitlines() if "theirs" in line]
    assert line.startswith("PROBLEM")
    assert named(line, broken)
    (priors,) = [line for line in ended.out.splitlines() if "prior plugins: " in line]
    assert "vamp" in priors


def problems(ended: Ended) -> list[str]:
    return [line for line in ended.out.splitlines() if line.startswith("PROBLEM")]


def test_doctor_finds_nothing_wrong_here(tmp_path: Path) -> None:
    ended = bench("doctor", "--out", tmp_path / "runs", "--data-dir", tmp_path)
    assert (ended.status, problems(ended)) == (0, [])
    assert "dataset mnist is missing: bench data fetch mnist" in ended.out
    assert "dataset digits: embedded" in ended.out
    assert not [*tmp_path.iterdir()]


def test_doctor_finds_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = bench("doctor", "--out", tmp_path / "file" / "runs")
    assert ended.status == 1
    (problem,) = problems(ended)
    assert "cannot be written" in problem


def test_doctor_finds_bad_settings(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[training]\nepoch = 3\n")
    ended = bench("doctor", "--config", tmp_path / "mine.toml")
    assert ended.status == 1
    assert "training.epochs" in " ".join(problems(ended))
