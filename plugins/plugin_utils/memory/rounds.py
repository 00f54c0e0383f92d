# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What maintenance writes down as it goes, so that a round that was killed goes on and nothing is done twice.

A run is written down before it begins. What was decided is kept with its reason, and counts against the budgets.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ..run import owner
from . import schema
from .decisions import Decision
from .facts import Case
from .store import Store

LOCK = ".maintenance.lock"
RUNNING, DONE, INTERRUPTED, LOST = "running", "done", "interrupted", "lost"
MAINTAIN, MONITOR = "maintain", "monitor"
SERVER_LOCK = 7_463_012


class BusyError(Exception):
    """Maintenance is going on already; the text says whose."""


@dataclass(frozen=True)
class Round:
    """One round of maintenance. sort: MAINTAIN or MONITOR. Times are Unix times; ended_at is None while it goes on."""

    id: int
    sort: str
    state: str
    started_at: float
    ended_at: float | None
    report: str

    def as_dict(self) -> dict[str, Any]:
        """Return the round as plain JSON types."""
        return {name: getattr(self, name) for name in ("sort", "state", "started_at", "ended_at", "report")}


@dataclass(frozen=True)
class UpkeepRun:
    """A run that maintenance began. key: of the run in the database; path: its folder."""

    key: str
    run_id: str
    path: Path


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """Let no other maintenance of these results begin; BusyError where one goes on.

    The lock ends with the process, whatever ends that. On a server it holds for the controllers of all machines.
    """
    store.results_dir.mkdir(parents=True, exist_ok=True)
    path = store.results_dir / LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            who = path.read_text(errors="replace").strip() or "another process"
            raise BusyError(f"maintenance goes on already: {who} holds {path}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{owner.of_process(os.getpid())}\n".encode(), 0)
        with _alone_on_server(store):
            yield
    finally:
        os.close(descriptor)


@contextmanager
def _alone_on_server(store: Store) -> Iterator[None]:
    if store.place.file is not None:
        yield
        return
    with store.read() as connection:
        if not connection.execute(sa.text("SELECT pg_try_advisory_lock(:n)"), {"n": SERVER_LOCK}).scalar():
            raise BusyError(f"maintenance goes on already: another controller of {store.place.shown}")
        connection.commit()  # the lock is the session's: no transaction is kept open for as long as a round takes
        try:
            yield
        finally:
            connection.execute(sa.text("SELECT pg_advisory_unlock(:n)"), {"n": SERVER_LOCK})
            connection.commit()


def begin(store: Store, sort: str) -> int:
    """Write down that a round begins and return its number; earlier ones of this machine that did not end were interrupted."""
    table, host = schema.upkeep_rounds, owner.here().host

    def work(connection: sa.Connection) -> int:
        left = (table.c.state == RUNNING) & (table.c.host == host)
        connection.execute(table.update().where(left).values(state=INTERRUPTED))
        row = {"host": host, "sort": sort, "state": RUNNING, "started_at": store.clock(), "report": ""}
        return int(connection.execute(table.insert().returning(table.c.id), row).scalar_one())

    return store.transact(work)


def end(store: Store, number: int, state: str, report: str) -> None:
    """Write down how a round ended, and where its report is."""
    table = schema.upkeep_rounds
    change = table.update().where(table.c.id == number).values(state=state, ended_at=store.clock(), report=report)
    store.transact(lambda connection: connection.execute(change))


def begin_run(store: Store, number: int, run: UpkeepRun, batch: Sequence[Decision]) -> None:
    """Write down a run that is about to begin, with the decisions that it carries out."""
    now = store.clock()
    avoid = json.dumps(sorted(batch[0].avoid))
    row = {"key": run.key, "round_id": number, "run_id": run.run_id, "path": str(run.path), "state": RUNNING}
    steps = [
        {
            "round_id": number,
            "case_id": one.case.id,
            "run_key": run.key,
            "source": one.case.recent[-1].run if one.case.recent else "",
            "action": one.action,
            "reason": one.reason,
            "cost_s": one.case.typical_s,
            "decided_at": now,
        }
        for one in batch
    ]

    def work(connection: sa.Connection) -> None:
        connection.execute(schema.upkeep_runs.insert(), {**row, "avoid": avoid, "started_at": now})
        connection.execute(schema.upkeep_steps.insert(), steps)

    store.transact(work)


