# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run as rows of the results database, and how they are put there: the same for Ansible's process and for SQLAlchemy."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from ..verdict.strict_json import FileProblem
from . import texts

Row = Mapping[str, Any]
Place = tuple[str, str, int]
# Two runs of one id and host that began further apart are two runs, of two results folders.
SAME_START_S = 1.5
CASE = "SELECT id, labels FROM cases WHERE scenario = :scenario AND name = :name"
ATTEMPT = "SELECT id FROM attempts WHERE run_id = :run_id AND case_id = :case_id AND attempt = :attempt"


class AttemptRows(NamedTuple):
    """One attempt with its case. case: scenario, name, labels; row: the columns of `attempts` but its two references.

    revision: what was tested, "" where that is not known.
    """

    case: Row
    row: Row
    labels: Mapping[str, str] = MappingProxyType({})
    nodes: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    metrics: tuple[tuple[str, float, str], ...] = ()
    revision: str = ""


class RunRows(NamedTuple):
    """One run. run: the columns of `runs`; nodes: of `run_nodes`; events: of `events`, None to leave those there are.

    problems: what in its files could not be believed, and is left out; live: its controller may still record it.
    """

    run: Row
    attempts: tuple[AttemptRows, ...] = ()
    nodes: tuple[Row, ...] = ()
    events: tuple[Row, ...] | None = None
    problems: tuple[FileProblem, ...] = ()
    live: bool = False


class Database(Protocol):
    """A connection inside of a transaction. values: by column name; many: one mapping a row."""

    def run(self, text: str, values: Row) -> None: ...

    def many(self, text: str, values: Sequence[Row]) -> None: ...

    def ask(self, text: str, values: Row) -> Sequence[Sequence[Any]]: ...


class Plain:
    """A connection of the standard library's sqlite3 as a Database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def run(self, text: str, values: Row) -> None:
        self._connection.execute(text, values)

    def many(self, text: str, values: Sequence[Row]) -> None:
        self._connection.executemany(text, values)

    def ask(self, text: str, values: Row) -> Sequence[Sequence[Any]]:
        return self._connection.execute(text, values).fetchall()


def put(database: Database, rows: RunRows) -> int:
    """Add a run, or bring it up to date, and return its number; doing so twice changes nothing."""
    number = put_run(database, rows.run)
    there = _attempts_of(database, number)
    for attempt in sorted(rows.attempts, key=_place):
        _put_attempt(database, number, attempt, there.pop(_place(attempt), 0))
    # The run's files no longer tell of these.
    database.many("DELETE FROM attempts WHERE id = :id", [{"id": left} for left in there.values()])
    database.run("DELETE FROM run_nodes WHERE run_id = :run", {"run": number})
    database.many(texts.insert("run_nodes"), [{**node, "run_id": number} for node in rows.nodes])
    if rows.events is not None:
        _put_missing_events(database, number, rows.events)
    return number


def put_run(database: Database, run: Row) -> int:
    """Add the row of a run, or bring it up to date, and return its number."""
    row = {**run, "key": _key(database, run)}
    database.run(texts.upsert("runs"), row)
    return _number(database, "SELECT id FROM runs WHERE key = :key", row)


def put_events(database: Database, run: int, events: Sequence[Row]) -> None:
    """Add events of a run."""
    database.many(texts.insert("events"), [{**event, "run_id": run} for event in events])


def _put_missing_events(database: Database, run: int, events: Sequence[Row]) -> None:
    """Let the events of a run be these where not so many are there; as a rule they were written while the run went on."""
    of = {"run": run}
    if _number(database, "SELECT count(*) FROM events WHERE run_id = :run", of) < len(events):
        database.run("DELETE FROM events WHERE run_id = :run", of)
        put_events(database, run, events)


def _key(database: Database, run: Row) -> str:
    """Return the key of a run; where another run has it already, one that is made longer by when this one began."""
    key: str = run["key"]
    known = database.ask("SELECT started_at, path FROM runs WHERE key = :key", {"key": key})
    began = run["started_at"]
    if not known or known[0][0] is None or began is None or known[0][1] == run["path"]:
        return key
    return key if abs(known[0][0] - began) < SAME_START_S else f"{key}/{began:.3f}"


def _place(attempt: AttemptRows) -> Place:
    """Return what names an attempt within its run; in this order all writers touch cases, so that none waits in a ring."""
    return attempt.case["scenario"], attempt.case["name"], attempt.row["attempt"]


def _attempts_of(database: Database, run: int) -> dict[Place, int]:
    """Return the numbers of a run's attempts. Whoever else writes this run waits since its own row was written."""
    found = database.ask(
        "SELECT c.scenario, c.name, a.attempt, a.id FROM attempts a JOIN cases c ON c.id = a.case_id WHERE a.run_id = :run",
        {"run": run},
    )
    return {(scenario, name, attempt): number for scenario, name, attempt, number in found}


def _put_attempt(database: Database, run: int, attempt: AttemptRows, number: int) -> None:
    """Add an attempt, or bring the one of that number up to date; 0 is none yet."""
    row = {**attempt.row, "run_id": run, "case_id": put_case(database, attempt.case, attempt.labels)}
    database.run(texts.upsert("attempts"), row)
    of = {"attempt_id": number or _number(database, ATTEMPT, row)}
    if number:
        for table in ("attempt_nodes", "evidence", "metrics", "attempt_revisions"):
            database.run(f"DELETE FROM {table} WHERE attempt_id = :attempt_id", of)
    database.many(texts.insert("attempt_nodes"), [{**of, "node": node} for node in dict.fromkeys(attempt.nodes)])
    database.many(texts.insert("evidence"), [{**of, "n": n, "line": line} for n, line in enumerate(attempt.evidence)])
    database.many(
        texts.insert("metrics"),
        [{**of, "name": name, "value": value, "unit": unit} for name, value, unit in attempt.metrics],
    )
    if attempt.revision:
        database.run(texts.insert("attempt_revisions"), {**of, "revision": attempt.revision})


def put_case(database: Database, case: Row, labels: Mapping[str, str]) -> int:
    """Add a case, or bring its labels up to date, and return its number. case: scenario, name, labels as JSON text."""
    known = database.ask(CASE, case)
    if known and known[0][1] == case["labels"]:
        return int(known[0][0])
    database.run(texts.upsert("cases"), case)
    of = {"case_id": _number(database, CASE, case)}
    database.run("DELETE FROM case_labels WHERE case_id = :case_id", of)
    database.many(texts.insert("case_labels"), [{**of, "key": key, "value": value} for key, value in labels.items()])
    return of["case_id"]


def _number(database: Database, text: str, values: Row) -> int:
    return int(database.ask(text, values)[0][0])
