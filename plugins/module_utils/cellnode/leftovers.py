# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything on the node that carries a run's mark, of whichever run, and which runs were started from this root."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from . import cgroup, procs
from .context import SAFE_NAME, Context
from .engine import Engine
from .objects import RUN, WORKING_DIR, unix_time
from .snapshot import run_folders

Json = dict[str, Any]


@dataclass(frozen=True)
class Inventory:
    """items: {type, id, name, run, age_s} each; ours: the runs that were certainly started from this node root.

    A label is only text that anybody may write, so a run whose name could leave the node root is never ours.
    """

    items: tuple[Json, ...]
    ours: frozenset[str]


def inventory(ctx: Context, engine: Engine) -> Inventory:
    """Return all marked objects; raise when a list cannot be made."""
    now = ctx.clock.unix()
    found = engine.containers([RUN])
    boxes = [_item("container", record, record.get("Created"), now) for record in found]
    nets = [_item("network", record, unix_time(str(record.get("Created"))), now) for record in engine.networks([RUN])]
    vols = [_item("volume", record, unix_time(str(record.get("CreatedAt"))), now) for record in engine.volumes([RUN])]
    mine = [*_folders(ctx, now), *_processes(ctx), *_groups(ctx), *_faults(ctx)]
    runs = {entry["run"] for entry in mine} | {_made_here(ctx, record) for record in found}
    safe = frozenset(run for run in runs if SAFE_NAME.match(run))
    return Inventory((*boxes, *nets, *vols, *mine), safe)


def _made_here(ctx: Context, record: Json) -> str:
    """Return the run of a container that Compose made in that run's folder of this root, else ""."""
    labels = record.get("Labels") or {}
    run, place = str(labels.get(RUN) or ""), os.path.normpath(str(labels.get(WORKING_DIR) or ""))
    return run if place.startswith(f"{ctx.runs_dir}/{run}/") else ""


def _item(kind: str, record: Json, created: float | None, now: float) -> Json:
    name = str(record.get("Name") or (record.get("Names") or ["/"])[0]).lstrip("/")
    age = None if created is None else round(max(0.0, now - float(created)), 1)
    run = str((record.get("Labels") or {}).get(RUN, ""))
    return {"type": kind, "id": str(record.get("Id") or name), "name": name, "run": run, "age_s": age}


def _folders(ctx: Context, now: float) -> list[Json]:
    return [
        {
            "type": "folder",
            "id": str(ctx.runs_dir / folder["name"]),
            "name": folder["name"],
            "run": folder["name"],
            "age_s": round(max(0.0, now - folder["created"]), 1),
        }
        for folder in run_folders(ctx)
        if SAFE_NAME.match(folder["name"])
    ]


def _processes(ctx: Context) -> list[Json]:
    return [
        {
            "type": "process",
            "id": str(found.proc.pid),
            "name": procs.cmdline(found.proc.pid),
            "run": found.run,
            "age_s": None,
        }
        for found in procs.ours(ctx.root)
    ]


def _groups(ctx: Context) -> list[Json]:
    if not ctx.root.exists():
        return []
    return [
        {
            "type": "cgroup",
            "id": str(group.path),
            "name": group.path.name,
            "run": group.path.name.split(":")[0],
            "age_s": None,
        }
        for group in cgroup.groups_left(ctx.root)
    ]


def _faults(ctx: Context) -> list[Json]:
    """Return the runs of which faults are noted here."""
    top = ctx.root / "chaos"
    names = sorted(os.listdir(top)) if top.is_dir() else []
    found = [(str(top / name), name) for name in names if SAFE_NAME.match(name)]
    return [{"type": "chaos", "id": path, "name": path, "run": name, "age_s": None} for path, name in found]
