# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is the matter with one case: the engine, a node, the cell, an unsteady test, or that nobody has run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .facts import NOT_TRIED, Attempt, Case, Node
from .intervals import Rate

# A failure that takes more attempts than this to go away was mended, and did not go away by itself.
SHORT = 2
# After so many passes in a row an unsteady case is steady again.
STEADY = 5
# So many different cases must fail on a node before it is suspected,
SUSPECT = 3
# so many times as many as on the next one, for it to be the node and not the engine,
OUTLIER = 3
# and so many must pass there then before it is taken for mended.
MENDED = 2
# A node that was sick in a run is so for its reruns, too.
LASTS_S = 86_400.0


@dataclass(frozen=True)
class Diagnosis:
    """What is the matter with a case. state: one of STATES; owner: whose fault, "" for nobody's or not known.

    since: Unix time of the first attempt that shows it, None where that is not known. nodes: those to blame. kind: the newest
    error kind. times: how often it failed and passed again with nothing changed. fails: its believed failures since its last
    pass, tail: all attempts since then.
    """

    state: str
    owner: str = ""
    since: float | None = None
    nodes: tuple[str, ...] = ()
    kind: str = ""
    times: int = 0
    fails: tuple[Attempt, ...] = ()
    tail: tuple[Attempt, ...] = ()

    def tries(self, like: Attempt) -> int:
        """Return how often maintenance has run the case since its last pass, and it ended as this attempt did."""
        return sum(a.by_upkeep and (a.verdict, a.kind) == (like.verdict, like.kind) for a in self.tail)

    @property
    def all_tries(self) -> int:
        """Return how often maintenance has run the case since its last pass."""
        return sum(attempt.by_upkeep for attempt in self.tail)


STATES = ("passing", "flaky", "failing", "regression", "node_bound", "no_answer", "missing", "retired")


@dataclass(frozen=True)
class Sick:
    """Nodes that failed far more cases with one error kind than others did, from one Unix time to another."""

    since: float
    until: float
    nodes: frozenset[str]


@dataclass(frozen=True)
class Surroundings:
    """What is known of the nodes. broken: those taken for broken now, with the Unix time of the failure that says so.

    sick: error kind -> when it was one of some nodes. spread: run and error kind, where it was on all of them.
    """

    broken: Mapping[str, float] = field(default_factory=dict)
    sick: Mapping[str, Sequence[Sick]] = field(default_factory=dict)
    spread: frozenset[tuple[str, str]] = frozenset()

    def excuse(self, attempt: Attempt) -> bool:
        """Return whether a node is likelier to blame for a failed attempt than what was tested."""
        return attempt.owner == "node" or not self.sick_for(attempt).isdisjoint(attempt.nodes)

    def sick_for(self, attempt: Attempt) -> frozenset[str]:
        """Return the nodes that failed far more cases than others, in the way and at the time of a failed attempt."""
        found = (one.nodes for one in self.sick.get(attempt.kind, ()) if one.since <= attempt.at <= one.until)
        return frozenset().union(*found)


def surroundings(cases: Sequence[Case], nodes: Mapping[str, Node]) -> Surroundings:
    """Return what is known of the nodes from the newest attempts on them and from the failures of each run."""
    sick, spread = sick_nodes(cases, tuple(nodes))
    return Surroundings(broken_nodes(nodes), sick, spread)


def diagnose(case: Case, around: Surroundings) -> Diagnosis:
    """Return what is the matter with a case."""
    if not case.expected:
        return Diagnosis("retired")
    if not case.recent:
        return Diagnosis("passing" if case.answer == "pass" else "flaky" if case.answer else "missing")
    tail = _tail(case.recent)
    return _standing(case, tail, around) if tail else _recovered(case, around)


def _recovered(case: Case, around: Surroundings) -> Diagnosis:
    """Return what is the matter with a case whose newest attempt passed: nothing, unless it failed shortly before."""
    times, last = times_unsteady(case, around), case.recent[-1]
    if last.verdict == "flaky":
        return Diagnosis("flaky", since=last.at, times=times)
    failed = [a for a in case.recent if a.verdict == "fail" and not around.excuse(a)]
    before = next((run for run in short_failures(case, around) if failed[-1] in run), None)
    if before is None or _passes_at_the_end(case.recent) >= STEADY:
        return Diagnosis("passing", times=times)
    there = [a for a in failed if a.at >= _first_failure_on(case.recent, set(before[-1].nodes))]
    nodes = _passed_elsewhere(case.recent, there) if len(there) > 1 else ()
    state, owner = ("node_bound", "node") if nodes else ("flaky", before[-1].owner)
    return Diagnosis(state, owner, before[0].at, nodes, before[-1].kind, times)


