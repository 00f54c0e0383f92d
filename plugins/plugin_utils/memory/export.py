# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results database as CSV: for a spreadsheet, where no cell may run as a formula, or typed, for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa

from ..report.escape import csv_cell
from .schema import attempts, cases, evidence, metrics, runs

ROWS_AT_ONCE = 5_000
# Not worth a line where failures are asked for.
EVIDENCE = "evidence"
NO_FAILURES = ("pass", "skipped")
_TIMES = frozenset({"started_at", "ended_at", "first_at", "last_at"})
_CASE = (cases.c.scenario, cases.c.name.label("case"), cases.c.labels)
_PLACE = (runs.c.run_id, runs.c.host, *_CASE, attempts.c.attempt)
_OUTCOME = tuple(attempts.c)[attempts.c.keys().index("verdict") :]


def lines(connection: sa.Connection, what: str, *, typed: bool = False) -> Iterator[str]:
    """Yield the CSV of what (of WHAT), head line first, a piece at a time.

    typed: text in double quotes exactly as it is, numbers, `true` and `false` bare, times ISO 8601 in UTC, and NULL as
    nothing at all. Else times in whole seconds, and text that a spreadsheet would run behind a quote.
    """
    found = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(WHAT[what]())
    names = list(found.keys())
    write, timespec = (_typed, "microseconds") if typed else (_for_people, "seconds")
    yield write([names])
    for part in found.partitions():
        rows = _with_evidence(connection, part) if names[-1] == EVIDENCE else part
        yield write([_cells(names, row, timespec) for row in rows])


def _with_evidence(connection: sa.Connection, rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Return rows with the evidence of an attempt in place of its number, one line below the other."""
    told: dict[int, list[str]] = {row[-1]: [] for row in rows}
    wanted = sa.select(evidence.c.attempt_id, evidence.c.line).where(evidence.c.attempt_id.in_(told))
    for number, line in connection.execute(wanted.order_by(evidence.c.attempt_id, evidence.c.n)):
        told[number].append(line)
    return [[*row[:-1], "\n".join(told[row[-1]])] for row in rows]


def _cells(names: Sequence[str], row: Sequence[Any], timespec: str) -> list[Any]:
    return [_date(value, timespec) if name in _TIMES else value for name, value in zip(names, row, strict=True)]


def _date(value: float | None, timespec: str) -> str | None:
    """Return a time as ISO 8601 in UTC, None for a number that no calendar has."""
    try:
        return None if value is None else datetime.fromtimestamp(value, timezone.utc).isoformat(timespec=timespec)
    except (OverflowError, ValueError, OSError):
        return None


def _for_people(rows: Sequence[Sequence[Any]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([csv_cell(value) for value in row] for row in rows)
    return stream.getvalue()


def _typed(rows: Sequence[Sequence[Any]]) -> str:
    return "".join(",".join(map(_bare, row)) + "\n" for row in rows)


def _bare(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        doubled = value.replace('"', '""')
        return f'"{doubled}"'
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _of_attempts(*columns: Any) -> sa.Select[Any]:
    joined = attempts.join(runs, runs.c.id == attempts.c.run_id).join(cases, cases.c.id == attempts.c.case_id)
    return sa.select(*_PLACE, *columns).select_from(joined).order_by(attempts.c.id)


def _all() -> sa.Select[Any]:
    return _of_attempts(*_OUTCOME)


def _failures() -> sa.Select[Any]:
    # The number stands where the lines come to stand.
    return _of_attempts(*_OUTCOME, attempts.c.id.label(EVIDENCE)).where(attempts.c.verdict.not_in(NO_FAILURES))


def _metrics() -> sa.Select[Any]:
    figure = metrics.c
    found = _of_attempts(
        attempts.c.verdict, attempts.c.ended_at, figure.name.label("metric"), figure.value, figure.unit
    )
    return found.join(metrics, figure.attempt_id == attempts.c.id).order_by(figure.name)


def _cases() -> sa.Select[Any]:
    passed = sa.func.count().filter(attempts.c.verdict == "pass")
    return (
        sa.select(
            *_CASE,
            sa.func.count(attempts.c.id).label("attempts"),
            passed.label("passed"),
            sa.func.min(attempts.c.ended_at).label("first_at"),
            sa.func.max(attempts.c.ended_at).label("last_at"),
        )
        .select_from(cases.outerjoin(attempts, attempts.c.case_id == cases.c.id))
        .group_by(cases.c.id, *_CASE)
        .order_by(cases.c.scenario, cases.c.name)
    )


WHAT: Mapping[str, Callable[[], sa.Select[Any]]] = {
    "attempts": _all,
    "metrics": _metrics,
    "failures": _failures,
    "cases": _cases,
}
