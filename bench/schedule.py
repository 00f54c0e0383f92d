# SPDX-License-Identifier: MIT
"""How near the start order comes to the best possible one, in simulation, and what deciding it costs: JSON lines.

Random graphs of services are deployed by the scheduler of the product, driven by a simulated clock. A service holds its slot until
it is ready. The scheduler knows estimates only: each is the true time, wrong by a lognormal factor of sigma 0.5.
`--full` takes ten times as many graphs.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from heapq import heappop, heappush

from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy import graph
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy.schedule import Limits, Scheduler, critical_path

SEED = 20260131
TRIALS = {10: 400, 100: 100, 1000: 8}
LIMITS = (4, 8)
SHAPES = ("rand", "layered")
TIMES = ("svc", "llm")
WRONG_SIGMA = 0.5
MEDIAN_TARGET, P95_TARGET, BARRIER_TARGET = 1.02, 1.07, 1.6
BIG, BIG_NODES, BIG_NEEDS, BIG_TARGET_S, ROUNDS = 10_000, 100, 4, 1.0, 5

Needs = dict[str, list[str]]
Times = dict[str, float]


@dataclass(frozen=True)
class Case:
    """One graph: the true time of each service, what the scheduler takes it for, and how many may start at once."""

    sort: str
    needs: Needs
    times: Times
    estimates: Times
    slots: int

    @property
    def bound(self) -> float:
        """Return what no order can beat: the longest path, and all the work shared evenly by the slots."""
        return max(critical_path(self.needs, self.times).seconds, sum(self.times.values()) / self.slots)


def rand(size: int, chance: random.Random) -> Needs:
    """Return a graph in which each service waits for none to three of those before it."""
    return {f"s{n}": [f"s{m}" for m in chance.sample(range(n), min(n, chance.randint(0, 3)))] for n in range(size)}


def layered(size: int, chance: random.Random) -> Needs:
    """Return a graph of about as many layers as each is wide; each service waits for one to three of the layer before."""
    layers: dict[int, list[str]] = {}
    for n in range(size):
        layers.setdefault(chance.randrange(round(math.sqrt(size))), []).append(f"s{n}")
    needs: Needs = {f"s{n}": [] for n in range(size)}
    levels = [layers[place] for place in sorted(layers)]
    for before, level in zip(levels, levels[1:], strict=False):
        for name in level:
            needs[name] = chance.sample(before, min(len(before), chance.randint(1, 3)))
    return needs


def start_time(kind: str, chance: random.Random) -> float:
    """Return a start-up time in seconds: a service's, and for `llm` in 15 of 100 cases that of a model server."""
    if kind == "llm" and chance.random() < 0.15:
        return chance.uniform(60, 300)
    return chance.lognormvariate(math.log(5), 0.8)


def cases(size: int, slots: int, shape: str, kind: str, trials: int) -> Iterator[Case]:
    """Yield graphs of one sort, the same ones on every call."""
    chance = random.Random(f"{SEED} {size} {slots} {shape} {kind}")
    for _ in range(trials):
        needs = (rand if shape == "rand" else layered)(size, chance)
        times = {name: start_time(kind, chance) for name in needs}
        estimates = {name: seconds * chance.lognormvariate(0, WRONG_SIGMA) for name, seconds in times.items()}
        yield Case(f"{size} {shape} {kind}, {slots} slots", needs, times, estimates, slots)


def deploy(case: Case) -> float:
    """Return the makespan in seconds when the scheduler of the product decides."""
    nodes = dict.fromkeys(case.needs, "node")
    plan = Scheduler(case.needs, node_of=nodes, estimates=case.estimates, limits=Limits(total=case.slots))
    now = 0.0
    running: list[tuple[float, str]] = []
    while not plan.done:
        for name in plan.next():
            heappush(running, (now + case.times[name], name))
        now, name = heappop(running)
        plan.ready(name)
    return now


def by_levels(case: Case) -> float:
    """Return the makespan when each level waits for the whole level before it; in a level the longest goes first."""
    now = 0.0
    for level in graph.batches(case.needs):
        free = [now] * case.slots
        for name in sorted(level, key=case.estimates.__getitem__, reverse=True):
            heappush(free, heappop(free) + case.times[name])
        now = max(free)
    return now


@dataclass(frozen=True)
class Outcome:
    """How long one graph took, in seconds, by each way of deciding the order; bound is what none can beat."""

    sort: str
    bound: float
    ours: float
    told: float
    levels: float


def outcomes(size: int, trials: int) -> list[Outcome]:
    """Return the outcomes of graphs of one size, as many of each sort."""
    found = []
    for slots in LIMITS:
        for shape in SHAPES:
            for kind in TIMES:
                for case in cases(size, slots, shape, kind, trials):
                    told = deploy(replace(case, estimates=case.times))
                    found.append(Outcome(case.sort, case.bound, deploy(case), told, by_levels(case)))
    return found


