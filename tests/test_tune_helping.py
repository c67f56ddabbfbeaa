"""Workers that find no cell left train trials for those who search, and change no number."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.preparation import Request, prepare
from bench.work import Help
from bench.workers import helping
from runs import SETTINGS, Ended, bench, plan_of

ROOT = Path(__file__).parents[1]
WORDS = ("--datasets", "gaussians", "--trials", 6, "--epochs", 3)
SEARCH = ("--set", "tuning.batch=6", "--set", "training.warmup_epochs=1", "--device", "cpu")
# Nobody trains on before two processes have a trial each: the first would do them all in a moment.
WAITING = """
        if folder := os.environ.get("TEST_TOGETHER"):
            Path(folder, str(os.getpid())).touch()
            end = time.monotonic() + 300
            while len(os.listdir(folder)) < 2 and time.monotonic() < end:
                time.sleep(0.01)
"""


def tuned(out: Path, workers: int, plugin: Path) -> Ended:
    sets = [word for one in SETTINGS for word in ("--set", one)]
    pair = ("--plugin", plugin, "--priors", plugin.stem, "--posteriors", "joint")
    return bench("tune", *pair, *WORDS, *SEARCH, *sets, "--workers", workers, "--out", out)


def test_every_other_worker_may_help_every_search() -> None:
    searched = plan_of("tuning.trials=3", models=["CP", "VAE"], components=[2])
    plain = plan_of(models=["CP"], components=[2])
    groups = [(cell,) for cell in searched.cells]
    assert helping(groups, 1) == []
    assert helping(groups, 3) == [Help(cell) for cell in searched.cells] * 2
    assert helping([(cell,) for cell in plain.cells], 3) == []


def test_all_processes_of_a_run_give_its_name_and_another_run_another(tmp_path: Path) -> None:
    flags = {"run.models": "CP", "run.datasets": "gaussians", "run.out": str(tmp_path)}
    request = Request(None, None, (), SETTINGS, flags)
    one, other = (prepare(request, lambda _: None) for _ in range(2))
    named = one.workshop.run
    assert one.job.run == replace(one.job, fresh=True).workshop().run == named
    assert other.job.run != named


@pytest.mark.slow
def test_one_search_in_two_processes_finds_what_it_finds_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its trials differ in their latent dimensions and K, so that they train apart."""
    head = "def forward(self, posterior: Posterior) -> Joint:"
    before, after = (ROOT / "priors" / "conditional.py").read_text().split(head)
    imports = "import os\nimport time\nfrom pathlib import Path\n"
    plugin = tmp_path / "waiting.py"
    plugin.write_text(
        before.replace("import torch", imports + "import torch", 1) + head + WAITING + after
    )
    alone, together, seen = (tmp_path / name for name in ("alone", "together", "seen"))
    seen.mkdir()
    for out, workers in ((alone, 1), (together, 2)):
        if workers == 2:
            monkeypatch.setenv("TEST_TOGETHER", str(seen))
        ended = tuned(out, workers, plugin)
        assert ended.status == 0, ended.out + ended.err
    (expected,) = alone.glob("cells/*/trials.csv")
    (found,) = together.glob("cells/*/trials.csv")
    assert found.read_text() == expected.read_text()
    assert (together / "best.toml").read_text() == (alone / "best.toml").read_text().replace(
        str(alone), str(together)
    )
    owners = set(re.findall(r'"owner": ?"([^"]+)"', (together / "tuning.journal").read_text()))
    assert len(owners) == 2
