"""The MLflow UI on a results folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.errors import UsageError
from bench.tracking.environment import ENVIRONMENT
from bench.tracking.location import locate

STOP_SECONDS = 10.0


def open_ui(uri: str, out: Path, port: int) -> int:
    """Serve the MLflow UI on this store at 127.0.0.1 until it is interrupted.

    Args:
        uri: the [tracking] uri; empty for the store inside ``out``.
        out: the results folder.
        port: the port to listen on.

    Returns:
        The exit status of the MLflow server, 0 after an interrupt.

    Raises:
        UsageError: there is no store yet, or the store is a server with a UI of its own.
    """
    location = locate(uri, out)
    if location.is_server:
        raise UsageError(f"tracking.uri is a server with its own UI: open {location.uri}")
    if location.file is not None and not location.file.is_file():
        raise UsageError(
            f"there is no MLflow store at {location.file} yet: the first `bench run` with "
            "tracking.enabled makes it (--out names another results folder)"
        )
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", location.uri]
    command += ["--default-artifact-root", location.artifacts or ""]
    # Loopback: the UI has no passwords, and it can delete runs.
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    server = subprocess.Popen(command, env={**ENVIRONMENT, **os.environ})
    try:
        return server.wait()
    except KeyboardInterrupt:
        server.terminate()
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
        return 0
