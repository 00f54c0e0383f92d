# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""What maintenance shows: groups of cases and single ones as tables that say what, how often, since when, whose fault, and what next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from testcell.cli.output import Line, Part, Table

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.analysis import Group
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.decisions import Decision
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.diagnosis import Diagnosis
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.facts import Case
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.survey import Survey

MOST_ROWS = 200
RIGHT = frozenset({"done", "failing", "flaky", "missing", "set aside", "times"})


def groups(seen: Survey, by: Sequence[str]) -> Table:
    """Return how complete each group is, what is wrong in it and whose fault that is; one that nobody asks for is left out."""
    found = [group for group in seen.groups(by) if group.expected]
    labels = list(found[0].labels) if found else list(by)
    steps = _steps_by_group(seen, labels)
    rows = [
        (
            *(_text(value) for value in group.labels.values()),
            f"{group.done}/{group.expected}",
            str(group.failing),
            str(group.flaky),
            str(group.expected - group.done),
            str(group.set_aside),
            _patterns(group.patterns(seen.config)),
            _trend(group),
            ", ".join(f"{owner} {count}" for owner, count in group.owners.most_common(3)) or "-",
            moment(group.since),
            _steps(steps.get(tuple(group.labels.values()), Counter())),
        )
        for group in found
    ]
    columns = (
        *labels,
        "done",
        "failing",
        "flaky",
        "missing",
        "set aside",
        "pattern",
        "trend",
        "whose fault",
        "since",
        "next",
    )
    return Table(columns, rows[:MOST_ROWS], note=_note(len(rows), "group"), right=RIGHT)


def incomplete(seen: Survey, found: Sequence[tuple[Case, Diagnosis]]) -> Table:
    """Return each case that has not simply passed, with what is to be done about it."""
    decided = {decision.case.id: decision for decision in seen.decisions}
    ordered = sorted(found, key=lambda pair: _order(pair[0], decided.get(pair[0].id)))
    rows = [
        (
            case.title,
            what.state,
            what.kind or "-",
            str(len(what.tail) or what.times or "-"),
            moment(what.since),
            ", ".join([what.owner or "-", *what.nodes]),
            decided[case.id].action if case.id in decided else "leave",
            decided[case.id].reason if case.id in decided else "-",
        )
        for case, what in ordered
    ]
    columns = ("case", "state", "error", "times", "since", "whose fault", "next", "why")
    return Table(columns, rows[:MOST_ROWS], note=_note(len(rows), "case"), right=RIGHT)


def case_document(case: Case, what: Diagnosis, decision: Decision | None) -> dict[str, Any]:
    """Return one case as plain JSON types."""
    return {
        "scenario": case.scenario,
        "case": case.name,
        "labels": dict(case.labels),
        "state": what.state,
        "error_kind": what.kind or None,
        "owner": what.owner or None,
        "nodes": list(what.nodes),
        "since": what.since,
        "attempts_since": len(what.tail),
        "times_unsteady": what.times,
        "last_answer": case.answer or None,
        "last_at": case.last_at,
        "quarantine": quarantine_document(case),
        "next": None if decision is None else decision.as_dict(),
    }


def quarantine_document(case: Case) -> dict[str, Any] | None:
    """Return the newest quarantine of a case as plain JSON types, None where it never had one."""
    if case.quarantine is None:
        return None
    names = ("owner", "reason", "since", "until", "lifted_at")
    return {name: getattr(case.quarantine, name) for name in names}


def decisions(made: Sequence[Decision]) -> Table:
    """Return decisions, the most important first."""
    rows = [(one.case.title, one.action, str(one.priority), ", ".join(one.avoid) or "-", one.reason) for one in made]
    return Table(("case", "next", "priority", "avoid", "why"), rows[:MOST_ROWS], note=_note(len(rows), "decision"))


def missed(found: Sequence[Group]) -> list[Part]:
    """Return a line for each group that misses a threshold."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.intervals import Rate

    def share(rate: Rate) -> str:
        low, high = rate.interval
        return f"{rate.count} of {rate.of} ({low:.0%} to {high:.0%})"

    return [
        Line(
            f"missed: {_named(group.labels)}: done {share(group.completion)}, failing {share(group.failure)}", "yellow"
        )
        for group in found
    ]


def notices(told: Sequence[str]) -> list[Part]:
    """Return a line for each thing that a person is told besides the cases."""
    return [Line(_text(line), "yellow") for line in told]


def moment(at: float | None) -> str:
    """Return a Unix time as people read it, in UTC."""
    return "-" if at is None else datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M")


def _order(case: Case, decision: Decision | None) -> tuple[int, str]:
    return (9 if decision is None else decision.priority), case.title


def _steps_by_group(seen: Survey, labels: Sequence[str]) -> dict[tuple[str, ...], Counter[str]]:
    found: dict[tuple[str, ...], Counter[str]] = {}
    for decision in seen.decisions:
        case = decision.case
        known = {"scenario": case.scenario, "case": case.name, **case.labels}
        found.setdefault(tuple(known.get(label, "") for label in labels), Counter())[decision.action] += 1
    return found


def _steps(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{action} {count}" for action, count in sorted(counts.items())) or "-"


def _patterns(found: Mapping[str, str]) -> str:
    words = [f"{name.replace('_', ' ')} ({how})" for name, how in found.items()]
    return ", ".join(words) or "-"


def _trend(group: Group) -> str:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.intervals import trend

    return f"{trend(group.worse, group.better)} (+{group.worse} -{group.better})"


def _named(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{label} {_text(value)}" for label, value in labels.items())


def _text(value: str) -> str:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.escape import one_line

    return one_line(value) or "-"


def _note(count: int, what: str) -> str:
    more = f", the first {MOST_ROWS} are shown; --format json has all" if count > MOST_ROWS else ""
    return f"{count} {what}(s){more}"