def note_run(store: Store, batch: Sequence[Decision]) -> str:
    """Write down a round of one run that somebody else carries out, and return the id that the run must get."""
    stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(store.clock()))
    names = (stamp, *(f"{stamp}_{number}" for number in range(2, 1000)))
    run_id = next(name for name in names if not (store.results_dir / name).exists())
    number = begin(store, MAINTAIN)
    run = UpkeepRun(f"{run_id}@{owner.here().host}", run_id, store.results_dir / run_id)
    begin_run(store, number, run, batch)
    end_run(store, run.key, DONE)
    end(store, number, DONE, "")
    return run_id


def end_run(store: Store, key: str, state: str) -> None:
    """Write down that a run of maintenance is over."""
    table = schema.upkeep_runs
    store.transact(lambda connection: connection.execute(table.update().where(table.c.key == key).values(state=state)))


def forget_run(store: Store, key: str) -> None:
    """Take back a run that did not begin: it counts against no budget, and its id is free."""
    table, steps = schema.upkeep_runs, schema.upkeep_steps

    def work(connection: sa.Connection) -> None:
        connection.execute(steps.delete().where(steps.c.run_key == key))
        connection.execute(table.delete().where(table.c.key == key))

    store.transact(work)


def begun(store: Store) -> list[UpkeepRun]:
    """Return the runs that maintenance of this machine began and did not see the end of, oldest first."""
    table, rounds = schema.upkeep_runs, schema.upkeep_rounds
    text = (
        sa.select(table.c.key, table.c.run_id, table.c.path)
        .join(rounds, rounds.c.id == table.c.round_id)
        .where((table.c.state == RUNNING) & (rounds.c.host == owner.here().host))
        .order_by(table.c.started_at)
    )
    with store.read() as connection:
        return [UpkeepRun(key, run_id, Path(path)) for key, run_id, path in connection.execute(text)]


def last(store: Store, sort: str = "") -> Round | None:
    """Return the newest round, of one sort where one is given, None before the first."""
    table = schema.upkeep_rounds
    columns = [table.c[name] for name in ("id", "sort", "state", "started_at", "ended_at", "report")]
    text = sa.select(*columns).order_by(table.c.started_at.desc(), table.c.id.desc()).limit(1)
    with store.read() as connection:
        row = connection.execute(text.where(table.c.sort == sort) if sort else text).first()
    return None if row is None else Round(*row)


def as_it_is(store: Store, found: Round) -> Round:
    """Return a round as it is now: one that goes on by the database, and whose process is proved dead, was interrupted."""
    if found.state != RUNNING or store.place.file is None:
        return found
    try:
        who = (store.results_dir / LOCK).read_text(errors="replace").strip()
    except OSError:
        return found
    return replace(found, state=INTERRUPTED) if owner.is_alive(who) is False else found


def set_aside(store: Store, case: Case, *, by: str, reason: str, days: float) -> None:
    """Quarantine a case: it is shown and counted, and not run again by maintenance until then. by: who answers for it."""
    now = store.clock()
    row = {"case_id": case.id, "owner": by, "reason": reason, "since": now, "until": now + days * 86_400}
    store.transact(lambda connection: connection.execute(schema.case_quarantines.insert(), row))


def lift(store: Store, case: Case) -> bool:
    """End the quarantine of a case and return whether there was one in force; it stays in the database."""
    table, now = schema.case_quarantines, store.clock()
    holds = (table.c.case_id == case.id) & table.c.lifted_at.is_(None) & (table.c.until > now)
    change = table.update().where(holds).values(lifted_at=now)
    return bool(store.transact(lambda connection: connection.execute(change).rowcount))
