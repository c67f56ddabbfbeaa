"""`bench check` passes what is sound and finds planted faults; `bench doctor` finds problems."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.registry import Registry
from runs import Ended, bench, results, run_tiny, write_prior

REGISTRY = Registry()


@pytest.mark.slow
@pytest.mark.parametrize("name", REGISTRY.names("prior"))
def test_every_prior_passes_with_every_posterior(name: str) -> None:
    ended = bench("check", "prior", name)
    assert ended.status == 0, ended.out
    assert " 0 failed" in ended.out
    for posterior in REGISTRY.infos("posterior"):
        paired = f"{name} x {posterior.name}: " in ended.out
        assert paired == (name != "conditional" or posterior.categorical)


@pytest.mark.parametrize("name", ["digits", "gaussians"])
def test_embedded_datasets_pass(name: str) -> None:
    ended = bench("check", "dataset", name)
    assert (ended.status, "2 passed, 0 failed" in ended.out) == (0, True)


# The whole prior is replaced: forward returns before the plugin's own last line.
COMPONENTS = """
scale = torch.ones(2, 2)
apart = self.loc + torch.tensor([[-1.5, 0.0], [1.5, 0.0]])
"""
FAULTS = {
    "averages log-densities (defect 6 of the released code)": (
        COMPONENTS
        + """
        class Averaged(Mixture):
            def log_prob(self, value):
                return (self.component_log_prob(value) * self.log_weights.exp()).sum(-1)
        return Joint(z=Averaged(DiagNormal(apart, scale)))
        """,
        "integrates to one",
    ),
    "forgets the weights": (
        COMPONENTS
        + """
        class Summed(Mixture):
            def log_prob(self, value):
                return torch.logsumexp(self.component_log_prob(value), -1)
        return Joint(z=Summed(DiagNormal(apart, scale)))
        """,
        "integrates to one",
    ),
    "samples one component only (defect 8)": (
        COMPONENTS
        + """
        class First(Mixture):
            def sample(self, sample_shape=(), generator=None):
                return self.components[0].sample(sample_shape, generator)
        return Joint(z=First(DiagNormal(apart, scale)))
        """,
        "the one sampled",
    ),
    "samples too wide": (
        COMPONENTS
        + """
        class Wide(Mixture):
            def sample(self, sample_shape=(), generator=None):
                return 1.3 * super().sample(sample_shape, generator)
        return Joint(z=Wide(DiagNormal(apart, scale)))
        """,
        "the one sampled",
    ),
    "never learns its mean (defect 1)": (
        "return Joint(z=DiagNormal(self.loc.detach(), torch.ones(2)))",
        "parameter prior.loc gets no gradient",
    ),
    "draws from the global generator": (
        "self.loc.data += 0 * torch.randn(2)",
        "global random state",
    ),
    "has another size": (
        "return Joint(z=DiagNormal(self.loc.repeat(2), torch.ones(4)))",
        "",
    ),
    "has another latent": (
        "return Joint(w=DiagNormal(self.loc, torch.ones(2)))",
        "must return a Joint over z",
    ),
    "raises": ('raise ValueError("not today [/]")', "ValueError: not today [/]"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(tmp_path: Path, fault: str) -> None:
    body, words = FAULTS[fault]
    lines = [line.removeprefix("        ") for line in body.splitlines()]
    plugin = write_prior(tmp_path / "faulty.py", "\n".join(lines))
    ended = bench("check", "prior", "faulty", "--plugin", plugin)
    assert ended.status == 1, ended.out
    assert "Traceback" not in ended.out + ended.err
    failed = [line for line in ended.out.splitlines() if line.startswith("FAILED")]
    assert any("faulty x continuous" in line and words in line for line in failed), ended.out


def test_a_sound_plugin_passes(tmp_path: Path) -> None:
    """What is planted above is all that is wrong with it."""
    ended = bench("check", "prior", "mine", "--plugin", write_prior(tmp_path / "mine.py"))
    assert ended.status == 0, ended.out


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