def _standing(case: Case, tail: Sequence[Attempt], around: Surroundings) -> Diagnosis:
    """Return what is the matter with a case that has not passed since. tail: its attempts since its last pass."""
    last, first, times = tail[-1], tail[0].at, times_unsteady(case, around)
    fails = tuple(a for a in tail if a.verdict == "fail" and a.at >= case.changed_at and not around.excuse(a))

    def found(state: str, owner: str, since: float, nodes: tuple[str, ...] = ()) -> Diagnosis:
        return Diagnosis(state, owner, since, nodes, last.kind, times, fails, tuple(tail))

    stands = len(fails) > 1 or any(_same_revision(failed, last) for failed in fails)
    if last.verdict in NOT_TRIED:
        return found("no_answer" if case.answer else "missing", "", last.at)
    if not (last.verdict != "fail" and stands) and (blamed := _blamed(last, around)):
        return found("node_bound", "node", first, blamed)
    if last.verdict != "fail" and not stands:
        return found("no_answer", last.owner, first)
    if elsewhere := _passed_elsewhere(case.recent, fails):
        return found("node_bound", "node", first, elsewhere)
    if times or (len(fails) <= SHORT and _revision_passed(case, last)):
        return found("flaky", last.owner, first)
    return found("regression" if _passed(case) else "failing", last.owner, first)


def broken_nodes(nodes: Mapping[str, Node]) -> dict[str, float]:
    """Return the nodes that are broken, or on which far more cases fail than on the others, with the time of that failure.

    A node on which cases have passed since is not among them: one case, or two where many have failed.
    """
    found = {}
    for name, node in nodes.items():
        if node.passed_since >= (MENDED if node.failed >= SUSPECT else 1):
            continue
        here = Rate(node.failed, node.failed + node.passed)
        there = _rate_of_the_better_half([other for other in nodes.values() if other.name != name])
        many = node.failed >= SUSPECT and there.of and here.interval[0] > there.interval[1]
        if node.last_blamed or many:
            found[name] = max(node.last_blamed, node.last_failure)
    return found


