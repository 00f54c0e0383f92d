# SPDX-License-Identifier: MIT
"""The same graph on one node by Testcell and by Compose: `up --wait`, level by level, and one service after the other."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence

import rig
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy import graph
from rig import NODES, Project, Scenario, Service, at_most, line

# Of what the peer takes, by the seconds between two health checks.
TARGETS = {("up --wait", 1.0): 0.78, ("up --wait", 5.0): 0.33, ("one after the other", 5.0): 0.25}
SHORT = (("up --wait", 1.0), ("up --wait", 5.0))
FULL = (*SHORT, ("by levels", 1.0), ("one after the other", 1.0), ("by levels", 5.0), ("one after the other", 5.0))

# The engine takes 50 to 100 ms for each start, and the graph is little longer: a median of one says too little.
ROUNDS = 3

# Runs Compose as often as it is told to on the file of its input, and prints what that took; nothing is left.
CALLS = """
import json, os, subprocess, sys, tempfile, time

asked = json.loads(os.environ["ASKED"])
with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
    file.write(asked["file"])
    file.flush()
    compose = ["docker", "compose", "-p", "testcell-bench", "-f", file.name]
    began = time.monotonic()
    for words in asked["calls"]:
        subprocess.run([*compose, *words], check=True, capture_output=True)
    seconds = time.monotonic() - began
    subprocess.run([*compose, "down", "-t", "0"], check=True, capture_output=True)
print(seconds)
"""


def calls(peer: str, services: Sequence[Service]) -> list[list[str]]:
    """Return the words of each call of Compose, by which a peer brings the services up."""
    up = ["up", "-d", "--wait"]
    if peer == "up --wait":
        return [up]
    groups = graph.batches({one.name: one.needs for one in services})
    if peer == "one after the other":
        groups = [[name] for group in groups for name in group]
    return [[*up, "--no-deps", *group] for group in groups]


def peer_s(peer: str, scenario: Scenario) -> float:
    """Return what a peer takes on the first node, the making of the containers included."""
    asked = json.dumps({"file": scenario.compose(), "calls": calls(peer, scenario.services)})
    return float(rig.on_node(NODES[0], "env", f"ASKED={asked}", "python3", "-I", "-c", CALLS))


def figures(project: Project, services: Sequence[Service], full: bool) -> Iterator[dict[str, object]]:
    """Yield our deploy step, the making of the containers included, beside each peer with the same compose file."""
    asked = FULL if full else SHORT
    intervals = list(dict.fromkeys(interval for _, interval in asked))
    scenarios = {interval: Scenario("one-node", tuple(services), interval) for interval in intervals}
    ours: dict[float, list[float]] = {interval: [] for interval in intervals}
    theirs: dict[tuple[str, float], list[float]] = {key: [] for key in asked}
    for _ in range(ROUNDS):
        for interval in intervals:
            ours[interval].append(project.run(scenarios[interval]).step_s("deploy"))
        for peer, interval in asked:
            theirs[peer, interval].append(peer_s(peer, scenarios[interval]))
    for (peer, interval), seconds in theirs.items():
        yield _figure(peer, interval, statistics.median(ours[interval]), statistics.median(seconds))


def _figure(peer: str, interval: float, value: float, peer_value: float) -> dict[str, object]:
    name = f"B2-real-{interval:g}s-{peer.replace(' ', '-').replace('--', '')}"
    target = TARGETS.get((peer, interval))
    facts = {"target": None, "holds": None} if target is None else at_most(value / peer_value, target)
    return line(name, value, "s", f"compose {peer}", peer_value, **facts, rounds=ROUNDS)
