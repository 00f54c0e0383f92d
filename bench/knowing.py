# SPDX-License-Identifier: MIT
"""How soon the controller knows what is true on a node: that a service is ready, and that one has died."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import rig
from rig import NODES, Journal, Project, Ran, Scenario, Service, at_most, line, p95

KNOWN_S = 0.050
PEER = "the target"
OVER = "/tmp/testcell-bench-over"
# The test ends as soon as it is told to, and by itself after a minute.
SCRIPT = f"for _ in $(seq 600); do [ -e {OVER} ] && break; sleep 0.1; done; rm -f {OVER}"
KILLS = 3

# Kills the process of a service for each line of its input, and prints when. One that is being started again has no
# process for a moment; what starts a container is over some time after its process is there, so there is a pause.
KILLER = """
import os, subprocess, sys, time

def pid(service):
    labels = ["--filter", "label=testcell.run", "--filter", "label=com.docker.compose.service=" + service]
    found = subprocess.check_output(["docker", "ps", "-q", *labels], text=True).split()
    form = ["docker", "inspect", "-f", "{{.State.Pid}}", *found]
    return int(subprocess.check_output(form, text=True)) if found else 0

killed = {}
for line in sys.stdin:
    service = line.strip()
    now = pid(service)
    while now in (0, killed.get(service)):
        time.sleep(0.01)
        now = pid(service)
    time.sleep(float(sys.argv[1]))
    killed[service] = now
    print(time.time(), flush=True)
    os.kill(now, 9)
"""
PAUSE_S = 0.2

# (service, when it was killed by the clock of the machine), in order
Deaths = list[tuple[str, float]]


def kill(services: Sequence[Service], times: int) -> Deaths:
    """Kill the services so many times, one after the other: a machine that is busy with other deaths tells late."""
    deaths: Deaths = []
    with ExitStack() as stack:
        killers = {node: stack.enter_context(killer(node)) for node in {one.node for one in services}}
        for _ in range(times):
            for one in services:
                deaths.append((one.name, killers[one.node](one.name)))
    return deaths


@contextmanager
def killer(node: str) -> Iterator[Callable[[str], float]]:
    """Return what kills a service on a node and returns when."""
    command = ["docker", "exec", "-i", f"testcell-lab-{node}", "python3", "-I", "-u", "-c", KILLER, str(PAUSE_S)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout

        def one(service: str) -> float:
            assert process.stdin and process.stdout
            process.stdin.write(f"{service}\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        yield one
        process.stdin.close()


class KillerInTest:
    """Kills every service once while the test runs, and lets the test end."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = services
        self.deaths: Deaths = []

    def work(self, journal: Journal) -> None:
        """Wait for the test, then kill."""
        journal.wait(lambda entries: any(e["step"] == "test" and e["phase"] == "event" for e in entries))
        try:
            self.deaths = kill(self._services, 1)
        finally:
            rig.on_node(NODES[0], "touch", OVER)


def known(deaths: Deaths, noted: Sequence[tuple[str, float]]) -> dict[str, list[float]]:
    """Return service -> seconds from each of its deaths until the controller noted it; AssertionError for one missed."""
    late: dict[str, list[float]] = {}
    for name in dict.fromkeys(name for name, _ in deaths):
        died, told = ([t for other, t in moments if other == name] for moments in (deaths, noted))
        assert len(died) == len(told), f"{name} was killed {len(died)} times, and {len(told)} deaths were noted"
        late[name] = [later - t for t, later in zip(died, told, strict=True)]
    return late


def figure(name: str, value: float, target: float | None, unit: str, count: int) -> dict[str, object]:
    """Return a figure of how late something was known, over so many cases."""
    facts = {"target": None, "holds": None} if target is None else at_most(value, target)
    return line(name, value, unit, PEER, KNOWN_S, **facts, cases=count)


def readiness(runs: Sequence[Ran]) -> Iterator[dict[str, object]]:
    """Yield how long after a port was open the controller noted its service ready."""
    late = [t - run.said(name, "open")[-1] for run in runs for name, t in run.told("ready")]
    unit = "s from open port to note"
    yield figure("B1-ready-known-p50", statistics.median(late), None, unit, len(late))
    yield figure("B1-ready-known-p95", p95(late), KNOWN_S, unit, len(late))


def deaths_in_test(runs: Sequence[Ran], killed: Sequence[Deaths]) -> Iterator[dict[str, object]]:
    """Yield how long after a kill the controller noted the death while the test ran, on its node and on the others."""
    late: dict[bool, list[float]] = {True: [], False: []}
    for run, deaths in zip(runs, killed, strict=True):
        places = {one["name"]: one["node"] for one in run.summary()["services"]}
        for name, seconds in known(deaths, run.told("died", "test")).items():
            late[places[name] == NODES[0]] += seconds
    for here, words in ((True, "on-its-node"), (False, "on-another-node")):
        values = late[here]
        yield figure(f"B1-death-in-test-{words}-p95", p95(values), KNOWN_S, "s from kill to note", len(values))


def deaths_in_deploy(project: Project, rounds: int) -> dict[str, object]:
    """Return how long after a kill the controller noted the failure while services were deployed."""
    victims = [Service(f"v{n}", 0.0, (), NODES[n % 3]) for n in range(6)]
    *victims, late = rig.numbered([*victims, Service("late", first=rig.WAITS)])
    settings = {"retry_strategy": {"service_level_retries": 10, "retry_delay": 0}}
    scenario = Scenario("killed", (*victims, late), 5.0, deployment=settings)
    seconds: list[float] = []
    for _ in range(rounds):
        deaths: Deaths = []

        def work(journal: Journal, deaths: Deaths = deaths) -> None:
            journal.wait(lambda entries: sum(entry.get("state") == "ready" for entry in entries) >= len(victims))
            try:
                deaths += kill(victims, KILLS)
            finally:
                rig.on_node(late.node, "python3", "-I", "-c", rig.KNOCK.format(port=late.port + 1000))

        ran = project.run(scenario, work)
        seconds += [one for found in known(deaths, ran.told("failed")).values() for one in found]
    return figure("B1-death-in-deploy-p95", p95(seconds), KNOWN_S, "s from kill to note", len(seconds))
