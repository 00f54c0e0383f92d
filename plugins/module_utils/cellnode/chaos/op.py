# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation `chaos`: whether this node can do the faults of a plan, and their begin, state, end and undoing."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from .. import main, supervise, unit
from ..context import Context
from ..engine import Engine, connect
from ..errors import CellError
from ..objects import by_service, containers, of_case
from ..params import integer, text, texts
from ..request import choice, flag, mapping, mappings
from . import clock, contact, kinds
from . import plan as plans
from .fault import Aim, Place
from .felt import felt
from .guard import RUNNER_UNIT as RUNNER
from .guard import UNIT as GUARD
from .journal import read
from .records import Records

Json = dict[str, Any]
BEGIN_WITHIN_S = 3600.0  # how long after `begin` the load may begin
RUNNER_GRACE_S, GUARD_GRACE_S = 120.0, 150.0  # an undo may have to wait for an engine that starts
MOST_TOLD = 1000


def check(ctx: Context, args: Json) -> Json:
    """Return {lacking: {kind: "" or why this node cannot do it}, absent: [services without a container here], library}.

    args.kinds: [{kind, params[, whole]}], a kind with several parameters several times; whole: it is to hit the node itself.
    args.services: names. library: what the container of a service with a clock_jump must load, "" where none is asked for or
    none works.
    """
    engine = connect(ctx.environ)
    place = Place(ctx, engine, Records(ctx.root, ctx.needed_run.id).own("check"))
    lacking: dict[str, str] = {}
    for item in mappings(args, "kinds"):
        kind = text(item, "kind")
        whole = flag(item, "whole", False)
        lacking[kind] = lacking.get(kind) or _lacking(place, kind, mapping(item, "params"), whole)
    wanted = texts(args, "services")
    found = by_service(containers(engine, of_case(ctx.needed_run))) if wanted else {}
    library = clock.library(ctx.environ) if lacking.get(clock.Jump.kind) == "" else ""
    return {"lacking": lacking, "absent": [name for name in wanted if name not in found], "library": library}


def _lacking(place: Place, kind: str, params: Json, whole: bool) -> str:
    try:
        fault = kinds.find(kind)
        found = fault.lacking(place, params)
        if whole and not found:  # which address outside answers, and by what the node is reached, is known already
            fault.prepare(place, Aim("", "", 0, params))
    except (CellError, OSError) as exc:
        return str(exc)
    return found


def begin(ctx: Context, args: Json) -> Json:
    """Start the runner and its guard, which wait for the load to begin: {started, existing}.

    args: schedule, checks (service -> arguments of its check), duration_s, negative_control.
    """
    plan = plans.parse(args)
    if ctx.check:
        return {"started": False, "existing": False}
    if _unit(ctx, RUNNER) is None:  # else this is the same request once more, and faults of it may be open
        contact.refuse_open(ctx)
    path = plans.write(ctx, args)
    limit = BEGIN_WITHIN_S + plan.duration_s + RUNNER_GRACE_S
    asked = plans.digest(args)
    guarded = _start(ctx, GUARD, [main.GUARD, str(path)], asked, limit + GUARD_GRACE_S, GUARD_GRACE_S)
    _prove_guarded(ctx)
    started = _start(ctx, RUNNER, [main.CHAOS, str(path)], asked, limit, RUNNER_GRACE_S)
    return {"started": True, "existing": guarded["existing"] and started["existing"]}


def _prove_guarded(ctx: Context) -> None:
    """Raise where the runner would make faults that nobody undoes when it dies."""
    guard = _unit(ctx, GUARD) or {"state": "lost", "message": ""}
    if guard["state"] not in unit.LIVE and _unit(ctx, RUNNER) is None:
        raise CellError("internal_error", f"the guard of the faults has ended before they began: {guard['message']}")


def _start(ctx: Context, name: str, words: list[str], asked: str, timeout_s: float, grace_s: float) -> Json:
    program = [sys.executable, "-I", "-S", "-E", os.path.abspath(sys.argv[0]), *words]
    limits = {"timeout_s": timeout_s, "grace_s": grace_s, "log_cap_bytes": 1 << 20}
    return supervise.start(ctx, {"name": name, "argv": program, "adopts": False, "asked": asked, **limits})


def status(ctx: Context, args: Json) -> Json:
    """Return {open: [faults], phases: {phase: count of lines}, units: {unit: its state}, felt: [services], lines, next}.

    felt: see the module. lines: those of chaos.jsonl after the first args.since, at most MOST_TOLD; next: the since to go on
    with.
    """
    kept, said = Records(ctx.root, ctx.needed_run.id), read(ctx.root, plans.log_of(ctx))
    since = integer(args, "since", 0, 0, 1 << 53)
    units = {name: _unit(ctx, name) for name in (RUNNER, GUARD)}
    told = said[since : since + MOST_TOLD]
    return {
        "open": [one.told(ctx.clock.unix()) for one in kept.open()],
        "phases": dict(Counter(str(line.get("phase")) for line in said)),
        "units": units,
        "felt": felt(said, ctx.clock.boottime()),
        "lines": told,
        "next": since + len(told),
    }


def _unit(ctx: Context, name: str) -> Json | None:
    """Return the state of a unit, None where it was never started, also by a request that was killed at that."""
    try:
        folder_fd = unit.open_unit(ctx, name)
        try:
            return supervise.summary(supervise.current(folder_fd))
        finally:
            os.close(folder_fd)
    except CellError as exc:
        if exc.kind != "artifact_missing":
            raise
        return None


def end(ctx: Context, args: Json) -> Json:
    """End both units, undo all that is open of this run and prove it: {undone, left, units}; left is empty where all is gone."""
    units = {
        name: None if _unit(ctx, name) is None else supervise.kill(ctx, {"name": name}) for name in (RUNNER, GUARD)
    }
    if ctx.check:
        return {"undone": [], "left": [], "units": units}
    return {**contact.undo(ctx, _engine(ctx), [ctx.needed_run.id]).as_dict(), "units": units}


def undo(ctx: Context, args: Json) -> Json:
    """Undo all that is open of this run and of runs that do not hold the node any more: {undone, left}.

    args.dead_only: leave this run's faults alone.
    """
    own = [] if flag(args, "dead_only", False) or ctx.run is None else [ctx.run.id]
    dead = contact.dead_runs(ctx)
    if ctx.check:
        return {
            "undone": [],
            "left": [],
            "would_undo": [one for one in contact.listed(ctx) if one["run"] in own + dead],
        }
    for run in dead:
        supervise.end_units(ctx, run)
    return contact.undo(ctx, _engine(ctx), own + dead).as_dict()


def _engine(ctx: Context) -> Engine:
    return connect(ctx.environ, 60.0)


ACTIONS: dict[str, Callable[[Context, Json], Json]] = {
    "check": check,
    "begin": begin,
    "status": status,
    "end": end,
    "undo": undo,
}


def op_chaos(ctx: Context, args: Json) -> Json:
    """Do one action on the faults of a case."""
    return ACTIONS[choice(args, "action", tuple(ACTIONS), "")](ctx, args)


OPS: dict[str, Callable[[Context, Json], Json]] = {"chaos": op_chaos}
