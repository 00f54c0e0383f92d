# SPDX-License-Identifier: MIT
"""What is left of faults on a node, looked for without the node's program: by the tools that an operator has."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from fault_cells import Cell, pids, wait_for

SETTLE_S = 5.0
LIMIT_S = 60.0
# Rules and queues of one network namespace.
ASKED = 'iptables-save; ip6tables-save; tc qdisc show | sed "s/^/queue: /"'
Json = dict[str, Any]


def left(cell: Cell) -> list[str]:
    """Return what of faults is on a node, when what is just ending has had a moment for that."""
    found: list[str] = []

    def look() -> bool:
        seen = _inspected(cell)
        found[:] = [*_containers(seen), *_processes(cell), *_rules(cell, seen), *_files(cell), *_groups(cell)]
        return not found

    wait_for(look, SETTLE_S, 0.5)
    return found


def _inspected(cell: Cell) -> list[Json]:
    found: list[Json] = json.loads(cell.docker("inspect", *cell.containers.values()))
    return found


def _containers(seen: list[Json]) -> list[str]:
    """Return the containers that do not run, or are paused."""
    found = []
    for one in seen:
        state = one["State"]
        if not state["Running"] or state["Paused"]:
            found.append(f"container {one['Name']} is {state['Status']}")
    return found


def _processes(cell: Cell) -> list[str]:
    """Return the processes of the node's containers that are stopped, and those that the node's program has started."""
    ours, run = tuple(cell.containers.values()), cell.run.encode()
    found = []
    for pid in pids():
        with suppress(OSError):
            place = Path(f"/proc/{pid}")
            state = (place / "stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z":
                continue
            if state in "Tt" and any(name in (place / "cgroup").read_text() for name in ours):
                found.append(f"process {pid} of a container is stopped")
            if run in (place / "environ").read_bytes():
                found.append(f"process {pid} is left: {(place / 'cmdline').read_bytes()[:200]!r}")
    return found


def _rules(cell: Cell, seen: list[Json]) -> list[str]:
    """Return rules of ours on the node and in its containers, and queues of anybody in its containers and on their ends."""
    own = [line for line in _asked("sh", "-c", ASKED) if not line.startswith("queue: ")]
    found = [f"node: {line}" for line in own if cell.run in line]
    for one in seen:
        pid = one["State"]["Pid"]
        if pid and one["HostConfig"]["NetworkMode"] != "none":
            inside = _asked("nsenter", "-t", str(pid), "-n", "sh", "-c", ASKED)
            found += [f"{one['Name']}: {line}" for line in inside if "testcell" in line or _is_queue(line)]
    return found + _queues(seen)


def _is_queue(line: str) -> bool:
    """Return whether a line tells of a queue that somebody has made: the kernel's own have the number 0."""
    words = line.split()
    return words[:2] == ["queue:", "qdisc"] and words[3] != "0:"


def _queues(seen: list[Json]) -> list[str]:
    """Return the queues on the node's ends of its containers' interfaces."""
    ends = {entry["ifindex"]: entry["ifname"] for entry in json.loads("\n".join(_asked("ip", "-j", "link", "show")))}
    made = [line.split() for line in _asked("tc", "qdisc", "show") if line.startswith("qdisc")]
    queues = {words[4]: words[2] for words in made if words[2] != "0:"}
    found = []
    for one in seen:
        pid = one["State"]["Pid"]
        links = _asked("nsenter", "-t", str(pid), "-n", "ip", "-j", "link", "show") if pid else []
        names = [ends.get(entry.get("link_index", 0)) for entry in json.loads("\n".join(links) or "[]")]
        found += [f"{one['Name']}: queue {queues[name]} on {name}" for name in names if name in queues]
    return found


def _asked(*words: str) -> list[str]:
    done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    return done.stdout.splitlines()


def _files(cell: Cell) -> list[str]:
    """Return files of faults below the node's root and in volumes, and records."""
    fills = [path for top in (cell.root, cell.folder / "volumes") for path in top.rglob("*.fill")]
    clocks = list((cell.folder / "volumes").glob("*-clock/*"))
    kept = list((cell.root / "chaos").rglob("*")) if (cell.root / "chaos").exists() else []
    return [f"file {path}" for path in (*fills, *clocks, *kept)]


def _groups(cell: Cell) -> list[str]:
    """Return the control groups of the run's units and workers."""
    found = []
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        found += [f"control group {folder}/{name}" for name in names if cell.run in name]
    return found
