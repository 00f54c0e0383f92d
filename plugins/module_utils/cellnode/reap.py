# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reap what dead runs left: every run asks for it first, and mostly there is nothing."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from . import lease, supervise
from .cleaning import COUNTED
from .context import Context, RunRef
from .engine import Engine, engine_of
from .errors import CellError
from .leftovers import Inventory, inventory
from .params import texts

Json = dict[str, Any]


def reap(ctx: Context, args: Json) -> Json:
    """Remove what dead runs of this node root left: {reaped: {run: ...}, kept: [...], removed, errors, undone: [faults]}.

    The caller holds the node's lease, so every other run of this root is dead but those that hold the node, too. A run of
    which nothing proves that it was started from this root (a folder, a process, a container made in its folder) is
    somebody else's and is kept. args.runs: only these, when given.
    """
    run = ctx.needed_run
    if run.epoch is None:
        raise CellError("lock_held", "reap needs the node's lease: the request names no epoch")
    with nullcontext() if ctx.check else lease.reaping(ctx.root):
        return _reap(ctx, args, run, engine_of(ctx))


def _reap(ctx: Context, args: Json, run: RunRef, engine: Engine) -> Json:
    undone = _undo_faults(ctx, engine)
    found = inventory(ctx, engine)
    # Read after the list was made: whoever has joined before that is in it, and while this goes on nobody joins.
    dead = sorted(found.ours - {run.id} - lease.holding(ctx.root))
    if args.get("runs") is not None:
        dead = sorted(set(dead) & set(texts(args, "runs")))
    reaped = {run_id: _cleaned(ctx, engine, run_id) for run_id in ([] if ctx.check else dead)}
    return {
        "reaped": reaped,
        "would_reap": dead if ctx.check else [],
        "kept": _kept(found, run.id),
        "removed": {kind: sum(one["removed"][kind] for one in reaped.values()) for kind in COUNTED},
        "errors": [error for one in reaped.values() for error in one["errors"]],
        "undone": undone,
    }


def _undo_faults(ctx: Context, engine: Engine) -> list[Json]:
    """Undo what faults of dead runs are still there, before anything is asked of an engine that one may have ended.

    What would not go is found by the cleaning of its run, which comes next. Return what was undone.
    """
    if ctx.check or not os.path.lexists(ctx.root / "chaos"):
        return []
    contact = importlib.import_module(".chaos.contact", __package__)  # which most runs do not need
    dead = contact.dead_runs(ctx)
    for run_id in dead:
        supervise.end_units(ctx, run_id)
    undone: list[Json] = contact.undo(ctx, engine, dead).undone
    return undone


def _cleaned(ctx: Context, engine: Engine, run_id: str) -> Json:
    clean = importlib.import_module(".clean", __package__)  # a large part of the program, so only where it is needed
    report: Json = clean.clean_run(replace(ctx, run=RunRef(run_id)), engine).as_dict()
    return report


def _kept(found: Inventory, run_id: str) -> list[Json]:
    """Return the objects of runs that are not this root's."""
    return [entry for entry in found.items if entry["run"] not in found.ours and entry["run"] != run_id]


OPS: dict[str, Callable[[Context, Json], Json]] = {"reap": reap}
