# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queues of tc that belong to one event, known by a handle of their own; a device with somebody else's is left alone."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ..errors import CellError
from .netns import Door

_ROOT = re.compile(r"^qdisc (\S+) ([0-9a-f]+): root\b")
Json = dict[str, Any]


def handle(key: str) -> str:
    """Return the handle of an event's queues."""
    return f"7{key[:3]}"


def root(listing: str) -> tuple[str, str]:
    """Return (kind, handle) of the root queue in what `tc qdisc show dev D` prints; handle 0 is the kernel's own choice."""
    for line in listing.splitlines():
        match = _ROOT.match(line)
        if match:
            return match.group(1), match.group(2)
    return "noqueue", "0"


def check_free(door: Door, device: str) -> None:
    """Raise chaos_unsupported when somebody has put a queue on a device."""
    kind, number = root(door.asked("tc", "qdisc", "show", "dev", device))
    if number != "0":
        message = f"device {device} has the queue {kind} {number}: already; it would not come back after the fault"
        raise CellError("chaos_unsupported", message)


def install(door: Door, device: str, number: str, words: Sequence[str]) -> None:
    """Put a queue on a device."""
    door.asked("tc", "qdisc", "add", "dev", device, "root", "handle", f"{number}:", *words)


def uninstall(door: Door, device: str, number: str) -> None:
    """Take the queue with this handle off a device, if both are there."""
    if found(door, device, number):
        door.asked("tc", "qdisc", "del", "dev", device, "root")


def found(door: Door, device: str, number: str) -> list[str]:
    """Return the queue with this handle on a device, in words."""
    names = {str(link["ifname"]) for link in json.loads(door.asked("ip", "-j", "link", "show") or "[]")}
    if device not in names:
        return []
    kind, seen = root(door.asked("tc", "qdisc", "show", "dev", device))
    return [f"queue {kind} {seen}: on {device}"] if seen == number else []


def peer(link: Json, node: Sequence[Json]) -> str:
    """Return the node's end of a container's interface, "" where it has none of its own (a macvlan, for example)."""
    for other in node:
        if other.get("ifindex") == link.get("link_index") and other.get("link_index") == link.get("ifindex"):
            return str(other["ifname"])
    return ""
