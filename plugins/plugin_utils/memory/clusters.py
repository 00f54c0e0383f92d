# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cases that fail alike at the same time: a few are tried first, so that a regression or an outage costs few reruns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .diagnosis import Diagnosis
from .facts import NOT_TRIED, Attempt, Case
from .surroundings import ALIKE

# Cases that fail alike are one thing where they are more than this share of the cases with that label.
MOSTLY = 0.4


@dataclass
class Cluster:
    """Cases with one error kind and one label in common. members: those that fail now.

    refused: those of them that failed so again when they were run again. helped: how many others failed the same way and passed
    when they were run again. answers: whether the engine answered and failed, rather than that there was no answer.
    of: all cases with that label. tried, of_tried: members, and all of them, without those that were skipped when they were due.
    """

    kind: str
    label: str
    value: str
    answers: bool
    of: int
    of_tried: int
    members: list[Case] = field(default_factory=list)
    refused: list[Case] = field(default_factory=list)
    helped: int = 0
    tried: int = 0

    @property
    def is_one_thing(self) -> bool:
        """Return whether one cause is likelier than many: by all last outcomes, or by those of the cases that came to be run."""
        return not self.helped and (_most(len(self.members), self.of) or _most(self.tried, self.of_tried))

    @property
    def what(self) -> str:
        """Return the cluster in words."""
        few = not _most(len(self.members), self.of)
        count, of = (self.tried, f"{self.of_tried} tried") if few else (len(self.members), str(self.of))
        return f"{count} of {of} cases with {self.label} {self.value} fail alike ({self.kind})"


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
    tried = of - Counter(label for case, _ in rest if not _was_tried(case) for label in _labels(case))
    made: dict[tuple[str, bool, str, str], Cluster] = {}
    for case, what in rest:
        attempt = _newest_failure(case, fresh_from)
        if attempt is None or _is_excused(attempt, what):
            continue
        for label, value in _labels(case):
            key = attempt.kind, attempt.verdict == "fail", label, value
            counts = of[(label, value)], tried[(label, value)]
            cluster = made.setdefault(key, Cluster(attempt.kind, label, value, key[1], *counts))
            _count(cluster, case, what, fresh_from)
    by_label: dict[tuple[str, str], list[Cluster]] = {}
    for cluster in _unexplained([one for one in made.values() if one.is_one_thing]):
        by_label.setdefault((cluster.label, cluster.value), []).append(cluster)
    return Clusters(by_label)


def _unexplained(some: Sequence[Cluster]) -> Iterator[Cluster]:
    """Return the clusters, the largest first, without those that are for the most part a piece of larger ones."""
    taken: set[int] = set()
    for cluster in sorted(some, key=lambda one: -len(one.members)):
        numbers = {member.id for member in cluster.members}
        if 2 * len(numbers & taken) <= len(numbers):
            yield cluster
        taken |= numbers


def _count(cluster: Cluster, case: Case, what: Diagnosis, fresh_from: float) -> None:
    last = case.recent[-1]
    if last.verdict == "pass":
        cluster.helped += last.by_upkeep
        return
    cluster.members.append(case)
    cluster.tried += _was_tried(case)
    alike = sum((a.kind, a.verdict == "fail") == (cluster.kind, cluster.answers) for a in what.tail)
    # What was in the way of an answer yesterday may be gone today.
    if alike > 1 and _was_tried(case) and (cluster.answers or last.at >= fresh_from):
        cluster.refused.append(case)


def _is_excused(attempt: Attempt, what: Diagnosis) -> bool:
    """Return whether a failure of a case that stands is none of what is tested now: a node is to blame, or it was changed."""
    return attempt.verdict == "fail" and attempt in what.tail and attempt not in what.fails


def _most(count: int, of: int) -> bool:
    return count >= ALIKE and count > MOSTLY * of


def _was_tried(case: Case) -> bool:
    """Return whether the newest attempt of a case had an outcome."""
    return case.recent[-1].verdict not in NOT_TRIED if case.recent else bool(case.counts)


def _newest_failure(case: Case, fresh_from: float) -> Attempt | None:
    """Return the newest failure that an engine or the network may have caused, if it is new or nobody else has tried since."""
    tried = [a for a in case.recent if a.verdict not in NOT_TRIED]
    failed = [a for a in tried if a.verdict in ("fail", "error") and a.kind]
    if not failed:
        return None
    last = failed[-1]
    return last if last.at >= fresh_from or all(a.by_upkeep for a in tried if a.at > last.at) else None


def _labels(case: Case) -> list[tuple[str, str]]:
    return [("scenario", case.scenario), *case.labels.items()]
