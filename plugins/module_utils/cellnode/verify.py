# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say whether the node is as it was: take a new snapshot, compare it, and wait a little for what is just going away."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from . import lease
from .compare import Left, Ours, compare
from .context import Context
from .engine import engine_of
from .params import number, refuse
from .request import mapping
from .snapshot import take

Json = dict[str, Any]
SETTLE_S = 3.0
MOST_FILES = 20


def verify(ctx: Context, args: Json) -> Json:
    """Return {clean, leftovers, foreign, gone, errors}; clean needs empty lists that were really made.

    args: before (a snapshot), listening_ignore (ports), settle_s (how long something may take to go away).
    """
    before, ignored = mapping(args, "before"), _ports(args)
    deadline = ctx.clock.monotonic() + number(args, "settle_s", SETTLE_S, 0, 120)
    engine, ours, pause = engine_of(ctx), ours_of(ctx), 0.02
    while True:
        after = {**take(ctx, engine), "left": list(islice(left_of(ctx), MOST_FILES))}
        left = compare(before, after, ours, ctx.clock.unix(), ignored)
        if not left.leftovers or ctx.clock.monotonic() >= deadline:
            return _answer(left, before, after)
        ctx.clock.sleep(pause)
        pause = min(pause * 2, 0.5)


def ours_of(ctx: Context) -> Ours:
    """Return what belongs to the request's run: its label, its project, its folder."""
    run = ctx.needed_run
    project = f"testcell-{run.id}-{run.scenario}".lower()
    alone = lease.holding(ctx.root) <= {run.id}
    return Ours(run.id, frozenset({project} if run.scenario else ()), str(ctx.run_dir), alone)


def left_of(ctx: Context) -> Iterator[Json]:
    """Yield what is left of the run's folder: the case folder as a whole, each other file, each folder with nothing in it.

    The run's cases come one after the other, so at the end of each of them nothing of the run may be there.
    """
    whole = ctx.case_dir if ctx.needed_run.scenario else ctx.run_dir
    todo = [ctx.run_dir] if os.path.lexists(ctx.run_dir) else []
    while todo:
        path = todo.pop()
        is_folder = path.is_dir() and not path.is_symlink()
        inside = _inside(path) if is_folder and path != whole else []
        if not inside:
            yield {"type": "folder" if is_folder else "file", "path": str(path)}
        todo += sorted(inside, reverse=True)


def _inside(folder: Path) -> list[Path]:
    """Return what a folder holds; one that cannot be read seems to hold nothing, and is told itself."""
    try:
        return [folder / name for name in os.listdir(folder)]
    except OSError:
        return []


def _ports(args: Json) -> frozenset[int]:
    values = args.get("listening_ignore") or []
    if not isinstance(values, list) or not all(isinstance(port, int) for port in values):
        raise refuse("listening_ignore", values, "a list of ports")
    return frozenset(values)


def _answer(left: Left, before: Json, after: Json) -> Json:
    """Return the verdict. A GPU tool that was broken before the run already is told, but makes no node dirty."""
    known = {error["error"] for error in before.get("errors") or () if error["what"] == "gpus"}
    errors = [{**error, "when": "after"} for error in after["errors"]]
    errors += [{**error, "when": "before"} for error in before.get("errors") or ()]
    fatal = [error for error in errors if error["what"] != "gpus" or error["error"] not in known]
    return {
        "clean": not left.leftovers and not fatal,
        "leftovers": list(left.leftovers),
        "foreign": list(left.foreign),
        "gone": list(left.gone),
        "errors": errors,
    }


OPS: dict[str, Callable[[Context, Json], Json]] = {"verify": verify}
