# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what lies around the engine in two snapshots: interfaces, namespaces, files, shared memory, jobs, disk, clock."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from .differences import Found, Json, Ours, age, item
from .places import NETNS

_BRIDGE = re.compile(r"^br-([0-9a-f]{12})\Z")
_SANDBOX = re.compile(r"^[0-9a-f]{12}\Z")
HOST = "default"  # made with the first container on the network of the node, and kept by the engine
CLOCK_STEP_S = 1.0
DISK_SHARE = 0.01
RUNNING = ("running", "paused", "restarting")


def links(before: Json, after: Json, ours: Ours) -> Found:
    """Yield each new network interface; a bridge without its network, or a cable without a container, is ours where we are alone.

    Those of a network or container that is there are told with it.
    """
    was, now = before.get("links") or {}, after.get("links") or {}
    networks = [str(record["id"]) for record in after.get("networks") or ()]
    running = any(record.get("state") in RUNNING for record in after.get("containers") or ())
    for name, master in now.items():
        match = _BRIDGE.match(name)
        if name in was or (match and any(network.startswith(match.group(1)) for network in networks)):
            continue
        cable = name.startswith("veth") and bool(master)
        if cable and running and not _orphan(master, was, networks):
            continue
        mine = ours.alone and (bool(match) or cable)
        kind = "bridge" if match else "interface"
        detail = f"of bridge {master}" if master else ""
        yield mine, item(kind, name, detail, owner="unknown")


def _orphan(bridge: str, was: Json, networks: list[str]) -> bool:
    """Return whether a bridge is new and has no network."""
    match = _BRIDGE.match(bridge)
    return bool(match) and bridge not in was and not any(one.startswith(match.group(1)) for one in networks if match)


def files(after: Json, ours: Ours, now: float) -> Found:
    """Yield what is new in the watched folders: ours below the node root, where a job names the run's folder, and a
    container's namespace without a container; anything else may be anybody's."""
    sandboxes = set(after.get("sandboxes") or ())
    for entry in after.get("new") or ():
        path, kind = str(entry["path"]), str(entry["type"])
        name = os.path.basename(path)
        of_engine = kind == "netns" and os.path.dirname(path).endswith(NETNS)
        if (kind == "netns" and name in sandboxes) or (of_engine and name == HOST):
            continue
        lost = of_engine and bool(_SANDBOX.match(name))
        mine = (ours.alone and (kind == "file" or lost)) or bool(entry.get("named"))
        owner = ours.run if mine and not lost else entry.get("user")
        yield mine, item(kind, path, owner=owner, age_s=age(entry.get("created"), now))


def segments(before: Json, after: Json, ours: Ours) -> Found:
    """Yield each new segment of shared memory; one that a process of the run made is ours."""
    was = {segment["id"] for segment in before.get("segments") or ()}
    pids = {process["pid"] for process in after.get("processes") or () if process.get("run") == ours.run}
    for segment in after.get("segments") or ():
        if segment["id"] not in was:
            detail = f"{segment['bytes']} bytes, made by pid {segment['cpid']}"
            owner = ours.run if segment["cpid"] in pids else f"uid {segment['uid']}"
            yield segment["cpid"] in pids, item("shared_memory", str(segment["id"]), detail, owner=owner)


def noted(before: Json, after: Json) -> Iterator[Json]:
    """Yield what is neither left nor anybody's: images that stay, a disk with less room, a clock that was set."""
    was = {image["id"] for image in before.get("images") or ()}
    for image in after.get("images") or ():
        if image["id"] not in was:
            detail = f"{image['bytes']} bytes; images are kept"
            yield item("image", str(image["name"]), detail, id=image["id"])
    old, new = before.get("disk") or {}, after.get("disk") or {}
    less = old.get("free_bytes", 0) - new.get("free_bytes", 0)
    if old and new and less > DISK_SHARE * new["total_bytes"]:
        yield item("disk", str(new["path"]), f"{less} bytes less free than before")
    if "clock" in before and "clock" in after:
        step = after["clock"] - before["clock"]
        if abs(step) > CLOCK_STEP_S:
            yield item("clock", "wall clock", f"was set by {step:+.1f} s meanwhile")
