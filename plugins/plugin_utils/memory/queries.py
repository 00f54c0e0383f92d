# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts of analysis and decisions, out of the results database: sums are made there, and only odd cases are read in full."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import sqlalchemy as sa

from ..verdict import kinds
from .facts import Attempt, Case, Count, Effort, Facts, Node, Quarantine, newest
from .upkeep_config import Config

DAY_S = 86_400.0
# So many of its newest attempts are read of a case that did not simply pass,
RECENT, RECENT_ERRORS = 24, 8
# the second of one that only had no answer; and for so long after its last failure it is looked at.
REMEMBERED_S = 7 * DAY_S
AT_ONCE = 2000

_COUNTS = sa.text(
    "SELECT case_id, verdict, count(*), sum(CASE WHEN ended_at >= :fresh THEN 1 ELSE 0 END), max(ended_at),"
    " max(CASE WHEN ended_at < :fresh THEN ended_at END)"
    " FROM attempts WHERE ended_at >= :since GROUP BY case_id, verdict"
)
_COLUMNS = (
    "a.id, a.case_id, a.run_id, a.verdict, a.error_kind, a.owner, a.retriable, a.node, a.step, a.ended_at, a.seconds"
)
_NEWEST = "SELECT {columns} FROM attempts WHERE case_id = c.id AND ended_at >= :since ORDER BY ended_at DESC, id DESC LIMIT :most"
# The same question in the words that each of them answers by its index alone.
_RECENT = {
    "sqlite": f"SELECT {_COLUMNS} FROM cases c, attempts a WHERE c.id IN ({{cases}}) AND a.id IN ({_NEWEST.format(columns='id')})",
    "postgresql": f"SELECT {_COLUMNS} FROM cases c, LATERAL ({_NEWEST.format(columns='*')}) a WHERE c.id IN ({{cases}})",
}
# A case fails or passes on each node that it used; a failure that names its node is that node's alone. Runs of maintenance
# are chosen by their failures, so how many fail is counted without them; but a pass in one shows that a node is mended.
_NODES = (
    "WITH ours AS (SELECT r.id FROM runs r JOIN upkeep_runs u ON u.key = r.key),"
    " seen AS (SELECT n.node AS node, a.case_id,"
    " max(CASE WHEN a.verdict = 'pass' THEN a.ended_at END) AS passed_at,"
    " max(CASE WHEN a.verdict = 'pass' AND a.run_id NOT IN (SELECT id FROM ours) THEN a.ended_at END) AS passed,"
    " max(CASE WHEN {failed} AND a.run_id NOT IN (SELECT id FROM ours) THEN a.ended_at END) AS failed,"
    " max(CASE WHEN a.node = n.node AND a.error_kind IN ({broken}) THEN a.ended_at END) AS blamed"
    " FROM attempts a JOIN attempt_nodes n ON n.attempt_id = a.id WHERE a.ended_at >= :fresh GROUP BY n.node, a.case_id),"
    " worst AS (SELECT node, max(failed) AS at FROM seen GROUP BY node)"
    " SELECT seen.node, count(failed), count(passed), max(passed_at), max(failed), max(blamed),"
    " sum(CASE WHEN passed_at > coalesce(worst.at, 0) THEN 1 ELSE 0 END)"
    " FROM seen JOIN worst ON worst.node = seen.node GROUP BY seen.node"
)
_FAILED = "a.verdict IN ('fail', 'error') AND a.owner IN ('engine', 'node', 'network') AND a.node IN ('', n.node)"


@dataclass(frozen=True)
class Wanted:
    """One case that a scenario asks for. estimated_s: by the scenario, 0 where it does not say.

    pinned: the nodes that it names and cannot do without; movable: something of it may run on one node or another.
    """

    scenario: str
    name: str
    labels: Mapping[str, str]
    pinned: tuple[str, ...]
    movable: bool
    estimated_s: float


@dataclass(frozen=True)
class Sources:
    """What the database does not know. wanted: by scenario and name, {} where no scenario was looked at.

    nodes: those that may be given a case, in order.
    """

    wanted: Mapping[tuple[str, str], Wanted] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()


def facts(connection: sa.Connection, config: Config, now: float, sources: Sources) -> Facts:
    """Return all that analysis and decisions need, as it was at now (Unix time)."""
    since, fresh = now - config.analysis.window_days * DAY_S, now - config.analysis.recent_hours * 3600
    counts = _counts(connection, since, fresh)
    quarantines = _quarantines(connection)
    failed = [number for number, seen in counts.items() if _has_failed(seen, now) or number in quarantines]
    unanswered = {number for number, seen in counts.items() if _last(seen) != "pass"}.difference(failed)
    recent = _recent(connection, failed, since, RECENT) | _recent(connection, sorted(unanswered), since, RECENT_ERRORS)
    expected = pairs(connection, "SELECT case_id, wanted FROM expected")
    changes = pairs(connection, "SELECT scenario, changed_at FROM scenario_changes")
    cases = [
        _case(row, counts, recent, quarantines, expected, changes, sources)
        for row in connection.execute(sa.text("SELECT id, scenario, name, labels FROM cases")).all()
    ]
    return Facts(cases, _nodes(connection, fresh, sources.nodes), _effort(connection, now, since), now, since, fresh)


