# SPDX-License-Identifier: MIT
"""How often maintenance decides rightly, over 200 simulated nights whose true causes are known: JSON lines.

The world is a model of its own: nodes that break and are mended, unsteady cases, regressions of the engine, wrong scenarios,
noise of the network and of registries, outages, and nights that were cut short. It shows maintenance nothing but attempts. A rerun
is false when the case was less likely to pass than to fail where it was run. Any other decision is right when a person who knows the
true cause would have made it. Numbers are the seeds of other worlds; `--full` takes twenty.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import batches
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import facts as known
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.decisions import RERUNS, Decision, decide
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.upkeep_config import AutoRetest, Budget, Config
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import kinds

SEEDS, FULL_SEEDS = (111, 112, 113), tuple(range(101, 121))
NIGHTS = 200
RIGHT_TARGET, FALSE_TARGET = 0.99, 0.01
NODES = tuple(f"node{n}" for n in range(1, 9))
MODELS, TASKS, SIZES = 8, 10, 5
DAY_S = 86_400.0
START = 1_700_000_000.0
# Hours after the night's run at which maintenance looks again.
ROUNDS_H = (0.5, 1.0, 3.5, 6.0, 8.5)
CASE_S, BATCH_S = 120.0, 5.0
RECENT, WINDOW_S = 24, 30 * DAY_S

NOISE = ("ssh_timeout", "ssh_dropped", "node_unreachable", "dns_failure", "registry_rate_limited", "registry_unreachable",
         "transfer_failed", "artifact_corrupt", "http_reset", "docker_timeout", "docker_leftover", "name_conflict")  # fmt: skip
HARD = ("gpu_fault", "disk_full", "docker_daemon_down", "node_oom", "fs_readonly")
SOFT = ("service_died", "nccl_error", "health_timeout")
UNSTEADY = ("test_failed", "service_died", "http_5xx", "health_timeout", "bench_failed")
# Most regressions of an engine end in a wrong answer or in a start that fails; some look like a mishap.
REGRESSION = ("test_failed", "test_failed", "bench_failed", "gpu_oom", "engine_start_failed", "kv_cache_too_small",
              "response_invalid", "engine_dead", "service_died", "http_5xx")  # fmt: skip
WRONG_INPUT = ("config_invalid", "compose_invalid", "model_not_found", "image_not_found")
UNKNOWN_SHARE = 0.01


@dataclass
class Trouble:
    """Something that is wrong for a while. until: the night on which it is over."""

    kind: str
    until: int


@dataclass
class World:
    """What is true. unsteady: case -> chance to fail; the others hold what is wrong at present."""

    chance: random.Random
    cases: tuple[known.Case, ...]
    unsteady: dict[int, tuple[float, str]]
    regressions: dict[int, Trouble] = field(default_factory=dict)
    inputs: dict[int, Trouble] = field(default_factory=dict)
    nodes: dict[str, Trouble] = field(default_factory=dict)
    hard: set[str] = field(default_factory=set)
    changed: dict[int, float] = field(default_factory=dict)
    outage: bool = False
    revision: int = 0

    def home(self, case: known.Case, avoid: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the nodes that a case gets: always the same ones, unless some are to be avoided."""
        wanted = 2 if case.id % 4 == 0 else 1
        order = [NODES[(case.id + step) % len(NODES)] for step in range(len(NODES))]
        return tuple([node for node in order if node not in avoid][:wanted])

    def passes(self, case: known.Case, nodes: Sequence[str]) -> float:
        """Return how likely an attempt on these nodes passes; the world's own truth."""
        if case.id in self.regressions or case.id in self.inputs:
            return 0.0
        if any(node in self.nodes for node in nodes):
            return 0.03
        return (0.1 if self.outage else 0.98) * (1.0 - self.unsteady.get(case.id, (0.0, ""))[0])

    def attempt(self, case: known.Case, at: float, run: str, avoid: Sequence[str], ours: bool) -> known.Attempt:
        """Return what an attempt shows."""
        nodes = self.home(case, avoid)
        if self.chance.random() < (0.6 if self.outage else 0.02):
            return self._failed("error", self.chance.choice(NOISE), at, run, nodes, ours)
        if case.id in self.inputs:
            return self._failed("error", self.inputs[case.id].kind, at, run, nodes, ours)
        sick = [node for node in nodes if node in self.nodes]
        if sick and self.chance.random() < 0.97:
            verdict = "error" if sick[0] in self.hard else "fail"
            return self._failed(verdict, self.nodes[sick[0]].kind, at, run, nodes, ours, sick[0])
        if case.id in self.regressions:
            return self._failed("fail", self.regressions[case.id].kind, at, run, nodes, ours)
        if case.id in self.unsteady and self.chance.random() < self.unsteady[case.id][0]:
            return self._failed("fail", self.unsteady[case.id][1], at, run, nodes, ours)
        return known.Attempt(at, run, "pass", nodes=nodes, seconds=CASE_S, by_upkeep=ours, revision=f"r{self.revision}")

    def _failed(
        self, verdict: str, kind: str, at: float, run: str, nodes: tuple[str, ...], ours: bool, node: str = ""
    ) -> known.Attempt:
        if self.chance.random() < UNKNOWN_SHARE:
            kind, verdict = "unknown", "error"
        entry = kinds.get(kind)
        # A failure of the cell names its node; one of the engine may not be blamed on a node by whoever sees it alone.
        blamed = node or nodes[0] if verdict == "error" and entry.owner in ("node", "network") else ""
        return known.Attempt(
            at, run, verdict, kind, entry.owner, entry.retriable, blamed, nodes, f"r{self.revision}", seconds=CASE_S,
            by_upkeep=ours,
        )  # fmt: skip

    def new_night(self, night: int, now: float) -> None:
        """Let what is over end, and new trouble begin."""
        mended = [case_id for case_id, trouble in self.regressions.items() if trouble.until <= night]
        for case_id in mended:
            del self.regressions[case_id]
        for node in [node for node, trouble in self.nodes.items() if trouble.until <= night]:
            del self.nodes[node]
        # The engine is built anew on some nights, and always when something of it was mended.
        self.revision += bool(mended) or self.chance.random() < 0.3
        for case_id in [case_id for case_id, trouble in self.inputs.items() if trouble.until <= night]:
            del self.inputs[case_id]
            self.changed[case_id] = now
        self.hard &= set(self.nodes)
        self.outage = self.chance.random() < 0.01
        self._break_nodes(night)
        self._regress(night)
        if self.chance.random() < 0.1:
            self.inputs[self.chance.choice(self.cases).id] = Trouble(self.chance.choice(WRONG_INPUT), night + 2)

    def _break_nodes(self, night: int) -> None:
        for node in NODES:
            if node not in self.nodes and self.chance.random() < 0.02:
                hard = self.chance.random() < 0.6
                kind = self.chance.choice(HARD if hard else SOFT)
                self.nodes[node] = Trouble(kind, night + self.chance.randint(1, 4))
                if hard:
                    self.hard.add(node)

    def _regress(self, night: int) -> None:
        """Break the engine for one case, or for all of a model or a task."""
        if self.chance.random() >= 0.2:
            return
        trouble = Trouble(self.chance.choice(REGRESSION), night + self.chance.randint(1, 6))
        self.revision += 1
        label = self.chance.choice(("model", "task_type", ""))
        one = self.chance.choice(self.cases)
        hit = [case for case in self.cases if case is one or (label and case.labels[label] == one.labels[label])]
        self.regressions.update((case.id, trouble) for case in hit)


