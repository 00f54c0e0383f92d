# SPDX-License-Identifier: MIT
"""How fast real graphs are deployed on the lab's nodes, and what a failed service costs: JSON lines.

Each service tells in its own log when its process begins and when its port is open. What a makespan is held against is
made of these times alone: the longest path through the graph. `--full` takes more rounds, more intervals of the health
checks, and the slow peers.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import compose_peers
import knowing
import rig
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy import graph
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy.schedule import critical_path
from rig import NODES, Project, Ran, Scenario, Service, line

PER_LEVEL_S, RETRY_S = 0.2, 0.5
SIX = "a:1: b:4: c:3:a d:1:a,b e:1:c f:1:d,e"
TWELVE = "a:.5: b:1: c:.3: d:.5:a e:1:a,b f:.3:c g:.5:d,e h:1:e i:.3:f j:.5:g,h k:.3:i,h l:.5:j,k"
# (graph, seconds between two health checks of the engine, who checks)
SHORT = (("six", 30.0, "testcell"), ("twelve", 5.0, "testcell"))
FULL = (
    *SHORT,
    ("six", 1.0, "testcell"),
    ("six", 5.0, "testcell"),
    ("twelve", 30.0, "testcell"),
    ("six", 30.0, "container"),
)


def graph_of(text: str, nodes: Sequence[str] = NODES) -> tuple[Service, ...]:
    """Return services from words such as `c:3:a,b`: name, seconds, what it waits for; they take turns on the nodes."""
    found = []
    for place, word in enumerate(text.split()):
        name, seconds, needs = word.split(":")
        found.append(Service(name, float(seconds), tuple(filter(None, needs.split(","))), nodes[place % len(nodes)]))
    return rig.numbered(found)


GRAPHS = {"six": graph_of(SIX), "twelve": graph_of(TWELVE)}


def makespan(ran: Ran) -> float:
    """Return the seconds from the first order to start a service until the controller knows the last one ready."""
    services = ran.summary()["services"]
    return float(max(one["ready_s"] for one in services) - min(one["started_s"] for one in services))


def path_s(ran: Ran, services: Sequence[Service]) -> float:
    """Return the longest path through the graph by the services' own times."""
    needs = {one.name: one.needs for one in services}
    return critical_path(needs, {name: ran.own_s(name) for name in needs}).seconds


def makespans(project: Project, rounds: int, asked: Sequence[tuple[str, float, str]]) -> Iterator[dict[str, object]]:
    """Yield the makespan of each graph beside its longest path; who checks: Testcell over HTTP, or a command."""
    ran: dict[tuple[str, float, str], list[Ran]] = {key: [] for key in asked}
    for _ in range(rounds):
        for name, interval, checks in asked:
            services = tuple(replace(one, probed=checks == "testcell") for one in GRAPHS[name])
            ran[name, interval, checks].append(project.run(Scenario(f"graph-{name}", services, interval)))
    for (name, interval, checks), runs in ran.items():
        yield _makespan(f"B1-real-{name}-{interval:g}s-checks-by-{checks}", runs, GRAPHS[name])


def _makespan(figure: str, runs: Sequence[Ran], services: Sequence[Service]) -> dict[str, object]:
    levels = len(graph.batches({one.name: one.needs for one in services}))
    limits = [path_s(run, services) for run in runs]
    spans = [makespan(run) for run in runs]
    above = statistics.median(span - limit for span, limit in zip(spans, limits, strict=True))
    limit = statistics.median(limits)
    facts = {"target": round(limit + PER_LEVEL_S * levels, 3), "holds": above <= PER_LEVEL_S * levels}
    rest = {"levels": levels, "above_per_level": round(above / levels, 3), "rounds": len(runs)}
    return line(figure, statistics.median(spans), "s", "longest path of own times", limit, **facts, **rest)


def thirty(leaf: str = "") -> tuple[Service, ...]:
    """Return 30 services: three in a row ten times. The last leaf takes longest, so that what it costs shows.

    leaf: what it does before it opens its port.
    """
    found = [
        Service(f"s{n:02}", 0.3 + 0.1 * (n * 7 % 10), (f"s{n - 10:02}",) * (n >= 10), NODES[n % 3], critical=False)
        for n in range(30)
    ]
    found[-1] = replace(found[-1], seconds=3.0, first=leaf)
    return rig.numbered(found)


def retry(plain: Sequence[Ran], failing: Sequence[Ran]) -> dict[str, object]:
    """Return what a leaf that fails at its first start costs, and whether any other container was touched."""
    leaf = thirty()[-1].name
    extra = statistics.median(map(makespan, failing)) - statistics.median(map(makespan, plain))
    own = statistics.median(run.own_s(leaf) for run in failing)
    touched = sorted({name for run in failing for name in _touched(run) - {leaf}})
    starts = {len(run.said(leaf, "begin")) for run in failing}
    holds = extra <= own + RETRY_S and not touched and starts == {2}
    facts = {"target": round(own + RETRY_S, 3), "holds": holds, "others_touched": touched, "rounds": len(failing)}
    return line("B4-retry", extra, "s more than without a failure", "the leaf's own start", own, **facts)


def _touched(ran: Ran) -> set[str]:
    """Return the services of which the engines made more than one container, or started one more than once."""
    starts, made = ran.engine_events("start"), ran.engine_events("create")
    assert len({name for name, _ in made}) == 30
    again = {name for seen in (starts, made) for name, container in seen if seen.count((name, container)) > 1}
    return again | {name for name, _ in made if len({one for other, one in made if other == name}) > 1}


def failures(project: Project, rounds: int) -> Iterator[dict[str, object]]:
    """Yield the cost of a failed leaf; by the same runs how soon readiness is known, and deaths during the test."""
    settings = {"retry_strategy": {"service_level_retries": 1, "retry_delay": 0}}
    plain, failing, killed = [], [], []
    for _ in range(rounds):
        plain.append(project.run(Scenario("thirty", thirty(), 30.0, deployment=settings)))
        killer = knowing.KillerInTest(thirty(rig.FAILS_ONCE))
        scenario = Scenario("thirty-one-fails", thirty(rig.FAILS_ONCE), 30.0, knowing.SCRIPT, deployment=settings)
        failing.append(project.run(scenario, killer.work))
        killed.append(killer.deaths)
    yield retry(plain, failing)
    yield from knowing.readiness([*plain, *failing])
    yield from knowing.deaths_in_test(failing, killed)


def figures(project: Project, full: bool) -> Iterator[dict[str, object]]:
    """Yield all figures."""
    rounds = 3 if full else 1
    yield from makespans(project, rounds, FULL if full else SHORT)
    yield from failures(project, rounds)
    yield knowing.deaths_in_deploy(project, rounds)
    yield from compose_peers.figures(project, graph_of(SIX, NODES[:1]), full)


def main() -> int:
    """Print one line a figure; return 1 when a target does not hold."""
    with rig.lab(), rig.project() as project:
        return rig.show(figures(project, "--full" in sys.argv[1:]))


if __name__ == "__main__":
    raise SystemExit(main())
