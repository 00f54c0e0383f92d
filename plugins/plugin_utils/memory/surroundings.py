# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all cases together show of a failure: that a node is to blame for it, or something that went by for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median_low

from .facts import Attempt, Case, Node
from .sickness import OUTLIER, Sick, broken_nodes, sick_nodes

# A failure that takes more attempts than this to go away was mended, and did not go away by itself.
SHORT = 2
# So many cases that fail alike in one run are taken for one thing.
ALIKE = 4


@dataclass(frozen=True)
class Disturbance:
    """Cases that failed alike in one run and passed again with nothing changed: something was in the way of them all.

    run: its key; kind: the error kind; at: Unix time of the last such failure; nodes: that all of them used.
    """

    run: str
    kind: str
    at: float
    passed_again: int
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Surroundings:
    """What is known of the nodes. broken: those taken for broken now, with the Unix time of the failure that says so.

    sick: error kind -> when it was one of some nodes. spread: run and error kind, where it was on all of them.
    disturbances: by run and error kind.
    """

    broken: Mapping[str, float] = field(default_factory=dict)
    sick: Mapping[str, Sequence[Sick]] = field(default_factory=dict)
    spread: frozenset[tuple[str, str]] = frozenset()
    disturbances: Mapping[tuple[str, str], Disturbance] = field(default_factory=dict)

    def excuse(self, attempt: Attempt) -> bool:
        """Return whether a node is likelier to blame for a failed attempt than what was tested."""
        return attempt.owner == "node" or not self.sick_for(attempt).isdisjoint(attempt.nodes)

    def sick_for(self, attempt: Attempt) -> frozenset[str]:
        """Return the nodes that failed far more cases than others, in the way and at the time of a failed attempt."""
        found = (one.nodes for one in self.sick.get(attempt.kind, ()) if one.since <= attempt.at <= one.until)
        return frozenset().union(*found)


def surroundings(cases: Sequence[Case], nodes: Mapping[str, Node]) -> Surroundings:
    """Return what is known of the nodes from the newest attempts on them and from the failures of each run."""
    seen = {node for case in cases for attempt in case.recent for node in attempt.nodes}
    # A node that nothing was run on is no better than one that fails.
    used = [name for name, node in nodes.items() if name in seen or node.failed or node.passed]
    sick, spread = sick_nodes(cases, used)
    around = Surroundings(broken_nodes(nodes), sick, spread)
    return replace(around, disturbances=_disturbances(cases, around))


def _disturbances(cases: Sequence[Case], around: Surroundings) -> dict[tuple[str, str], Disturbance]:
    """Return the runs in which far more cases failed alike and passed again than usual; unsteady cases do so one by one."""
    failed: dict[tuple[str, str], list[Attempt]] = {}
    standing: Counter[tuple[str, str]] = Counter()
    runs: set[str] = set()
    for case in cases:
        runs.update([attempt.run for attempt in case.recent if not attempt.by_upkeep])
        if all(attempt.verdict != "fail" for attempt in case.recent):
            continue
        for short in short_failures(case, around):
            if not short[0].by_upkeep:
                failed.setdefault((short[0].run, short[0].kind), []).append(short[0])
        standing.update(_still_failing(case))
    usual: dict[str, list[int]] = {}
    for (_, kind), attempts in failed.items():
        usual.setdefault(kind, []).append(len(attempts))
    return {
        key: _disturbance(key, attempts)
        for key, attempts in failed.items()
        if len(attempts) >= max(ALIKE, OUTLIER * _median(usual[key[1]], len(runs)), standing[key] + 1)
    }


def _still_failing(case: Case) -> set[tuple[str, str]]:
    """Return the run and the error kind with which a case began to fail that has failed so again since and not passed."""
    fails: list[Attempt] = []
    for attempt in case.recent:
        fails = [*fails, attempt] if attempt.verdict == "fail" else [] if attempt.believed else fails
    return {(fails[0].run, fails[0].kind)} if len(fails) > 1 and fails[0].kind == fails[1].kind else set()


def _median(counts: Sequence[int], runs: int) -> int:
    """Return the count of the run in the middle, where only the runs with any were counted."""
    return median_low([*([0] * (runs - len(counts))), *counts])


def _disturbance(key: tuple[str, str], failed: Sequence[Attempt]) -> Disturbance:
    shared = frozenset.intersection(*(frozenset(attempt.nodes) for attempt in failed))
    return Disturbance(*key, max(attempt.at for attempt in failed), len(failed), tuple(sorted(shared)))


def short_failures(case: Case, around: Surroundings) -> list[tuple[Attempt, ...]]:
    """Return the runs of believed failures that a pass ended with nothing known to have changed, oldest first.

    Failures for which a node is to blame are passed over, and those that many cases shared are left out.
    """
    after = max(quarantine_ended(case), case.changed_at)
    found: list[tuple[Attempt, ...]] = []
    run: list[Attempt] = []
    for attempt in case.recent:
        if not attempt.believed or attempt.at < after or (attempt.verdict == "fail" and around.excuse(attempt)):
            continue
        if attempt.verdict == "fail":
            run.append(attempt)
            continue
        if run and len(run) <= SHORT and all(same_revision(failed, attempt) for failed in run):
            found.append(tuple(run))
        run = []
    return [short for short in found if not any((one.run, one.kind) in around.disturbances for one in short)]


def same_revision(one: Attempt, other: Attempt) -> bool:
    return one.revision == other.revision or not (one.revision and other.revision)


def quarantine_ended(case: Case) -> float:
    """Return the Unix time at which the last quarantine ended, 0 where there was none or no attempt came after it."""
    if case.quarantine is None:
        return 0.0
    ended = case.quarantine.until if case.quarantine.lifted_at is None else case.quarantine.lifted_at
    return ended if case.recent and ended <= case.recent[-1].at else 0.0
