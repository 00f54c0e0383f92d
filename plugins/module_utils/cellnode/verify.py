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

from . import lease, places
from .compare import Left, compare
from .containers import RUNNING
from .context import Context
from .differences import Ours
from .engine import Engine, engine_of
from .errors import CellError
from .params import number, refuse
from .request import mapping
from .snapshot import take

Json = dict[str, Any]
SETTLE_S = 3.0
GPU_SETTLE_S = 10.0  # a driver gives memory back some seconds after its process has gone
MOST_FILES = 20


def verify(ctx: Context, args: Json) -> Json:
    """Return {clean, leftovers, foreign, gone, noted, errors}; clean needs empty lists that were really made.

    args: before (a snapshot), listening_ignore (ports), settle_s (how long something may take to go away; left out: 3 s,
    GPU memory alone 10 s).
    """
    before, ignored = mapping(args, "before"), _ports(args)
    settle, gpu_settle = (number(args, "settle_s", default, 0, 120) for default in (SETTLE_S, GPU_SETTLE_S))
    engine, ours, pause, began = engine_of(ctx), ours_of(ctx), 0.02, ctx.clock.monotonic()
    while True:
        after = look(ctx, engine, before)
        left = compare(before, after, ours, ctx.clock.unix(), ignored)
        on_gpu = all(entry["type"] == "gpu_memory" for entry in left.leftovers)
        limit = gpu_settle if on_gpu else settle
        if not left.leftovers or ctx.clock.monotonic() - began >= limit:
            return _answer(left, before, after)
        ctx.clock.sleep(pause)
        pause = min(pause * 2, 0.5)


def look(ctx: Context, engine: Engine, before: Json) -> Json:
    """Return a snapshot with what is left of the run's folder and what is new around it since before."""
    after = take(ctx, engine)
    after["left"] = list(islice(left_of(ctx), MOST_FILES))
    after["new"] = places.new(ctx, before, after)
    if any(entry["type"] == "netns" for entry in after["new"]):
        after["sandboxes"] = _sandboxes(engine, after)
    return after


def _sandboxes(engine: Engine, after: Json) -> list[str]:
    """Return the names of the network namespaces of the containers that run; an error of the engine is noted."""
    found: list[str] = []
    for record in after["containers"]:
        try:
            if record["state"] in RUNNING:
                settings = engine.inspect(record["id"]).get("NetworkSettings") or {}
                found.append(os.path.basename(str(settings.get("SandboxKey") or "")))
        except CellError as exc:
            if exc.kind != "container_gone":
                after["errors"].append({"what": "sandboxes", "error_kind": exc.kind, "error": exc.message})
    return found


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
            yield {"type": "folder" if is_folder else "file", "path": str(path), "created": _changed(path)}
        todo += sorted(inside, reverse=True)


def _changed(path: Path) -> float | None:
    """Return when a file was last changed (seconds since 1970), None when it is gone."""
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return None


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
        "noted": list(left.noted),
        "errors": errors,
    }


OPS: dict[str, Callable[[Context, Json], Json]] = {"verify": verify}