@dataclass
class Memory:
    """What maintenance may see: attempts, quarantines, and when scenarios were changed."""

    history: dict[int, list[known.Attempt]] = field(default_factory=dict)
    quarantines: dict[int, known.Quarantine] = field(default_factory=dict)

    def facts(self, world: World, now: float) -> known.Facts:
        """Return what is known at a moment."""
        fresh_from = now - DAY_S
        cases = [self._case(case, world, now, fresh_from) for case in world.cases]
        effort = self._effort(now)
        return known.Facts(cases, self._nodes(fresh_from), effort, now, now - WINDOW_S, fresh_from)

    def _case(self, case: known.Case, world: World, now: float, fresh_from: float) -> known.Case:
        seen = [a for a in self.history.get(case.id, []) if a.at >= now - WINDOW_S]
        counts = []
        for verdict, count in Counter(a.verdict for a in seen).items():
            mine = [a.at for a in seen if a.verdict == verdict]
            before = [at for at in mine if at < fresh_from]
            counts.append(known.Count(verdict, count, count - len(before), mine[-1], before[-1] if before else None))
        return known.Case(
            case.id, case.scenario, case.name, case.labels, True, tuple(counts), tuple(seen[-RECENT:]),
            self.quarantines.get(case.id), movable=True, changed_at=world.changed.get(case.id, 0.0), typical_s=CASE_S,
        )  # fmt: skip

    def _nodes(self, fresh_from: float) -> dict[str, known.Node]:
        passed: dict[str, dict[int, float]] = {node: {} for node in NODES}
        usual: dict[str, set[int]] = {node: set() for node in NODES}
        failed: dict[str, dict[int, float]] = {node: {} for node in NODES}
        blamed = dict.fromkeys(NODES, 0.0)
        for case_id, attempts in self.history.items():
            for attempt in (a for a in attempts[-RECENT:] if a.at >= fresh_from):
                if attempt.verdict == "pass":
                    for node in attempt.nodes:
                        passed[node][case_id] = attempt.at
                        if not attempt.by_upkeep:
                            usual[node].add(case_id)
                elif attempt.owner in ("engine", "node", "network") and not attempt.by_upkeep:
                    for node in (attempt.node,) if attempt.node else attempt.nodes:
                        failed[node][case_id] = attempt.at
                    if attempt.node and kinds.of_a_broken_node(attempt.kind):
                        blamed[attempt.node] = max(blamed[attempt.node], attempt.at)
        last = {node: max(failed[node].values(), default=0.0) for node in NODES}
        return {
            node: known.Node(
                node, len(failed[node]), len(usual[node]),
                max(passed[node].values(), default=0.0), last[node], blamed[node],
                sum(at > last[node] for at in passed[node].values()),
            )
            for node in NODES
        }  # fmt: skip

    def _effort(self, now: float) -> known.Effort:
        ours = [a for attempts in self.history.values() for a in attempts if a.by_upkeep and a.at >= now - DAY_S]
        return known.Effort({}, {}, CASE_S * len(ours), len(ours))


