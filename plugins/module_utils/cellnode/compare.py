# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare two snapshots of a node: what of ours is left, and what strangers made or removed meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

from . import gpu_memory, surroundings
from .differences import Found, Json, Ours, age, below, item
from .objects import PROJECT, RUN

KINDS = {"containers": "container", "networks": "network", "volumes": "volume"}
PROXY = "docker-proxy"


@dataclass(frozen=True)
class Left:
    """The outcome: leftovers are ours, foreign is new but not ours, gone was there before and is not any more.

    noted: what is nobody's and is only told, such as an image that stays.
    """

    leftovers: tuple[Json, ...]
    foreign: tuple[Json, ...]
    gone: tuple[Json, ...]
    noted: tuple[Json, ...] = ()


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
    finders: tuple[Found, ...] = (
        _processes(before, after, ours),
        _groups(after, ours),
        _faults(after, ours),
        _files(after, ours, now),
        _mounts(before, after, ours),
        gpu_memory.compare(before, after, ours),
        surroundings.files(after, ours, now),
        surroundings.links(before, after, ours),
        surroundings.segments(before, after, ours),
        _ports(before, after, ours, ignored_ports),
    )
    for find in finders:
        for mine, entry in find:
            (leftovers if mine else foreign).append(entry)
    return Left(tuple(leftovers), tuple(foreign), tuple(gone), tuple(surroundings.noted(before, after)))


def _is_ours(record: Json, ours: Ours) -> bool:
    """Return whether an object carries the run's label or its project, or is a container that holds the run's folder.

    A script may start containers of its own. One with another run's label is that run's.
    """
    labels = record.get("labels") or {}
    if RUN in labels:
        return bool(labels[RUN] == ours.run)
    holds = any(below(path, ours.folder) for path in record.get("binds") or ())
    return labels.get(PROJECT) in ours.projects or holds


def _object(kind: str, record: Json, now: float) -> Json:
    labels = record.get("labels") or {}
    owner, detail = labels.get(RUN) or labels.get(PROJECT), str(record.get("state") or "")
    return item(kind, str(record["name"]), detail, id=record["id"], owner=owner, age_s=age(record.get("created"), now))


def _gone(kind: str, before: list[Json], after: list[Json], ours: Ours, now: float) -> list[Json]:
    """Return the objects of strangers that were there before and are not any more."""
    new = {record["id"] for record in after}
    return [_object(kind, record, now) for record in before if record["id"] not in new and not _is_ours(record, ours)]


def _run_pids(after: Json, ours: Ours) -> set[int]:
    return {int(process["pid"]) for process in after.get("processes") or () if process.get("run") == ours.run}


def _processes(before: Json, after: Json, ours: Ours) -> Found:
    """Yield each process with our mark; one of another run is foreign when it is new."""
    old = {(process["pid"], process["start"]) for process in before.get("processes") or ()}
    for process in after.get("processes") or ():
        mine = process.get("run") == ours.run
        if mine or (process["pid"], process["start"]) not in old:
            detail = f"{process['cmdline']}{' (stopped)' if process.get('stopped') else ''}"
            yield mine, item("process", str(process["pid"]), detail, owner=process["run"], age_s=process.get("age_s"))


def _groups(after: Json, ours: Ours) -> Found:
    """Yield each control group of the run."""
    for group in after.get("groups") or ():
        if group.get("run") == ours.run:
            yield True, item("cgroup", str(group["path"]), owner=ours.run)


def _faults(after: Json, ours: Ours) -> Found:
    """Yield each fault that has not been undone; one of a run that holds the node is that run's to undo."""
    for fault in after.get("chaos") or ():
        mine = fault["run"] == ours.run or not fault["held"]
        detail = f"{fault['kind']} of {fault['service'] or 'the node'}, {fault['state']}"
        yield mine, item("chaos", str(fault["id"]), detail, owner=fault["run"], age_s=fault["age_s"])


def _files(after: Json, ours: Ours, now: float) -> Found:
    """Yield what is left of the run's folder."""
    for entry in after.get("left") or ():
        yield True, item(str(entry["type"]), str(entry["path"]), owner=ours.run, age_s=age(entry.get("created"), now))


def _mounts(before: Json, after: Json, ours: Ours) -> Found:
    """Yield each mount in the run's folder, and each new one elsewhere below the node root."""
    old = {mount["path"] for mount in before.get("mounts") or ()}
    for mount in after.get("mounts") or ():
        mine = below(str(mount["path"]), ours.folder)
        if mine or mount["path"] not in old:
            detail = f"{mount['kind']} of {mount['source']}"
            yield mine, item("mount", str(mount["path"]), detail, owner=ours.run if mine else "")


def _ports(before: Json, after: Json, ours: Ours, ignored: frozenset[int]) -> Found:
    """Yield each port that is new: ours by its process, or by a port proxy that has no container any more."""
    old = {(entry["port"], entry["address"]) for entry in before.get("listening") or ()}
    published = {port for record in after.get("containers") or () for port in record.get("ports") or ()}
    pids = _run_pids(after, ours)
    for entry in after.get("listening") or ():
        if (entry["port"], entry["address"]) in old or entry["port"] in ignored:
            continue
        orphan = ours.alone and entry["program"] == PROXY and entry["port"] not in published
        mine = entry["pid"] in pids or orphan
        detail = f"{entry['program'] or 'unknown program'}, pid {entry['pid']}"
        owner = ours.run if entry["pid"] in pids else entry["program"]
        yield mine, item("port", f"{entry['address']}:{entry['port']}", detail, id=str(entry["port"]), owner=owner)
