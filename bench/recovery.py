# SPDX-License-Identifier: MIT
"""From kill -9 of a controller to clean nodes, on three nodes: JSON lines.

A controller that is killed here is proved dead at once. One in a process space of its own is not, as it would not be on
another machine: its lease has to run out first.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import rig
from overhead import Sleeper
from rig import BIN, INVENTORY, NODES, ROOT, Journal, Project, Scenario, Service, line

from testcell.exits import Exit

ROUNDS = 5
TTL_S = 30
LIMIT_S = 120.0
TARGET_S = 10.0
LONG_TEST = "sleep 300"
# What of ours is on a node, one word each.
LISTING = """
for kind in "container ls -aq" "network ls -q" "volume ls -q"; do docker $kind --filter label=testcell.run; done
ls -A /var/tmp/testcell-0/runs 2>/dev/null
grep -la TESTCELL_UNIT= /proc/[0-9]*/environ 2>/dev/null
true
"""
MARKED = "grep -la TESTCELL_UNIT= /proc/[0-9]*/environ 2>/dev/null; true"
# A name space of processes: the controller's owner names it, so nobody else can tell whether it lives.
APART = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")

Entries = list[dict[str, Any]]


def deploying(name: str) -> Scenario:
    """Return a scenario that goes on deploying: on the last node something waits for a port that nobody opens."""
    never = rig.numbered((Service("never", node=NODES[-1], first=rig.WAITS),))
    return Scenario(name, (*(Sleeper(f"sleeper-{node}", node=node) for node in NODES[:-1]), *never))


def testing(name: str, nodes: Sequence[str] = NODES) -> Scenario:
    """Return a scenario whose test goes on for longer than anybody waits."""
    services = tuple(Sleeper(f"sleeper-{node}", node=node) for node in nodes)
    return Scenario(name, services, script=LONG_TEST, test_node=nodes[0])


def in_deploy(entries: Entries) -> bool:
    """Return whether every node has begun to deploy, and the sleepers run."""
    begun = {entry["node"] for entry in entries if (entry["step"], entry["phase"]) == ("deploy", "begin")}
    ready = [entry for entry in entries if entry["step"] == "deploy" and entry.get("state") == "ready"]
    return begun == set(NODES) and len(ready) == len(NODES) - 1


def in_test(entries: Entries) -> bool:
    """Return whether the script has been started."""
    return any((entry["step"], entry["phase"]) == ("test", "event") for entry in entries)


def start(project: Project, scenario: Scenario, apart: bool = False) -> subprocess.Popen[bytes]:
    """Start a run with a short lease in a session of its own; apart: in a process space of its own as well."""
    project.write(scenario)
    given = {
        "testcell_project_dir": project.folder,
        "scenario": scenario.name,
        "results_dir": project.folder / "results",
        "testcell_lease_ttl_s": TTL_S,
    }
    words = [BIN / "ansible-playbook", "-i", INVENTORY, ROOT / "site.yml"]
    return subprocess.Popen(
        [*(APART if apart else ()), *map(str, words), "-e", json.dumps({k: str(v) for k, v in given.items()})],
        cwd=project.folder,
        env=rig.environment(project.folder / "cp"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def killed(project: Project, scenario: Scenario, there: Callable[[Entries], bool], apart: bool = False) -> None:
    """Start a run and kill its controller when it is there."""
    others = len(project.runs)
    process = start(project, scenario, apart)
    try:
        Journal(project, others).wait(there)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(LIMIT_S)


def everywhere(listing: str, nodes: Sequence[str] = NODES) -> dict[str, str]:
    """Return what a listing prints on each node, all asked at once."""
    with ThreadPoolExecutor(len(nodes)) as pool:
        found = pool.map(lambda node: rig.on_node(node, "sh", "-c", listing).strip(), nodes)
        return dict(zip(nodes, found, strict=True))


def until_clean(began: float) -> float:
    """Return the seconds from a moment until nothing of ours is listed on any node; TimeoutError after the limit."""
    while any(everywhere(LISTING).values()):
        if time.monotonic() - began > LIMIT_S:
            raise TimeoutError(f"not clean after {LIMIT_S:g} s: {everywhere(LISTING)}")
    return time.monotonic() - began


def expires_in_s(node: str) -> float:
    """Return the seconds until the node's lease runs out, by the node's own record."""
    record = json.loads(rig.on_node(node, "cat", "/var/tmp/testcell-0/lease.json"))
    return float(record["expires_boottime"]) - time.clock_gettime(time.CLOCK_BOOTTIME)


def cleanup(project: Project, wanted: Exit) -> None:
    """Call `testcell cleanup`; RuntimeError unless it ends with the wanted code."""
    words = [str(BIN / "testcell"), "-C", str(ROOT), "cleanup", "--all", "-i", str(INVENTORY)]
    done = subprocess.run(words, cwd=project.folder, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode != wanted:
        raise RuntimeError(f"cleanup ended with {done.returncode}, not {wanted}: {done.stdout}{done.stderr}")


def cleaned_s(project: Project) -> float:
    """Return the seconds from the call of `testcell cleanup` until the nodes are clean by listing."""
    began = time.monotonic()
    cleanup(project, Exit.PASS)
    return until_clean(began)


def next_run_s(project: Project) -> float:
    """Return the seconds from the call of another run until it has taken all nodes, which reaps what is dead there."""
    others = len(project.runs)
    began = time.monotonic()
    process = start(project, Scenario("after", tuple(Sleeper(f"after-{node}", node=node) for node in NODES)))
    try:
        Journal(project, others).wait(lambda entries: _ended(entries, "lease") == len(NODES))
        taken_s = time.monotonic() - began
        if process.wait(LIMIT_S):
            raise RuntimeError("the run after a killed one did not pass")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    until_clean(time.monotonic())
    return taken_s


def _ended(entries: Entries, step: str) -> int:
    return sum((entry["step"], entry["phase"], entry.get("ok")) == (step, "end", True) for entry in entries)


def by_cleanup(project: Project, scenario: Scenario, there: Callable[[Entries], bool]) -> float:
    """Return the seconds of a cleanup that is called as soon as the controller is killed."""
    killed(project, scenario, there)
    return cleaned_s(project)


def by_next_run(project: Project, scenario: Scenario, there: Callable[[Entries], bool]) -> float:
    """Return the seconds until a run that is called as soon as the controller is killed has reaped everything."""
    killed(project, scenario, there)
    return next_run_s(project)


def after_expiry(project: Project) -> float:
    """Return the seconds from the end of the last lease until the nodes are clean, where nothing proves the owner dead."""
    killed(project, testing("apart"), in_test, apart=True)
    cleanup(project, Exit.LEASE_HELD)
    time.sleep(max(0.0, *(expires_in_s(node) for node in NODES)))
    return cleaned_s(project)


def by_the_node(project: Project) -> list[float]:
    """Return the seconds from the end of each node's lease until the node alone has ended the test; a run for each node."""
    processes = []
    for node in NODES:
        others = len(project.runs)
        processes.append(start(project, testing(f"alone-{node}", (node,))))
        Journal(project, others).wait(in_test)
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(LIMIT_S)
    with ThreadPoolExecutor(len(NODES)) as pool:
        taken = list(pool.map(_ended_s, NODES))
    cleaned_s(project)
    return taken