@dataclass
class Score:
    """How the decisions of one world were."""

    right: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    reruns: int = 0
    false_reruns: int = 0
    actions: Counter[str] = field(default_factory=Counter)

    @property
    def decisions(self) -> int:
        """Return how many decisions were judged."""
        return self.right + sum(self.wrong.values())

    def judge(self, right: bool, action: str, cause: str) -> None:
        """Count one decision."""
        self.actions[action] += 1
        if right:
            self.right += 1
        else:
            self.wrong[f"{action} where the cause was {cause}"] += 1


def cause(world: World, case: known.Case, last: known.Attempt | None, now: float) -> str:
    """Return the true cause why a case does not stand as passed."""
    if case.id in world.unsteady and case.quarantine is not None and case.quarantine.holds(now):
        return "set aside"
    if case.id in world.inputs:
        return "input"
    if case.id in world.regressions:
        return "regression"
    if last is not None and any(node in world.nodes for node in last.nodes):
        return "node"
    return _own_cause(world, case, last)


def _own_cause(world: World, case: known.Case, last: known.Attempt | None) -> str:
    """Return the true cause where neither the scenario nor the engine nor a node is to blame."""
    if last is None or last.verdict == "skipped":
        return "missing"
    if case.id in world.unsteady and (last.verdict in ("fail", "pass") or last.kind == "unknown"):
        return "unsteady"
    return "outage" if world.outage else "noise"


def is_right(decision: Decision, why: str, last: known.Attempt | None) -> bool:
    """Return whether a person who knows the cause would have decided so at the end of the day. Reruns are judged apart."""
    hopeless = last is not None and not last.retriable
    accepted = {
        # What fails alike waits for the one that is tried, or that a person has been told of.
        "regression": {"needs_person", *(["wait"] if decision.held else [])},
        "input": {"needs_person"},
        "node": {"needs_person", "leave"} if last is not None and last.verdict == "pass" else {"needs_person"},
        "unsteady": {"leave", "quarantine", *(["needs_person"] if hopeless else [])},
        "outage": {"wait", "needs_person"},
        "set aside": {"leave"},
        "noise": {"needs_person"} if last is not None and last.kind == "unknown" else set(),
    }
    return decision.action in accepted.get(why, set())


def night_run(world: World, memory: Memory, night: int, began: float) -> None:
    """Run every case once; one night in twenty is cut short."""
    cut = world.chance.uniform(0.7, 0.9) if world.chance.random() < 0.05 else 1.0
    for place, case in enumerate(world.cases):
        at = began + place * 60.0
        if place >= cut * len(world.cases):
            # A case that was new on this night has never been run then.
            seen = [] if case.id not in memory.history else [known.Attempt(at, f"night{night}", "skipped")]
        else:
            seen = [world.attempt(case, at, f"night{night}", (), False)]
        memory.history.setdefault(case.id, []).extend(seen)


def maintain(world: World, memory: Memory, config: Config, score: Score, ended: float) -> None:
    """Let maintenance decide and act several times in the morning, and judge what it does."""
    for number, hours in enumerate(ROUNDS_H):
        now = ended + hours * 3600
        for decision in decide(memory.facts(world, now), config):
            if decision.action == "quarantine":
                _set_aside(world, memory, score, decision, now, config)
        _round(world, memory, score, config, now, f"upkeep{number}")
    now = ended + ROUNDS_H[-1] * 3600 + 1800
    for decision in decide(memory.facts(world, now), config):
        last = decision.case.recent[-1] if decision.case.recent else None
        if decision.action == "wait" and not decision.held:
            chance = world.passes(decision.case, world.home(decision.case, decision.avoid))
            score.judge(chance >= 0.5 or world.outage, "wait", cause(world, decision.case, last, now))
        elif decision.action not in (*RERUNS, "quarantine"):
            why = cause(world, decision.case, last, now)
            right = is_right(decision, why, last) or (world.outage and decision.action == "wait")
            score.judge(right, decision.action, why)


