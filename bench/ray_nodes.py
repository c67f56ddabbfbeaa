"""Whether the nodes of a Ray cluster see and know what a run needs of them."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray
import torch
from filelock import FileLock, Timeout
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bench import __version__
from bench.errors import UsageError, first_line
from bench.execution import Job
from bench.files import write_text
from bench.grid import EVALUATION_NUMERICS, TRAINING_NUMERICS, Cell, source_hash
from bench.preparation import check_data
from bench.ray_cluster import Cluster, Node
from bench.registry import Registry
from bench.tuning.storage import absolute

ANSWER_SECONDS = 180.0
"""A node imports torch before it answers, from storage that all of them may read at once."""


@dataclass(frozen=True)
class Question:
    """What a node is asked before anything trains on it."""

    job: Job
    sources: Mapping[tuple[str, str], str]
    marker: Path
    token: str


def check_nodes(
    cluster: Cluster, job: Job, cells: Sequence[Cell], notice: Callable[[str], None]
) -> Job:
    """See that every node has this version, sees ``--out`` and the data, and knows the plugins.

    Args:
        cluster: where the job is to run.
        job: as prepared for this machine.
        cells: what is to run.
        notice: hears what is worth knowing but stops nothing.

    Returns:
        The job as the nodes get it: absolute paths, and the plugin files in ``--out``.

    Raises:
        UsageError: some node cannot take part; nothing has trained.
    """
    job = shipped(job)
    marker, token = job.out / ".ray" / uuid4().hex, uuid4().hex
    sources = {
        (kind, getattr(cell, kind)): source
        for cell in cells
        for kind, source in cell.settings["sources"].items()
    }
    question = Question(job, sources, marker, token)
    lock = marker.with_suffix(".lock")
    try:
        write_text(marker, token)
        with FileLock(lock):
            answers = _ask(cluster, question)
    finally:
        for path in (marker, lock):
            path.unlink(missing_ok=True)
    problems = []
    for name, found in answers:
        if found["version"] != numerics():
            problems.append(f"node {name} has {found['version']}; expected {numerics()}, as here")
        problems += [f"node {name}: {said}" for said in found["problems"]]
    if problems:
        raise UsageError("the Ray cluster is not ready:\n" + "\n".join(dict.fromkeys(problems)))
    for what, here in (("torch", torch.__version__), ("Python", platform.python_version())):
        others = sorted({found[what] for _, found in answers} - {here})
        if others:
            notice(f"{what} is {here} here and {', '.join(others)} on other nodes: the last digits "
                   "of a number may depend on the node")  # fmt: skip
    if any(not found["locked"] for _, found in answers):
        notice(f"locks on {job.out} do not reach from node to node: let no second run, on whatever "
               "machine, use this --out at the same time (docs/cluster.md)")  # fmt: skip
    return job


def shipped(job: Job) -> Job:
    """The job with absolute paths and its plugin files copied to where every node sees them."""
    out = job.out.absolute()
    plugins = []
    for path in job.plugins:
        text = path.read_bytes()
        copy = out / ".plugins" / sha256(text).hexdigest()[:12] / path.name
        if not copy.exists():
            write_text(copy, text.decode())
        plugins.append(copy)
    roots = tuple(root.absolute() for root in job.roots)
    tuning = job.config.tuning
    tuning = tuning.model_copy(update={"storage": absolute(tuning.storage)})
    config = job.config.model_copy(update={"tuning": tuning})
    return replace(job, config=config, out=out, roots=roots, plugins=tuple(plugins))


def on_node(node_id: str) -> NodeAffinitySchedulingStrategy:
    """There and nowhere else."""
    return NodeAffinitySchedulingStrategy(node_id, soft=False)


def _ask(cluster: Cluster, question: Question) -> list[tuple[str, dict[str, Any]]]:
    """What every node that would take work answers, by its name."""
    probe = ray.remote(max_retries=0, num_cpus=0)(answer)
    asked = {
        probe.options(scheduling_strategy=on_node(node.id)).remote(question): node
        for node in cluster.nodes
        if node.cpus > 0
    }
    end, waiting = time.monotonic() + ANSWER_SECONDS, list(asked)
    answers = []
    while waiting:
        ready, waiting = ray.wait(waiting, timeout=1.0)
        alive = {node.id for node in cluster.nodes}
        for reference in ready:
            node = asked[reference]
            try:
                answers.append((node.name, ray.get(reference)))
            except ray.exceptions.RayError as error:
                if node.id in alive:
                    raise UsageError(_mute(node, first_line(_cause(error)))) from error
        waiting = [reference for reference in waiting if asked[reference].id in alive]
        if waiting and time.monotonic() > end:
            why = f"no answer within {ANSWER_SECONDS:.0f} s"
            raise UsageError(_mute(asked[waiting[0]], why))
    return answers


def _cause(error: BaseException) -> BaseException:
    return getattr(error, "cause", None) or error


def _mute(node: Node, why: str) -> str:
    return (
        f"the Ray cluster is not ready: node {node.name} cannot run bench {__version__}: {why}. "
        "Expected the same version of this package in the Python that its `ray start` ran in."
    )


def numerics() -> str:
    """What two nodes must agree in for their numbers to be of one kind."""
    return f"bench {__version__}, numerics {TRAINING_NUMERICS}.{EVALUATION_NUMERICS}"


def answer(question: Question) -> dict[str, Any]:
    """What this node finds; runs on the node."""
    job, marker = question.job, question.marker
    problems: list[str] = []
    found: dict[str, Any] = {
        "problems": problems, "locked": True, "torch": torch.__version__,
        "Python": platform.python_version(), "version": numerics(),
    }  # fmt: skip
    try:
        seen = marker.read_text()
    except OSError:
        seen = ""
    if seen != question.token:
        problems.append(
            f"does not see what this machine writes to --out {job.out}. Expected storage that all "
            "nodes share, under the same path; choose it with --out DIR."
        )
        return found
    try:
        with FileLock(marker.with_suffix(".lock"), timeout=0):
            found["locked"] = False
    except Timeout:
        pass
    registry = Registry(job.plugins)
    names = [name for kind, name in question.sources if kind == "dataset"]
    try:
        for (kind, name), source in question.sources.items():
            if source_hash(registry.get(kind, name)) != source:
                problems.append(f"{kind} {name!r} is another file there than on this machine")
            registry.load(kind, name)
        check_data(registry, job.config, names, job.roots)
    except UsageError as error:
        problems.append(str(error))
    return found
