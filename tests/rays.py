"""A Ray cluster of two nodes on this machine, and how to lose one of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_memory_monitor_refresh_ms": "0",  # else tasks die where others fill the machine's memory
}
SMALL = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}


@dataclass
class TwoNodes:
    """A head and a second node, of one core each."""

    cluster: Any
    second: Any

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def lose_second(self) -> None:
        """As when its power fails: SIGKILL to its raylet and to all that this has started."""
        raylet = self.second.all_processes["raylet"][0].process.pid
        doomed = [raylet, *descendants(raylet)]
        for pid in doomed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def descendants(parent: int) -> list[int]:
    """The processes beneath ``parent``."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    parents = {int(pid): int(ppid) for pid, ppid in map(str.split, listed.stdout.splitlines())}
    found: list[int] = []
    layer = [parent]
    while layer:
        layer = [pid for pid, above in parents.items() if above in layer]
        found += layer
    return found


@contextmanager
def two_nodes() -> Iterator[TwoNodes]:
    """Start the cluster; nothing of it is left at the end."""
    # Not pytest's folder: the paths of Ray's sockets must be short.
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    with patch.dict(os.environ, {**QUIET, "RAY_TMPDIR": str(folder)}):
        from ray.cluster_utils import Cluster

        cluster, nodes = Cluster(), list[Any]()
        try:
            for _ in range(2):  # the head first; by itself Ray waits for half a minute only
                nodes.append(cluster.add_node(wait=False, **SMALL))
                cluster.wait_for_nodes(timeout=300)
            yield TwoNodes(cluster, nodes[1])
        finally:
            processes = [
                started.process.pid
                for node in cluster.list_all_nodes()
                for group in node.all_processes.values()
                for started in group
            ]
            doomed = [*processes, *(pid for each in processes for pid in descendants(each))]
            cluster.shutdown()
            for pid in doomed:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            shutil.rmtree(folder, ignore_errors=True)