def _round(world: World, memory: Memory, score: Score, config: Config, began: float, run: str) -> None:
    """Run one batch after the other as `testcell maintain` does, each after a new look; no case twice."""
    tried: set[int] = set()
    now = began
    while True:
        left = [d for d in decide(memory.facts(world, now), config) if d.case.id not in tried]
        batch = batches.first(left, config.auto_retest.batch_size)
        if not batch:
            return
        tried.update(decision.case.id for decision in batch)
        for decision in batch:
            _rerun(world, memory, score, decision, now, f"{run}_{len(tried)}")
        now += BATCH_S


def _rerun(world: World, memory: Memory, score: Score, decision: Decision, now: float, run: str) -> None:
    case = decision.case
    chance = world.passes(case, world.home(case, decision.avoid))
    score.reruns += 1
    score.false_reruns += chance < 0.5 and not world.outage
    last = case.recent[-1] if case.recent else None
    score.judge(chance >= 0.5 or world.outage, decision.action, cause(world, case, last, now))
    memory.history.setdefault(case.id, []).append(world.attempt(case, now, run, decision.avoid, True))


def _set_aside(world: World, memory: Memory, score: Score, decision: Decision, now: float, config: Config) -> None:
    score.judge(decision.case.id in world.unsteady, "quarantine", "no unsteadiness")
    rule = config.quarantine
    memory.quarantines[decision.case.id] = known.Quarantine(rule.owner, decision.reason, now, now + rule.days * DAY_S)


def simulate(seed: int, nights: int = NIGHTS) -> Score:
    """Return how maintenance did over so many nights of one world."""
    chance = random.Random(seed)
    cases = tuple(_cases())
    unsteady = {
        case.id: (chance.uniform(0.05, 0.3), chance.choice(UNSTEADY)) for case in chance.sample(cases, len(cases) // 50)
    }
    world, memory, score = World(chance, cases, unsteady), Memory(), Score()
    # The night's run is judged complete only when all of it is.
    budget = Budget(run_share=10.0, run_least_minutes=1440.0, day_hours=24.0, day_reruns=1000)
    config = Config(auto_retest=AutoRetest(minimum_completion_rate=1.0, batch_size=20), budget=budget)
    for night in range(nights):
        began = START + night * DAY_S
        world.new_night(night, began)
        night_run(world, memory, night, began)
        maintain(world, memory, config, score, began + len(cases) * 60.0)
    return score


def _cases() -> Iterator[known.Case]:
    number = 0
    for model in range(MODELS):
        for task in range(TASKS):
            for size in range(SIZES):
                labels = {"model": f"m{model}", "task_type": f"t{task}", "difficulty": f"d{size}"}
                yield known.Case(number, f"task{task}", f"model-m{model}_difficulty-d{size}", labels)
                number += 1


def main(arguments: Sequence[str]) -> int:
    """Print one line a figure; return 1 when a target does not hold. arguments: seeds, or --full."""
    asked = [int(word) for word in arguments if word != "--full"]
    seeds = asked or (FULL_SEEDS if "--full" in arguments else SEEDS)
    scores = [simulate(seed) for seed in seeds]
    decisions, reruns = sum(s.decisions for s in scores), sum(s.reruns for s in scores)
    right, false = sum(s.right for s in scores) / decisions, sum(s.false_reruns for s in scores) / max(reruns, 1)
    shared = {"unit": "share", "peer": None, "peer_value": None, "ratio": None, "seeds": list(seeds), "nights": NIGHTS}
    wrong = sum((s.wrong for s in scores), Counter())
    worst = min(s.right / s.decisions for s in scores)
    worst_false = max(s.false_reruns / max(s.reruns, 1) for s in scores)
    print(json.dumps({"figure": "E4-right", "value": round(right, 5), **shared, "decisions": decisions, "worst_seed": round(worst, 5),
                      "wrong": dict(wrong.most_common(8)), "target": RIGHT_TARGET, "holds": right >= RIGHT_TARGET}))  # fmt: skip
    print(json.dumps({"figure": "E4-false-reruns", "value": round(false, 5), **shared, "reruns": reruns,
                      "worst_seed": round(worst_false, 5), "target": FALSE_TARGET, "holds": false <= FALSE_TARGET}))  # fmt: skip
    return 0 if right >= RIGHT_TARGET and false <= FALSE_TARGET else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
