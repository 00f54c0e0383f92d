# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The next contact with a node undoes what nobody else did: faults of runs that are dead, or of a run that ends."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from .. import lease
from ..context import Context
from ..engine import Engine
from ..errors import CellError
from . import records
from .journal import CONTACT, VERIFIED, Journal
from .records import Record, Records
from .reverting import revert, tell

Json = dict[str, Any]
KIND = "chaos_not_reverted"


@dataclass
class Report:
    """What a contact undid and what would not go: each {id, kind, run, service, container, state, age_s[, left]}."""

    undone: list[Json] = field(default_factory=list)
    left: list[Json] = field(default_factory=list)

    def as_dict(self) -> Json:
        """Return the report as JSON values."""
        return {"undone": self.undone, "left": self.left}

    def errors(self) -> list[Json]:
        """Return what would not go as the errors of a cleaning."""
        return [{"error_kind": KIND, "what": what(one), "error": "; ".join(one["left"])} for one in self.left]


def what(told: Json) -> str:
    """Return a fault as people call it, with its owner and age."""
    if not told["id"]:
        return f"the faults of run {told['run']}"
    aim = told["service"] or "the node"
    return f"fault {told['id']} ({told['kind']} of {aim}) of run {told['run']}, {told['age_s']:g} s old"


def undo(ctx: Context, engine: Engine, runs: Iterable[str]) -> Report:
    """Undo what is open of some runs, the newest first, and forget them where nothing is left.

    What does not go is tried again as long as something else goes: a container starts once its engine is back.
    """
    report = Report()
    kept = [Records(ctx.root, run) for run in runs]
    waiting, unknown = [], []
    for one in kept:
        try:
            waiting += [(one, name) for name in _in_order(one)]
        except (CellError, OSError) as exc:
            unknown.append(
                {"id": "", "kind": "", "run": one.folder.name, "service": "", "age_s": 0.0, "left": [str(exc)]}
            )
    report.left = unknown
    while waiting:
        report.left = list(unknown)
        left = [(one, name) for one, name in waiting if not _undo_one(ctx, engine, one, name, report)]
        if len(left) == len(waiting):
            break
        waiting = left
    unread = {told["run"] for told in unknown}
    for one in (one for one in kept if one.folder.name not in unread):
        _tell_rest(ctx, one)
        if not any(told["run"] == one.folder.name for told in report.left):
            one.forget()
    return report


def _in_order(kept: Records) -> list[str]:
    """Return the events to be undone, the newest first; those whose records cannot be read come last."""
    known = kept.readable()
    read = {record.id for record in known}
    return [*(record.id for record in known if record.open), *(name for name in kept.names() if name not in read)]


def _undo_one(ctx: Context, engine: Engine, kept: Records, name: str, report: Report) -> bool:
    """Undo a fault, note what became of it, and return whether it is gone."""
    told: Json = {"id": name, "kind": "", "run": kept.folder.name, "service": "", "age_s": 0.0}
    try:
        record = kept.load(name)
        if record is None:
            return True
        told = record.told(ctx.clock.unix())
        left = revert(ctx, engine, record.run, name, Journal(ctx.root, record.log, CONTACT, ctx.clock))
    except (CellError, OSError) as exc:
        left = [str(exc)]
    if left:
        report.left.append({**told, "left": left})
    else:
        report.undone.append(told)
    return not left


def _tell_rest(ctx: Context, kept: Records) -> None:
    """Say of each fault that is undone what whoever undid it was killed before saying."""
    closed = [record for record in kept.readable() if not record.open]
    for log in sorted({record.log for record in closed}):
        # What cannot be said keeps nobody from undoing others.
        with suppress(CellError, OSError):
            _tell(Journal(ctx.root, log, CONTACT, ctx.clock), kept, [record for record in closed if record.log == log])


def _tell(journal: Journal, kept: Records, closed: list[Record]) -> None:
    said = journal.said()
    for record in closed:
        if (record.id, VERIFIED) not in said:
            with kept.locked(record.id):
                tell(journal, record, journal.said())


def dead_runs(ctx: Context) -> list[str]:
    """Return the runs of which faults are known here and that do not hold the node any more."""
    own = {ctx.run.id} if ctx.run else set()
    return sorted(set(records.runs(ctx.root)) - lease.holding(ctx.root) - own)


def listed(ctx: Context) -> list[Json]:
    """Return the faults of this node that may still be there; held: whether their run holds the node."""
    holding = lease.holding(ctx.root)
    found = records.every_open(ctx.root)
    return [{**record.told(ctx.clock.unix()), "held": record.run in holding} for record in found]


def refuse_open(ctx: Context) -> None:
    """Raise chaos_not_reverted where a fault of this run, or of one that does not hold the node, may still be there."""
    own = ctx.run.id if ctx.run else ""
    found = [what(one) for one in listed(ctx) if not one["held"] or one["run"] == own]
    if found:
        next_step = "nothing is started here; `testcell cleanup` undoes it"
        raise CellError(KIND, f"{'; '.join(found)} has not been undone: {next_step}", faults=found)