def _ended_s(node: str) -> float:
    expiry = time.monotonic() + expires_in_s(node)
    while rig.on_node(node, "sh", "-c", MARKED).strip():
        if time.monotonic() - expiry > LIMIT_S:
            raise TimeoutError(f"the test still runs on {node} {LIMIT_S:g} s after the end of its lease")
    return time.monotonic() - expiry


def figure(name: str, taken: Sequence[float], unit: str, **rest: object) -> dict[str, object]:
    """Return a line with the median."""
    seconds = [round(one, 2) for one in taken]
    return line(
        name, statistics.median(taken), unit, "the target", TARGET_S, **rest, rounds=len(taken), seconds=seconds
    )


def at_once(project: Project) -> Iterator[dict[str, object]]:
    """Yield the figures of controllers that are proved dead."""
    phases = {"deploy": (deploying("deploying"), in_deploy), "test": (testing("testing"), in_test)}
    for phase, (scenario, there) in phases.items():
        taken = [by_cleanup(project, scenario, there) for _ in range(ROUNDS)]
        yield figure(f"C4-cleanup-in-{phase}", taken, "s from the call of cleanup to clean nodes", **_held(taken))
        taken = [by_next_run(project, scenario, there) for _ in range(ROUNDS)]
        yield figure(f"C4-next-run-in-{phase}", taken, "s from the call of a run to reaped nodes", **_held(taken))


def _held(taken: Sequence[float]) -> dict[str, object]:
    return rig.at_most(statistics.median(taken), TARGET_S)


def expired(project: Project) -> Iterator[dict[str, object]]:
    """Yield the figure of controllers of which nothing proves the death but the end of their leases."""
    taken = [after_expiry(project) for _ in range(ROUNDS)]
    yield figure("C4-after-expiry", taken, "s from the end of the lease to clean nodes", **_held(taken))


def alone(project: Project) -> Iterator[dict[str, object]]:
    """Yield the figure of nodes that nobody comes to; the node lets a lapsed lease be for its length, then ends the work."""
    taken = [seconds for _ in range(2) for seconds in by_the_node(project)]
    unit = "s from the end of the lease until the node alone has ended the test"
    yield figure("C4-node-alone", taken, unit, target=None, holds=None, lease_ttl_s=TTL_S)


PARTS = {"at_once": at_once, "expired": expired, "alone": alone}


def main() -> int:
    """Print one line a figure, of one part where one is named; return 1 when a target does not hold."""
    wanted = sys.argv[1:] or list(PARTS)

    def figures(project: Project) -> Iterator[dict[str, object]]:
        for name in wanted:
            yield from PARTS[name](project)

    with rig.lab(), rig.project() as project:
        (project.folder / "cp").mkdir()
        return rig.show(figures(project))


if __name__ == "__main__":
    raise SystemExit(main())
