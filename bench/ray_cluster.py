"""A Ray cluster to run on: find it and see what it has.

Imported only with ``--ray``; Ray is an extra.
"""

from __future__ import annotations

import logging
import os
import socket
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when ray is imported

import ray

from bench.errors import UsageError, first_line

CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Node:
    """A living node: its id, its name for people, and what it offers."""

    id: str
    name: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to."""

    address: str
    ray_gpus: float

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes that are alive now."""
        return tuple(
            Node(
                found["NodeID"],
                found["NodeManagerAddress"],
                found["Resources"].get("CPU", 0.0),
                found["Resources"].get("GPU", 0.0),
            )
            for found in ray.nodes()  # type: ignore[no-untyped-call]
            if found["Alive"]
        )

    def device(self, wanted: str) -> str:
        """The device of every cell.

        Raises:
            UsageError: a device that the cluster has not, or that Ray would have to be told.
        """
        kind, _, number = wanted.partition(":")
        gpus = sum(node.gpus for node in self.nodes)
        if number:
            raise UsageError(
                f"device {wanted!r}: expected auto, cpu or cuda with --ray, as Ray gives each task "
                "its GPU. How many share one is engine.ray_gpus."
            )
        if kind == "cuda" and not gpus:
            raise UsageError(
                f"device {wanted!r} was asked for, but no node of the Ray cluster at "
                f"{self.address} offers a GPU. Start its nodes with --num-gpus, or use --device cpu"
            )
        if kind != "auto":
            return kind
        return "cuda" if gpus else "cpu"

    def slots(self, device: str) -> tuple[int, int]:
        """How many groups run at once, as far as its nodes go now, and its cores."""
        cpus = sum(node.cpus for node in self.nodes)
        gpus = sum(int(node.gpus / self.ray_gpus) for node in self.nodes)
        return max(1, gpus if device == "cuda" else int(cpus)), max(1, int(cpus))

    def most_threads(self, threads: int) -> int:
        """So many threads, or as many as the largest node has cores."""
        return max(1, min(threads, int(max(node.cpus for node in self.nodes))))

    def resources(self, threads: int, device: str) -> dict[str, Any]:
        """What Ray sets aside for one group."""
        gpus = {"num_gpus": self.ray_gpus} if device.startswith("cuda") else {}
        return {"num_cpus": threads, **gpus}

    def fits(self, wanted: dict[str, Any]) -> bool:
        """Whether some living node could take a group, were it idle."""
        gpus = wanted.get("num_gpus", 0.0)
        return any(n.cpus >= wanted["num_cpus"] and n.gpus >= gpus for n in self.nodes)

    def close(self) -> None:
        """Leave the cluster; what still runs for this process ends."""
        ray.shutdown()


def connect(address: str, ray_gpus: float) -> Cluster:
    """Join the cluster at ``address``: HOST:PORT, ``auto``, or ``local`` to start one here.

    Raises:
        UsageError: nobody answers there, or it is of another version.
    """
    address = address.strip()
    if address == "auto" and os.environ.get("RAY_ADDRESS"):
        address = os.environ["RAY_ADDRESS"]
    if "://" in address:
        raise UsageError(
            f"--ray {address}: expected HOST:PORT, auto or local. Run bench on a node of the "
            "cluster, from a shell there or with `ray job submit`: it writes to --out as they do."
        )
    if address not in ("auto", "local"):
        _knock(address)
    ray.shutdown()  # of an earlier run in this process
    try:
        ray.init(
            address=address,
            include_dashboard=False if address == "local" else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise _nobody(address, first_line(error)) from error
    return Cluster(address, ray_gpus)


def _knock(address: str) -> None:
    """Ray itself waits for a minute where nobody listens."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(
            f"--ray {address}: expected HOST:PORT (as `ray start --head` prints it), auto or local"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _nobody(address, first_line(error)) from error


def _nobody(address: str, why: str) -> UsageError:
    why = why.rstrip(".")
    return UsageError(
        f"no Ray cluster can be joined at {address!r}: {why}. Expected one that was started with "
        "`ray start --head` and that this machine is a node of; --ray local starts one here. "
        "See docs/cluster.md."
    )