def _case(
    row: Any,
    counts: Mapping[int, tuple[Count, ...]],
    recent: Mapping[int, list[Attempt]],
    quarantines: Mapping[int, Quarantine],
    expected: Mapping[int, int],
    changes: Mapping[str, float],
    sources: Sources,
) -> Case:
    number, scenario, name, labels = row
    known, asked = sources.wanted.get((scenario, name)), expected.get(number)
    seen = tuple(recent.get(number, ()))
    times = sorted(attempt.seconds for attempt in seen if attempt.seconds)
    return Case(
        id=number,
        scenario=scenario,
        name=name,
        labels=json.loads(labels),
        wanted=None if asked is None else bool(asked),
        counts=counts.get(number, ()),
        recent=seen,
        quarantine=quarantines.get(number),
        pinned=known.pinned if known else (),
        movable=known.movable if known else False,
        changed_at=changes.get(scenario, 0.0),
        typical_s=times[len(times) // 2] if times else known.estimated_s if known else 0.0,
        here=known is not None or not sources.wanted,
    )


def _counts(connection: sa.Connection, since: float, fresh: float) -> dict[int, tuple[Count, ...]]:
    found: dict[int, tuple[Count, ...]] = {}
    for number, *values in connection.execute(_COUNTS, {"since": since, "fresh": fresh}).all():
        found[number] = (*found.get(number, ()), Count(*values))
    return found


def _has_failed(seen: Sequence[Count], now: float) -> bool:
    """Return whether the engine failed a case not long ago, or at last."""
    last = _last(seen)
    return last in ("fail", "flaky") or any(
        count.verdict in ("fail", "flaky") and count.last >= now - REMEMBERED_S for count in seen
    )


def _last(seen: Sequence[Count]) -> str:
    return newest((count.verdict, count.last) for count in seen)


def _recent(connection: sa.Connection, numbers: Sequence[int], since: float, most: int) -> dict[int, list[Attempt]]:
    """Return the newest attempts of cases, at most so many of each, oldest first."""
    rows: list[Any] = []
    text = _RECENT[connection.dialect.name]
    for some in _batches(numbers):
        rows += connection.execute(sa.text(text.format(cases=_listed(some))), {"since": since, "most": most}).all()
    rows.sort(key=lambda row: (row[9], row[0]))
    runs = pairs(connection, "SELECT id, key FROM runs")
    ours = set(connection.execute(sa.text("SELECT key FROM upkeep_runs")).scalars())
    nodes = _by_attempt(connection, "SELECT attempt_id, node FROM attempt_nodes", [row[0] for row in rows])
    revisions = _by_attempt(connection, "SELECT attempt_id, revision FROM attempt_revisions", [row[0] for row in rows])
    found: dict[int, list[Attempt]] = {}
    for number, case, run, verdict, kind, owner, retriable, node, step, at, seconds in rows:
        key = runs[run]
        used, revision = tuple(nodes.get(number, ())), "".join(revisions.get(number, ()))
        attempt = Attempt(
            at, key, verdict, kind, owner, bool(retriable), node, used, revision, step, seconds or 0.0, key in ours
        )
        found.setdefault(case, []).append(attempt)
    return found


def _by_attempt(connection: sa.Connection, text: str, numbers: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for some in _batches(numbers):
        for number, value in connection.execute(sa.text(f"{text} WHERE attempt_id IN ({_listed(some)})")).all():
            found.setdefault(number, []).append(value)
    return found


def _quarantines(connection: sa.Connection) -> dict[int, Quarantine]:
    """Return the newest quarantine of each case, also one that has ended."""
    text = 'SELECT case_id, owner, reason, since, "until", lifted_at FROM case_quarantines ORDER BY since, id'
    return {number: Quarantine(*values) for number, *values in connection.execute(sa.text(text))}


def _nodes(connection: sa.Connection, fresh: float, usable: Collection[str]) -> dict[str, Node]:
    broken = ", ".join(f"'{name}'" for name in kinds.KINDS if kinds.of_a_broken_node(name))
    text = _NODES.format(failed=_FAILED, broken=broken)
    found = {
        name: Node(name, failed, passed, last_pass or 0.0, worst or 0.0, blamed or 0.0, int(since), name in usable)
        for name, failed, passed, last_pass, worst, blamed, since in connection.execute(sa.text(text), {"fresh": fresh})
    }
    return {**{name: Node(name) for name in usable}, **found}


def _effort(connection: sa.Connection, now: float, since: float) -> Effort:
    window = {"since": since}
    run_s = pairs(connection, "SELECT key, coalesce(seconds, 0) FROM runs WHERE ended_at >= :since", window)
    spent = "SELECT source, sum(cost_s) FROM upkeep_steps WHERE decided_at >= :since GROUP BY source"
    day = connection.execute(
        sa.text("SELECT coalesce(sum(cost_s), 0), count(*) FROM upkeep_steps WHERE decided_at >= :day"),
        {"day": now - DAY_S},
    ).one()
    return Effort(run_s, pairs(connection, spent, window), float(day[0]), int(day[1]))


def pairs(connection: sa.Connection, text: str, values: Mapping[str, Any] | None = None) -> dict[Any, Any]:
    """Return the two columns of a question as a mapping."""
    return {row[0]: row[1] for row in connection.execute(sa.text(text), values or {})}


def _batches(numbers: Sequence[int]) -> Iterator[tuple[int, ...]]:
    waiting = iter(numbers)
    while some := tuple(islice(waiting, AT_ONCE)):
        yield some


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
