# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which nodes are to blame, as all cases together show it: those that fail far more of them than others do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .facts import Attempt, Case, Node
from .intervals import Rate

# So many different cases must fail on a node before it is suspected,
SUSPECT = 3
# so many times as many as on the next one, for it to be the node and not the engine,
OUTLIER = 3
# and so many must pass there then before it is taken for mended: of 4 of 4 the whole interval is above one half.
MENDED = 4
# A node that was sick in a run is so for its reruns, too.
LASTS_S = 86_400.0


@dataclass(frozen=True)
class Sick:
    """Nodes that failed far more cases with one error kind than others did, from one Unix time to another."""

    since: float
    until: float
    nodes: frozenset[str]


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


def _by_node(failed: Sequence[Attempt]) -> dict[str, int]:
    """Return how many failures each node explains that no node with more of them does.

    A case over several nodes fails by one of them. Nodes that were used by the same attempts alone cannot be told apart.
    """
    left = Counter(frozenset(attempt.nodes) for attempt in failed if attempt.nodes)
    found: dict[str, int] = {}
    while left:
        counts: Counter[str] = Counter()
        for used, times in left.items():
            counts.update(dict.fromkeys(used, times))
        most = max(counts.values())
        best = min(node for node, count in counts.items() if count == most)
        twins = frozenset.intersection(*(used for used in left if best in used))
        found.update({node: most for node in twins if counts[node] == most})
        left = Counter({used: times for used, times in left.items() if best not in used})
    return found


def _outliers(counts: Mapping[str, int], whole: Mapping[str, int], nodes: Sequence[str]) -> frozenset[str]:
    """Return the nodes with many failures where none of the rest has a third of them, and as many others are well.

    whole: the failures of all kinds. A node that has many more of them than the best one shows too little of one kind.
    """
    limit = 2 * min((whole.get(node, 0) for node in nodes), default=0.0) + SUSPECT
    ranked = [*sorted(counts.items(), key=lambda pair: -pair[1]), ("", 0)]
    for place, (_, count) in enumerate(ranked[:-1]):
        if count >= SUSPECT and count >= OUTLIER * ranked[place + 1][1]:
            found = frozenset(name for name, _ in ranked[: place + 1])
            well = [node for node in nodes if node not in found and whole.get(node, 0) <= limit]
            return found if len(well) >= len(found) else frozenset()
    return frozenset()
