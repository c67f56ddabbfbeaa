"""docs/cluster.md: the SLURM script and the KubeRay manifest, without SLURM and Kubernetes."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

PAGE = (Path(__file__).parents[1] / "docs" / "cluster.md").read_text()
STUBS = {
    # More names than a pipe holds: a reader that stops after the first breaks the writer's pipe.
    "scontrol": "for i in $(seq 20000); do echo node$i; done",
    "srun": 'case "$*" in *hostname*) echo "10.0.0.7 fe80::1";; *) echo "srun $*" >>"$LOG";; esac',
    "sleep": "exit 0",
    "bench": 'trap "echo saved >>$LOG; exit 130" TERM; echo "bench $*" >>"$LOG"; eval "$WORK"',
}
# Of KubeRay's ray.io/v1: RayJobSpec, RayClusterSpec, HeadGroupSpec and WorkerGroupSpec.
KNOWN = {
    "job": {"entrypoint", "shutdownAfterJobFinishes", "backoffLimit", "rayClusterSpec"},
    "cluster": {"rayVersion", "headGroupSpec", "workerGroupSpecs"},
    "head": {"rayStartParams", "template"},
    "worker": {
        "groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template",
    },
}  # fmt: skip


def block(kind: str) -> str:
    (found,) = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.S)
    return str(found)


def submitted(folder: Path, work: str) -> subprocess.Popen[str]:
    """The script as SLURM starts it on three nodes, with commands that only say their names."""
    commands = folder / "commands"
    commands.mkdir()
    for name, body in STUBS.items():
        (commands / name).write_text(f"#!/bin/bash\n{body}\n")
        (commands / name).chmod(0o755)
    activate = folder / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text("")
    (folder / "job.sh").write_text(block("bash"))
    slurm = {"SUBMIT_DIR": folder, "JOB_NODELIST": "node[1-3]", "JOB_NUM_NODES": 3}
    slurm |= {"CPUS_PER_TASK": 16, "GPUS_ON_NODE": 1}
    environment = {f"SLURM_{name}": str(value) for name, value in slurm.items()}
    return subprocess.Popen(
        ["bash", str(folder / "job.sh")],
        env={
            **environment, "PATH": f"{commands}:/usr/bin:/bin", "LOG": str(folder / "log"),
            "WORK": work,
        },
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def test_the_slurm_script_starts_a_head_the_workers_and_the_run(tmp_path: Path) -> None:
    process = submitted(tmp_path, "exit 1")
    _, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (1, "")  # the run's own
    log, end = tmp_path / "log", time.monotonic() + 300
    while len(said := sorted(log.read_text().splitlines())) < 3:  # two go on in the background
        assert time.monotonic() < end, said
        time.sleep(0.05)
    assert len(said) == 3
    assert said[0].startswith("bench run --preset paper --out ")
    assert said[0].endswith(" --ray 10.0.0.7:6379")
    start = "--num-cpus=16 --num-gpus=1"
    head = "ray start --head --node-ip-address=10.0.0.7 --port=6379 --block"
    assert f"--nodelist=node1 {head} {start} --include-dashboard=false" in said[1]
    expected = "srun --nodes=2 --ntasks=2 --exclude=node1 ray start --address=10.0.0.7:6379 --block"
    assert said[2] == f"{expected} {start}"


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler of its own for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = re.findall(r"^SigCgt:\s*([0-9a-f]+)$", status, re.M)
    return bool(int(mask, 16) >> number - 1 & 1)


def test_the_slurm_script_lets_the_run_save_before_its_time_is_up(tmp_path: Path) -> None:
    process = submitted(tmp_path, "while true; do /bin/sleep 0.1; done")
    log, end = tmp_path / "log", time.monotonic() + 300
    while not (log.exists() and "bench run" in log.read_text()):
        assert time.monotonic() < end
        time.sleep(0.05)
    while not catches(process.pid, signal.SIGTERM):  # `bench` runs before the script traps it
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    assert process.returncode == 130
    assert "saved" in log.read_text()


def test_the_manifest_has_the_fields_of_kuberay() -> None:
    job: dict[str, Any] = yaml.safe_load(block("yaml"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    cluster = spec["rayClusterSpec"]
    head, (worker,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    found = {"job": spec, "cluster": cluster, "head": head, "worker": worker}
    assert {name: set(part) for name, part in found.items()} == KNOWN
    for group in (head, worker):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes
            assert container["resources"]["requests"] == container["resources"]["limits"]


def test_the_manifest_names_the_ray_that_is_tested() -> None:
    version = metadata.version("ray")
    assert f'rayVersion: "{version}"' in PAGE
    assert f"rayproject/ray:{version}-" in PAGE
