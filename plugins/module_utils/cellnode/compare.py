# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare two snapshots of a node: what of ours is left, and what strangers made or removed meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .objects import PROJECT, RUN

Json = dict[str, Any]
KINDS = {"containers": "container", "networks": "network", "volumes": "volume"}
GPU_TOLERANCE = 64 << 20
PROXY = "docker-proxy"


@dataclass(frozen=True)
class Ours:
    """What belongs to the run. projects: exact Compose project names; folder: a path that must be gone.

    alone: no other run holds the node, so that whatever nobody accounts for is the run's.
    """

    run: str
    projects: frozenset[str] = frozenset()
    folder: str = ""
    alone: bool = True


@dataclass(frozen=True)
class Left:
    """The outcome: leftovers are ours, foreign is new but not ours, gone was there before and is not any more."""

    leftovers: tuple[Json, ...]
    foreign: tuple[Json, ...]
    gone: tuple[Json, ...]


def item(kind: str, name: str, detail: str = "", **more: Any) -> Json:
    """Return one entry of the outcome in its fixed shape."""
    return {
        "type": kind,
        "id": str(more.get("id") or name),
        "name": name,
        "owner": more.get("owner") or "",
        "age_s": more.get("age_s"),
        "detail": detail,
    }


def compare(before: Json, after: Json, ours: Ours, now: float, ignored_ports: frozenset[int]) -> Left:
    """Decide for everything in after whether it is ours; before tells what was there already. now: unix seconds."""
    leftovers: list[Json] = []
    foreign: list[Json] = []
    gone: list[Json] = []
    for plural, kind in KINDS.items():
        old = {record["id"] for record in before.get(plural) or ()}
        for record in after.get(plural) or ():
            entry = _object(kind, record, now)
            if _is_ours(record, ours):
                leftovers.append(entry)
            elif record["id"] not in old:
                foreign.append(entry)
        gone += _gone(kind, before.get(plural) or [], after.get(plural) or [], ours, now)
    finders: tuple[Callable[[Json, Json, Ours], Iterator[tuple[bool, Json]]], ...] = (
        _processes,
        _groups,
        _files,
        _gpus,
    )
    for find in finders:
        for mine, entry in find(before, after, ours):
            (leftovers if mine else foreign).append(entry)
    for mine, entry in _ports(before, after, ours, ignored_ports):
        (leftovers if mine else foreign).append(entry)
    return Left(tuple(leftovers), tuple(foreign), tuple(gone))


def _is_ours(record: Json, ours: Ours) -> bool:
    labels = record.get("labels") or {}
    return labels.get(RUN) == ours.run or labels.get(PROJECT) in ours.projects


def _object(kind: str, record: Json, now: float) -> Json:
    labels, created = record.get("labels") or {}, record.get("created")
    age = None if created is None else round(max(0.0, now - float(created)), 1)
    detail = str(record.get("state") or "")
    return item(
        kind, str(record["name"]), detail, id=record["id"], owner=labels.get(RUN) or labels.get(PROJECT), age_s=age
    )


def _gone(kind: str, before: list[Json], after: list[Json], ours: Ours, now: float) -> list[Json]:
    """Return the objects of strangers that were there before and are not any more."""
    new = {record["id"] for record in after}
    return [_object(kind, record, now) for record in before if record["id"] not in new and not _is_ours(record, ours)]


def _run_pids(after: Json, ours: Ours) -> set[int]:
    return {int(process["pid"]) for process in after.get("processes") or () if process.get("run") == ours.run}


def _processes(before: Json, after: Json, ours: Ours) -> Iterator[tuple[bool, Json]]:
    """Yield each process with our mark; one of another run is foreign when it is new."""
    old = {(process["pid"], process["start"]) for process in before.get("processes") or ()}
    for process in after.get("processes") or ():
        mine = process.get("run") == ours.run
        if mine or (process["pid"], process["start"]) not in old:
            yield mine, item("process", str(process["pid"]), str(process["cmdline"]), owner=process.get("run"))


def _groups(before: Json, after: Json, ours: Ours) -> Iterator[tuple[bool, Json]]:
    """Yield each control group of the run."""
    for group in after.get("groups") or ():
        if group.get("run") == ours.run:
            yield True, item("cgroup", str(group["path"]), owner=ours.run)


def _files(before: Json, after: Json, ours: Ours) -> Iterator[tuple[bool, Json]]:
    """Yield what is left of the run's folder, and each mount in it."""
    for entry in after.get("left") or ():
        yield True, item(str(entry["type"]), str(entry["path"]), owner=ours.run)
    for mount in after.get("mounts") or ():
        if ours.folder and f"{mount['path']}/".startswith(f"{ours.folder}/"):
            yield True, item("mount", str(mount["path"]), f"{mount['kind']} of {mount['source']}", owner=ours.run)


def _ports(before: Json, after: Json, ours: Ours, ignored: frozenset[int]) -> Iterator[tuple[bool, Json]]:
    """Yield each port that is new: ours by its process, or by a port proxy that has no container any more."""
    old = {(entry["port"], entry["address"]) for entry in before.get("listening") or ()}
    published = {port for record in after.get("containers") or () for port in record.get("ports") or ()}
    pids = _run_pids(after, ours)
    for entry in after.get("listening") or ():
        if (entry["port"], entry["address"]) in old or entry["port"] in ignored:
            continue
        orphan = entry["program"] == PROXY and entry["port"] not in published
        mine = entry["pid"] in pids or orphan
        detail = f"{entry['program'] or 'unknown program'}, pid {entry['pid']}"
        owner = ours.run if entry["pid"] in pids else entry["program"]
        yield mine, item("port", f"{entry['address']}:{entry['port']}", detail, id=str(entry["port"]), owner=owner)


def _gpus(before: Json, after: Json, ours: Ours) -> Iterator[tuple[bool, Json]]:
    """Yield GPU memory in use by our processes, by new processes of others, and growth that nobody accounts for."""
    pids, old = _run_pids(after, ours), {(user["pid"], user["uuid"]) for user in before.get("gpu_users") or ()}
    new_users = [user for user in after.get("gpu_users") or () if (user["pid"], user["uuid"]) not in old]
    for user in new_users:
        detail = f"{user['memory_used_bytes'] or 0} bytes on {user['uuid']}"
        yield user["pid"] in pids, item("gpu_memory", f"pid {user['pid']}", detail, id=user["uuid"])
    used = {card["uuid"]: card.get("memory_used_bytes") or 0 for card in before.get("gpus") or ()}
    explained = {user["uuid"] for user in new_users}
    for card in after.get("gpus") or ():
        growth = (card.get("memory_used_bytes") or 0) - used.get(card["uuid"], 0)
        if card["uuid"] in used and growth > GPU_TOLERANCE and card["uuid"] not in explained:
            detail = f"{growth} bytes more in use than before, by no process that can be seen"
            yield ours.alone, item("gpu_memory", str(card["name"]), detail, id=card["uuid"], owner="unknown")