def p95(values: Sequence[float]) -> float:
    """Return the nearest-rank 95th percentile."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def line(figure: str, value: float, unit: str, peer: str, peer_value: float, **rest: object) -> dict[str, object]:
    """Return one figure beside its peer. rest: target and holds, and what else belongs to it."""
    ratio = round(value / peer_value, 3)
    found = {"figure": figure, "value": round(value, 4), "unit": unit, "peer": peer}
    return {**found, "peer_value": round(peer_value, 4), "ratio": ratio, **rest}


def makespans(size: int, found: Sequence[Outcome]) -> Iterator[dict[str, object]]:
    """Yield how near the makespans come to the bound, beside level barriers; and the sort of graph that does worst."""
    unit = "makespan / max(critical path, work / slots)"
    for word, of, target in (("median", statistics.median, MEDIAN_TARGET), ("p95", p95, P95_TARGET)):
        ours, levels = of([o.ours / o.bound for o in found]), of([o.levels / o.bound for o in found])
        facts = {"target": target, "holds": ours <= target, "graphs": len(found), "seed": SEED}
        yield line(f"B1-simulation-{size}-{word}", ours, unit, "level barriers", levels, **facts)
    sorts = {sort: [o for o in found if o.sort == sort] for sort in dict.fromkeys(o.sort for o in found)}
    sort, worst = max(sorts.items(), key=lambda item: p95([o.ours / o.bound for o in item[1]]))
    ours, told = p95([o.ours / o.bound for o in worst]), p95([o.told / o.bound for o in worst])
    rest = {"graphs": len(worst), "seed": SEED, "sort": sort}
    yield line(
        f"B1-simulation-{size}-worst-sort-p95",
        ours,
        unit,
        "the same, told the true times",
        told,
        target=None,
        holds=None,
        **rest,
    )


def against_levels(found: Sequence[Outcome]) -> Iterator[dict[str, object]]:
    """Yield how many times faster 100 services with 8 slots are than level by level: in the median, and at the least."""
    eight = [o for o in found if o.sort.endswith(", 8 slots")]
    for word, of, target in (("median", statistics.median, BARRIER_TARGET), ("least", min, 1.0)):
        value = of([o.levels / o.ours for o in eight])
        facts = {"target": target, "holds": value >= target, "graphs": len(eight), "seed": SEED}
        yield line(f"B2-simulation-{word}", value, "times faster", "level barriers, longest first", 1.0, **facts)


def wide(edges_each: int) -> Needs:
    """Return the big graph: each service waits for edges_each of the thousand before it."""
    chance = random.Random(f"{SEED} {edges_each}")
    return {
        f"s{n}": [f"s{m}" for m in chance.sample(range(max(0, n - 1000), n), min(n, edges_each))] for n in range(BIG)
    }


def decide_all(needs: Needs) -> None:
    """Take a whole deployment through the scheduler: made, started, released, ready; with both limits in force."""
    nodes = {name: f"n{place % BIG_NODES}" for place, name in enumerate(needs)}
    estimates = {name: float(1 + place % 7) for place, name in enumerate(needs)}
    plan = Scheduler(needs, node_of=nodes, estimates=estimates, limits=Limits(total=64, per_node=4))
    started = 0
    while not plan.done:
        for name in plan.next():
            plan.release(name)
            plan.ready(name)
            started += 1
    assert started == BIG


def sort_all(needs: Needs) -> None:
    """Take the graph through the standard library's sorter, which knows neither limits nor priorities."""
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    while sorter.is_active():
        sorter.done(*sorter.get_ready())


def cpu_seconds(work: Callable[[Needs], None], needs: Needs) -> float:
    """Return the processor time of one call, which the load of the machine moves least."""
    began = time.process_time()
    work(needs)
    return time.process_time() - began


def decisions() -> Iterator[dict[str, object]]:
    """Yield what deciding costs for the big graph, and for twice and four times its edges."""
    graphs = {times: wide(BIG_NEEDS * times) for times in (1, 2, 4)}
    spent: dict[tuple[int, bool], list[float]] = {}
    for _ in range(ROUNDS):
        for times, needs in graphs.items():
            spent.setdefault((times, True), []).append(cpu_seconds(decide_all, needs))
            spent.setdefault((times, False), []).append(cpu_seconds(sort_all, needs))
    median = {key: statistics.median(values) for key, values in spent.items()}
    peer = "graphlib.TopologicalSorter"
    edges = sum(map(len, graphs[1].values()))
    seconds = {"target": BIG_TARGET_S, "holds": median[1, True] <= BIG_TARGET_S, "edges": edges, "seed": SEED}
    yield line("B3-scheduler", median[1, True], "CPU s for 10000 services", peer, median[1, False], **seconds)
    for times in (2, 4):
        ours, theirs = (median[times, mine] / median[1, mine] for mine in (True, False))
        facts = {"target": times, "holds": ours <= times}
        yield line(f"B3-scheduler-edges-x{times}", ours, "times the time", peer, theirs, **facts)


def figures(scale: int) -> Iterator[dict[str, object]]:
    """Yield all figures; scale: how many times as many graphs as in the short form."""
    for size, trials in TRIALS.items():
        found = outcomes(size, trials * scale)
        yield from makespans(size, found)
        if size == 100:
            yield from against_levels(found)
    yield from decisions()


def main() -> int:
    """Print one line a figure; return 1 when a target does not hold."""
    missed = False
    for figure in figures(10 if "--full" in sys.argv[1:] else 1):
        print(json.dumps(figure), flush=True)
        missed |= figure["holds"] is False
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
