"""A disk that is really full: a small file system of the test's own, where it may mount one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from killing import differences
from runs import TINY, run_tiny

WORDS = (*TINY, "--models", "CP", "--datasets", "digits", "--components", "3", "--seeds", "2")
OFTEN = ("--epochs", "2", "--set", "training.checkpoint_seconds=0", "--set", "engine.replicas=2")
BENCH = f'"{sys.executable}" -m bench run "$@" --out "$OUT"'
SCRIPT = """
set -u
{small}
{bench} >"$SAID" 2>&1
echo status $?
find "$OUT" -name '.*' -type f ! -name '*.lock'
{large}
{bench} >>"$SAID" 2>&1
echo status $?
cp -r "$OUT" "$COPY"
"""


@dataclass(frozen=True)
class Disk:
    """How a disk gets full: commands before a run that does not fit, and before one that does."""

    shell: tuple[str, ...]
    small: str
    large: str
    refusal: str


def disk(kilobytes: int) -> Disk:
    """A file system of that size, which nobody else sees; else a limit for the size of a file."""
    for shell in (("unshare", "-m", "sh", "-c"), ("unshare", "-rm", "sh", "-c")):
        mount = 'mkdir -p "$OUT" && mount -t tmpfs -o size=%s none "$OUT"'
        if shutil.which("unshare") and _works((*shell, "mount -t tmpfs none /mnt")):
            larger = 'mount -o remount,size=64m "$OUT"'
            return Disk(shell, mount % f"{kilobytes}k", larger, "No space left on device")
    limits = "trap '' XFSZ; ulimit -S -f 20", "ulimit -S -f unlimited"
    return Disk(("bash", "-c"), *limits, "File too large")


def _works(command: tuple[str, ...]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "runs"
    assert run_tiny(out, *WORDS, *OFTEN).status == 0
    return out


@pytest.mark.parametrize("kilobytes", [24, 60, 120, 200])
def test_a_run_goes_on_when_there_is_room_again(
    tmp_path: Path, undisturbed: Path, kilobytes: int
) -> None:
    full = disk(kilobytes)
    said, copy = tmp_path / "said", tmp_path / "copy"
    answer = subprocess.run(
        [*full.shell, SCRIPT.format(small=full.small, large=full.large, bench=BENCH), "sh",
         *WORDS, *OFTEN],
        # All of the environment: variables of BLAS, say, choose how sums are rounded.
        env={**os.environ, "OUT": str(tmp_path / "runs"), "SAID": str(said), "COPY": str(copy),
             "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    text = said.read_text() + answer.stderr
    assert answer.stdout.split() == ["status", "1", "status", "0"], answer.stdout + text
    assert f"cannot be written: {full.refusal}" in " ".join(text.split())
    assert "run the same command again" in " ".join(text.split())
    assert "Traceback" not in text
    assert differences(copy, undisturbed) == []
