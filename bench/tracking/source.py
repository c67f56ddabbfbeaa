"""Which source a run was made with."""

from __future__ import annotations

import subprocess
from pathlib import Path

SECONDS = 5.0


def git_commit() -> str | None:
    """The commit of the checkout that ``bench`` is imported from; None where there is none.

    A package installed into an environment inside somebody else's repository has no commit of its
    own, so only a repository whose root holds the package counts.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--verify", "HEAD"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
