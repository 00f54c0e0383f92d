# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How complete the results are and how much of them fails, for any label or combination of labels: what, how often, whose fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import intervals
from .diagnosis import Diagnosis
from .facts import Case
from .intervals import Rate
from .upkeep_config import Config

DEFAULT_BY = ("model",)
SCENARIO, CASE = "scenario", "case"
TRIES = 3


@dataclass
class Group:
    """All cases with the same values of some labels. labels: label -> value, "" for cases without that label.

    done: cases with a believed answer; failing: those whose newest one is a failure; flaky: those that also pass; set_aside: in
    quarantine, and counted all the same. worse, better: cases that passed before the newest part of the window and fail in
    it, and the other way round. since: Unix time of the oldest trouble.
    """

    labels: Mapping[str, str]
    expected: int = 0
    done: int = 0
    failing: int = 0
    flaky: int = 0
    never: int = 0
    set_aside: int = 0
    retired: int = 0
    worse: int = 0
    better: int = 0
    first_answers: list[tuple[int, int]] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    owners: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    since: float | None = None

    @property
    def completion(self) -> Rate:
        """Return how many of the expected cases have an answer that may be believed."""
        return Rate(self.done, self.expected)

    @property
    def failure(self) -> Rate:
        """Return how many of the cases with an answer fail."""
        return Rate(self.failing, self.done)

    def patterns(self, config: Config) -> dict[str, str]:
        """Return the patterns that hold, each `certain` or `suspected`: high_failure, low_completion, severe."""
        rules = config.auto_retest
        found = {
            "high_failure": self.failure.above(rules.maximum_failure_rate),
            "low_completion": self.completion.below(rules.minimum_completion_rate),
            "severe": self.failure.above(config.analysis.severe_failure_rate),
        }
        return {name: how for name, how in found.items() if how}

    def as_dict(self, config: Config) -> dict[str, Any]:
        """Return the group as plain JSON types."""
        patterns = self.patterns(config)
        return {
            "labels": dict(self.labels),
            "expected": self.expected,
            "done": self.done,
            "missing": self.expected - self.done,
            "never_run": self.never,
            "failing": self.failing,
            "flaky": self.flaky,
            "quarantined": self.set_aside,
            "retired": self.retired,
            "completion": self.completion.as_dict(),
            "failure": self.failure.as_dict(),
            "patterns": patterns,
            "both": {"high_failure", "low_completion"} <= set(patterns),
            "trend": {
                "direction": intervals.trend(self.worse, self.better),
                "worse": self.worse,
                "better": self.better,
                "p": round(intervals.mcnemar(self.worse, self.better), 4),
            },
            "pass_at_1": _rounded(intervals.pass_at(1, self.first_answers)),
            "pass_at_k": _rounded(intervals.pass_at(TRIES, self.first_answers)),
            "k": TRIES,
            "states": dict(self.states.most_common()),
            "owners": dict(self.owners.most_common()),
            "error_kinds": dict(self.kinds.most_common(5)),
            "since": self.since,
        }


def groups(found: Sequence[tuple[Case, Diagnosis]], by: Sequence[str], now: float) -> list[Group]:
    """Return the cases grouped by these labels (`scenario` and `case` are labels, too), the worst first. now: Unix time."""
    made: dict[tuple[str, ...], Group] = {}
    for case, what in found:
        values = tuple(_value(case, label) for label in by)
        group = made.get(values)
        if group is None:
            group = made[values] = Group(dict(zip(by, values, strict=True)))
        _add(group, case, what, now)
    return sorted(
        made.values(), key=lambda g: (-g.failing - (g.expected - g.done), -g.expected, tuple(g.labels.values()))
    )


def by_default(cases: Sequence[Case]) -> tuple[str, ...]:
    """Return the labels that cases are grouped by unless others are asked for: the model where any case has one."""
    return DEFAULT_BY if any(DEFAULT_BY[0] in case.labels for case in cases) else (SCENARIO,)


def _add(group: Group, case: Case, what: Diagnosis, now: float) -> None:
    if not case.expected:
        group.retired += 1
        return
    answer = case.answer
    group.expected += 1
    group.done += bool(answer)
    group.failing += answer == "fail"
    group.never += not case.counts
    group.flaky += what.state == "flaky"
    group.set_aside += case.quarantine is not None and case.quarantine.holds(now)
    if answer:
        group.first_answers.append(case.passes_and_answers())
        _compare(group, case)
    if what.state == "passing":
        return
    group.states[what.state] += 1
    if what.owner:
        group.owners[what.owner] += 1
    if what.kind:
        group.kinds[what.kind] += 1
    if what.since is not None and (group.since is None or what.since < group.since):
        group.since = what.since


def _compare(group: Group, case: Case) -> None:
    now, before = case.fresh_answer(), case.answer_before()
    if now and before:
        group.worse += now == "fail" and before != "fail"
        group.better += now != "fail" and before == "fail"


def _value(case: Case, label: str) -> str:
    if label in case.labels:
        return case.labels[label]
    return case.scenario if label == SCENARIO else case.name if label == CASE else ""


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
