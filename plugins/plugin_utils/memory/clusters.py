# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases that fail alike at the same time: a few are tried first, so that a regression or an outage costs few reruns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .diagnosis import Diagnosis
from .facts import Attempt, Case

# So many cases that fail with the same kind in the same night are taken for one thing,
ALIKE = 4
# where they are more than this share of the cases with that label.
MOSTLY = 0.4


@dataclass
class Cluster:
    """Cases with one error kind and one label in common. members: those that fail now, refused: those of them that failed so twice.

    helped: how many others failed the same way and passed when they were run again. of: all cases with that label.
    answers: whether the engine answered and failed, rather than that there was no answer.
    """

    kind: str
    label: str
    value: str
    answers: bool
    of: int
    members: list[Case] = field(default_factory=list)
    refused: list[Case] = field(default_factory=list)
    helped: int = 0

    @property
    def is_one_thing(self) -> bool:
        """Return whether one cause is likelier than many."""
        return len(self.members) >= ALIKE and len(self.members) > MOSTLY * self.of and not self.helped

    @property
    def what(self) -> str:
        """Return the cluster in words."""
        return f"{len(self.members)} of {self.of} cases with {self.label} {self.value} fail alike ({self.kind})"


@dataclass(frozen=True)
class Clusters:
    """The clusters that are one thing each, by a label and its value."""

    by_label: Mapping[tuple[str, str], Sequence[Cluster]]

    def of(self, case: Case, attempt: Attempt) -> Cluster | None:
        """Return the largest cluster of cases that fail as this attempt of a case did, None where there is none."""
        answers = attempt.verdict == "fail"
        found = [c for c in self._around(case) if c.kind == attempt.kind and c.answers == answers]
        return max(found, key=lambda cluster: len(cluster.members), default=None)

    def failing(self, case: Case) -> Cluster | None:
        """Return the largest cluster of failures of the engine that share a label with a case, None where there is none."""
        found = [c for c in self._around(case) if c.answers]
        return max(found, key=lambda cluster: len(cluster.members), default=None)

    def _around(self, case: Case) -> list[Cluster]:
        return [cluster for label in _labels(case) for cluster in self.by_label.get(label, ())]


def clusters(found: Sequence[tuple[Case, Diagnosis]], fresh_from: float) -> Clusters:
    """Return the cases that fail alike as one thing, those left out for which a node is to blame.

    fresh_from: Unix time from which on a failure is new.
    """
    rest = [(case, what) for case, what in found if what.state not in ("node_bound", "retired")]
    of = Counter(label for case, _ in rest for label in _labels(case))
    made: dict[tuple[str, bool, str, str], Cluster] = {}
    for case, what in rest:
        for attempt in _new_failures(case, fresh_from):
            for label, value in _labels(case):
                key = attempt.kind, attempt.verdict == "fail", label, value
                cluster = made.setdefault(key, Cluster(attempt.kind, label, value, key[1], of[(label, value)]))
                _count(cluster, case, what)
    by_label: dict[tuple[str, str], list[Cluster]] = {}
    for cluster in made.values():
        if cluster.is_one_thing:
            by_label.setdefault((cluster.label, cluster.value), []).append(cluster)
    return Clusters(by_label)


def _count(cluster: Cluster, case: Case, what: Diagnosis) -> None:
    last = case.recent[-1]
    if last.verdict == "pass":
        cluster.helped += last.by_upkeep
        return
    cluster.members.append(case)
    if sum((a.kind, a.verdict == "fail") == (cluster.kind, cluster.answers) for a in what.tail) > 1:
        cluster.refused.append(case)


def _new_failures(case: Case, fresh_from: float) -> Iterable[Attempt]:
    """Return the newest failure that an engine or the network may have caused, if it is new."""
    failed = [a for a in case.recent if a.verdict in ("fail", "error") and a.kind and a.at >= fresh_from]
    return failed[-1:]


def _labels(case: Case) -> list[tuple[str, str]]:
    return [("scenario", case.scenario), *case.labels.items()]