def _rate_of_the_better_half(nodes: Sequence[Node]) -> Rate:
    """Return how many cases fail on those nodes on which the fewest do: several may be broken at the same time."""
    used = sorted((n for n in nodes if n.failed + n.passed), key=lambda n: n.failed / (n.failed + n.passed))
    better = used[: (len(used) + 1) // 2]
    return Rate(sum(n.failed for n in better), sum(n.failed + n.passed for n in better))


def sick_nodes(cases: Sequence[Case], nodes: Sequence[str]) -> tuple[dict[str, list[Sick]], frozenset[tuple[str, str]]]:
    """Return, by error kind, when far more cases failed on some nodes than on any other, and which kinds were spread in a run.

    nodes: all there are. A regression of the engine fails on all nodes that the cases are spread over. Reruns of
    maintenance say nothing here: they are chosen by their failures, and are many on few nodes.
    """
    runs: dict[str, dict[str, list[Attempt]]] = {}
    for case in cases:
        for attempt in case.recent:
            if not attempt.by_upkeep and (attempt.verdict == "fail" or attempt.owner == "node"):
                runs.setdefault(attempt.run, {}).setdefault(attempt.kind, []).append(attempt)
    sick: dict[str, list[Sick]] = {}
    spread = set()
    for run, kinds in runs.items():
        counts = {kind: _by_node(attempts) for kind, attempts in kinds.items()}
        whole = _by_node([attempt for attempts in kinds.values() for attempt in attempts])
        by_any = _outliers(whole, whole, nodes)
        for kind, attempts in kinds.items():
            outside = sum(by_any.isdisjoint(attempt.nodes) for attempt in attempts)
            found = _outliers(counts[kind], whole, nodes) | (by_any if outside < SUSPECT else frozenset())
            if found:
                times = [attempt.at for attempt in attempts]
                sick.setdefault(kind, []).append(Sick(min(times), max(times) + LASTS_S, found))
            elif outside >= SUSPECT:
                spread.add((run, kind))
    return sick, frozenset(spread)


def _by_node(failed: Sequence[Attempt]) -> dict[str, float]:
    """Return how many attempts failed on each node; one over several nodes is a part of a failure on each."""
    counts: dict[str, float] = {}
    for attempt in failed:
        for node in attempt.nodes:
            counts[node] = counts.get(node, 0.0) + 1.0 / len(attempt.nodes)
    return counts


def _outliers(counts: Mapping[str, float], whole: Mapping[str, float], nodes: Sequence[str]) -> frozenset[str]:
    """Return the nodes with many failures where none of the rest has a third of them, and as many others are well.

    whole: the failures of all kinds. A node that has many more of them than the best one shows too little of one kind.
    """
    limit = 2 * min((whole.get(node, 0.0) for node in nodes), default=0.0) + SUSPECT
    ranked = [*sorted(counts.items(), key=lambda pair: -pair[1]), ("", 0.0)]
    for place, (_, count) in enumerate(ranked[:-1]):
        if count >= SUSPECT and count >= OUTLIER * ranked[place + 1][1]:
            found = frozenset(name for name, _ in ranked[: place + 1])
            well = [node for node in nodes if node not in found and whole.get(node, 0.0) <= limit]
            return found if len(well) >= len(found) else frozenset()
    return frozenset()


def times_unsteady(case: Case, around: Surroundings) -> int:
    """Return how often the case failed and then passed with nothing changed, since its last quarantine ended.

    A failure on nodes on which it has not passed since says something about those nodes.
    """
    after = max(_quarantine_ended(case), case.changed_at)
    helped = sum(a.verdict == "flaky" and a.at >= after for a in case.recent)
    return helped + sum(_passed_there_since(case.recent, run) for run in short_failures(case, around))


def short_failures(case: Case, around: Surroundings) -> list[tuple[Attempt, ...]]:
    """Return the runs of believed failures that a pass ended with nothing known to have changed, oldest first.

    Failures for which a node is to blame are passed over.
    """
    after = max(_quarantine_ended(case), case.changed_at)
    found: list[tuple[Attempt, ...]] = []
    run: list[Attempt] = []
    for attempt in case.recent:
        if not attempt.believed or attempt.at < after or (attempt.verdict == "fail" and around.excuse(attempt)):
            continue
        if attempt.verdict == "fail":
            run.append(attempt)
            continue
        if run and len(run) <= SHORT and all(_same_revision(failed, attempt) for failed in run):
            found.append(tuple(run))
        run = []
    return found


def _same_revision(one: Attempt, other: Attempt) -> bool:
    return one.revision == other.revision or not (one.revision and other.revision)


def _revision_passed(case: Case, failed: Attempt) -> bool:
    """Return whether what failed is known to have passed before."""
    passed = {a.revision for a in case.recent if a.verdict == "pass" and a.at >= case.changed_at}
    return bool(failed.revision) and failed.revision in passed


def _passed_there_since(recent: Sequence[Attempt], run: Sequence[Attempt]) -> bool:
    """Return whether each failure of a run used no node but those on which the case has passed later."""
    later = {node for a in recent if a.verdict == "pass" and a.at > run[-1].at for node in a.nodes}
    return all(later.issuperset(failed.nodes) for failed in run)


def _quarantine_ended(case: Case) -> float:
    """Return the Unix time at which the last quarantine ended, 0 where there was none or no attempt came after it."""
    if case.quarantine is None:
        return 0.0
    ended = case.quarantine.until if case.quarantine.lifted_at is None else case.quarantine.lifted_at
    return ended if case.recent and ended <= case.recent[-1].at else 0.0


def _tail(recent: Sequence[Attempt]) -> list[Attempt]:
    """Return the attempts since the newest pass."""
    last = max((index for index, a in enumerate(recent) if a.verdict in ("pass", "flaky")), default=-1)
    return list(recent[last + 1 :])


def _passes_at_the_end(recent: Sequence[Attempt]) -> int:
    believed = [a.verdict for a in recent if a.believed]
    return next((n for n, verdict in enumerate(reversed(believed)) if verdict != "pass"), len(believed))


def _passed(case: Case) -> bool:
    return any(count.verdict in ("pass", "flaky") for count in case.counts)


def _blamed(last: Attempt, around: Surroundings) -> tuple[str, ...]:
    """Return the nodes to blame for an attempt: the one that it names itself, and those that fail for all."""
    if last.owner == "node" and last.node:
        return (last.node,)
    if last.owner in ("image", "test", "cell"):
        return ()
    sick = around.sick_for(last)
    if last.verdict == "fail" and (last.run, last.kind) not in around.spread:
        sick = sick.union(around.broken)
    return tuple(node for node in last.nodes if node in sick)


def _passed_elsewhere(recent: Sequence[Attempt], fails: Sequence[Attempt]) -> tuple[str, ...]:
    """Return the nodes that all failures used and no pass since the first of them, where it passed on others."""
    if not fails or not all(a.nodes for a in fails):
        return ()
    shared = set(fails[0].nodes).intersection(*(a.nodes for a in fails))
    since = _first_failure_on(recent, shared)
    passes = [set(a.nodes) for a in recent if a.verdict == "pass" and a.at > since and a.nodes]
    bad = shared - {node for nodes in passes for node in nodes}
    return tuple(sorted(bad)) if passes and bad else ()


def _first_failure_on(recent: Sequence[Attempt], nodes: set[str]) -> float:
    """Return when the case first failed on these nodes without having passed there since; infinity for never."""
    first = float("inf")
    for attempt in reversed(recent):
        if attempt.verdict == "pass" and nodes & set(attempt.nodes):
            break
        if attempt.verdict == "fail" and nodes & set(attempt.nodes):
            first = attempt.at
    return first
