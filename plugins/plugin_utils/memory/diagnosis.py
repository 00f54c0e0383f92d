# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is the matter with one case: the engine, a node, the cell, an unsteady test, or that nobody has run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .facts import NOT_TRIED, Attempt, Case
from .surroundings import SHORT, Surroundings, quarantine_ended, same_revision, short_failures

# After so many passes in a row an unsteady case is steady again.
STEADY = 5


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
        """Return how often maintenance has run the case since it first ended as this attempt did, and it did so again."""
        alike = [a for a in self.tail if (a.verdict, a.kind) == (like.verdict, like.kind)]
        return sum(a.by_upkeep for a in alike[1:])

    @property
    def all_tries(self) -> int:
        """Return how often maintenance has run the case since its last pass."""
        return sum(attempt.by_upkeep for attempt in self.tail)


STATES = ("passing", "flaky", "failing", "regression", "node_bound", "no_answer", "missing", "retired")


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

    stands = any(same_revision(failed, last) for failed in fails)
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


def times_unsteady(case: Case, around: Surroundings) -> int:
    """Return how often the case failed and then passed with nothing changed, since its last quarantine ended.

    A failure on nodes on which it has not passed since says something about those nodes.
    """
    after = max(quarantine_ended(case), case.changed_at)
    helped = sum(a.verdict == "flaky" and a.at >= after for a in case.recent)
    return helped + sum(_passed_there_since(case.recent, run) for run in short_failures(case, around))


def _revision_passed(case: Case, failed: Attempt) -> bool:
    """Return whether what failed is known to have passed before."""
    passed = {a.revision for a in case.recent if a.verdict == "pass" and a.at >= case.changed_at}
    return bool(failed.revision) and failed.revision in passed


def _passed_there_since(recent: Sequence[Attempt], run: Sequence[Attempt]) -> bool:
    """Return whether each failure of a run used no node but those on which the case has passed later."""
    later = {node for a in recent if a.verdict == "pass" and a.at > run[-1].at for node in a.nodes}
    return all(later.issuperset(failed.nodes) for failed in run)


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
