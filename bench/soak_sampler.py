# SPDX-License-Identifier: MIT
"""What it costs a node to sample 50 containers every second: JSON lines, beside `docker stats` on the same containers."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rig
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package
from rig import at_most, line

CONTAINERS = 50
SECONDS = 60.0
MOST_PERCENT, MOST_MIB = 1.0, 40.0
# Three processes each, which wait; a container that works costs the sampler no more.
COMMAND = "sleep 3600 & sleep 3600 & exec sleep 3600"
TICKS = os.sysconf("SC_CLK_TCK")
STATS = ("docker", "stats", "--no-stream", "--format", "{{json .}}")
ENGINE = ("dockerd", "containerd")


@dataclass(frozen=True)
class Node:
    """The node's program on a root of its own, for one case of a run that holds the node."""

    program: Path
    root: Path
    run: dict[str, Any]

    def call(self, op: str, **args: Any) -> dict[str, Any]:
        """Return the result of an operation; RuntimeError with its answer when it fails."""
        request = {"op": op, "root": str(self.root), "run": self.run, "owner": "bench", "args": args}
        words = [sys.executable, "-I", "-S", "-E", str(self.program)]
        done = subprocess.run(words, input=json.dumps(request).encode(), capture_output=True, timeout=60, check=True)
        answer = json.loads(done.stdout.splitlines()[-1].removeprefix(b"@cell "))
        if "result" not in answer:
            raise RuntimeError(f"{op} failed: {answer}")
        return dict(answer["result"])


@contextmanager
def node() -> Iterator[Node]:
    """Give a node that a run holds, with a test that goes on."""
    with tempfile.TemporaryDirectory(prefix="testcell-bench-") as folder:
        program = Path(folder, "cellnode.pyz")
        program.write_bytes(package.build("cellnode").content)
        run = {"id": f"b{uuid.uuid4().hex[:12]}", "scenario": "soak", "case": "", "attempt": 1, "epoch": None}
        made = Node(program, Path(folder, "root"), run)
        run["epoch"] = made.call("lease", action="acquire", ttl_s=60)["epoch"]
        made.call("supervise", action="start", name="test", argv=["sleep", "3600"])
        try:
            yield made
        finally:
            made.call("supervise", action="kill", name="test")
            made.call("clean")


@contextmanager
def containers(run: dict[str, Any]) -> Iterator[list[str]]:
    """Have the containers run, each a service of the case, and give their names."""
    names = [f"s{number:02d}" for number in range(CONTAINERS)]
    fixed = [f"testcell.run={run['id']}", f"testcell.scenario={run['scenario']}", "testcell.case="]
    try:
        for name in names:
            labels = [f"--label={label}" for label in (*fixed, f"com.docker.compose.service={name}")]
            words = ["docker", "run", "-d", *labels, "--network=none", "--entrypoint", "sh", rig.IMAGE, "-c", COMMAND]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL, timeout=60)
        yield names
    finally:
        label = f"label=testcell.run={run['id']}"
        found = subprocess.run(
            ["docker", "ps", "-aq", "--filter", label], check=True, stdout=subprocess.PIPE, text=True
        )
        if found.stdout.split():
            subprocess.run(["docker", "rm", "-f", *found.stdout.split()], check=True, stdout=subprocess.DEVNULL)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process and of its children that have ended; 0 for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICKS


def engine_s() -> float:
    """Return the CPU seconds of the engine's processes so far."""
    total = 0.0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                name = (folder / "comm").read_text().strip()
            except OSError:
                continue
            total += cpu_s(int(folder.name)) if name in ENGINE else 0.0
    return total


def peak_mib(pid: int) -> float:
    """Return the most memory that a process had."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(words.split()[1]) / 1024 for words in text.splitlines() if words.startswith("VmHWM:"))


@dataclass(frozen=True)
class Cost:
    """CPU seconds a second of whoever looks and of the engine, and how often a second all containers were told."""

    own: float
    engine: float
    rate: float


def peer() -> Cost:
    """Return what `docker stats` costs in a loop."""
    began, own, engine, looks = time.monotonic(), _children_s(), engine_s(), 0
    while time.monotonic() - began < SECONDS / 2:
        subprocess.run(STATS, check=True, stdout=subprocess.DEVNULL, timeout=60)
        looks += 1
    seconds = time.monotonic() - began
    return Cost((_children_s() - own) / seconds, (engine_s() - engine) / seconds, looks / seconds)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ours(made: Node, names: list[str]) -> tuple[Cost, float, dict[str, Any]]:
    """Return what the sampler costs, its peak memory in MiB, and its last status."""
    made.call("soak", action="begin", services=names, duration_s=3600.0, test_unit="test")
    made.call("soak", action="mark", duration_s=3600.0)
    time.sleep(3.0)  # its start, which asks the engine for each container once, is told by the memory alone
    first = made.call("soak", action="status")
    pid = int(first["unit"]["pid"])
    began, own, engine = time.monotonic(), cpu_s(pid), engine_s()
    time.sleep(SECONDS)
    seconds = time.monotonic() - began
    cost_s, engine_cost_s, memory = cpu_s(pid) - own, engine_s() - engine, peak_mib(pid)
    last = made.call("soak", action="end")
    rate = (last["lines"] - first["lines"]) / seconds
    return Cost(cost_s / seconds, engine_cost_s / seconds, rate), memory, last


def idle() -> float:
    """Return the CPU seconds a second of an engine that nobody asks."""
    began, engine = time.monotonic(), engine_s()
    time.sleep(SECONDS / 4)
    return (engine_s() - engine) / (time.monotonic() - began)


def figures() -> Iterator[dict[str, object]]:
    """Yield what a sample a second costs in CPU and memory."""
    with node() as made, containers(made.run) as names:
        alone = idle()
        cost, memory, last = ours(made, names)
        stats = peer()
    unit, words = "% of a core", "docker stats --no-stream in a loop"
    facts = {"containers": CONTAINERS, "processes": 3 * CONTAINERS, "seconds": SECONDS}
    rates = {"samples_per_s": round(cost.rate, 3), "peer_samples_per_s": round(stats.rate, 3)}
    percent = 100 * cost.own
    yield line("G4-cpu", percent, unit, words, 100 * stats.own, **at_most(percent, MOST_PERCENT), **facts, **rates)
    told = {"target": None, "holds": None, "idle": round(100 * alone, 4)}
    yield line("G4-engine", 100 * cost.engine, f"{unit}, of the engine", words, 100 * stats.engine, **told)
    each = 1000 * (cost.own + cost.engine - alone) / cost.rate
    peer_each = 1000 * (stats.own + stats.engine - alone) / stats.rate
    yield line("G4-a-sample", each, "ms of CPU, the engine's included", words, peer_each, target=None, holds=None)
    yield line("G4-memory", memory, "MiB at the highest", "the target", MOST_MIB, **at_most(memory, MOST_MIB))
    yield line(
        "G4-line", last["bytes"] / last["lines"], "bytes a line", "lines", last["lines"], target=None, holds=None
    )


def main() -> int:
    """Print one line a figure; return 1 when a target does not hold."""
    return rig.show(figures())


if __name__ == "__main__":
    raise SystemExit(main())
