# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of a case as a sample tells them: how each container stands, and what its processes use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from . import processes
from .boxes import GONE, Box
from .groups import Group, folders
from .looks import words
from .machine import read

# Samples from one count of a service's sockets to the next, which takes longer than all the rest; an odd number, so that
# a halving of the samples drops every second of the counts.
SOCKETS_EVERY = 11
RUNNING = ("running", "paused")


class Known(Protocol):
    """Who knows the containers: boxes.Boxes."""

    known: dict[str, Box]
    restarts: dict[str, int]

    def doubt(self, box: Box) -> None:
        """Have a container inspected again."""


class Services:
    """Measures services. mounted: controller -> where its hierarchy is mounted; proc: the kernel's folder of processes."""

    def __init__(self, names: Sequence[str], boxes: Known, mounted: Mapping[str, str], proc: str = "/proc") -> None:
        self._names, self._boxes, self._mounted, self._proc = names, boxes, mounted, proc
        self._groups: dict[str, tuple[tuple[str, int], Group]] = {}
        self._count = 0

    def sample(self, faults: dict[str, str]) -> dict[str, dict[str, Any]]:
        """Return service -> what is known of it now; faults gets what could not be told: name -> why."""
        self._count += 1
        found: dict[str, dict[str, Any]] = {}
        for place, name in enumerate(self._names):
            box = self._boxes.known.get(name)
            if box is None:  # the engine has not told yet, which is a fault of its own
                continue
            try:
                found[name] = self._one(name, box, (self._count + place) % SOCKETS_EVERY == 0, faults)
            except Exception as exc:  # one odd container is no reason to lose sight of the others
                faults[f"service:{name}"] = words(exc)
        return found

    def _one(self, name: str, box: Box, count_sockets: bool, faults: dict[str, str]) -> dict[str, Any]:
        stands: dict[str, Any] = {"state": box.state, "restarts": self._boxes.restarts[name]}
        if box.started is not None:
            stands["started"] = round(box.started, 3)
        if box.state == GONE:
            faults[f"service:{name}"] = "it has no container"
        if box.state not in RUNNING:
            return stands
        group = self._group(name, box)
        used, pids = processes.measure(group, self._proc) if group else ({}, [])
        if not used:
            # The engine may not have told yet that it has ended, or is not able to.
            self._boxes.doubt(box)
            return {**stands, "state": "exited"}
        if count_sockets:
            sockets = processes.sockets(pids, self._proc)
            if sockets is None:
                faults[f"sockets:{name}"] = f"over {processes.MOST_LINKS} descriptors are open"
            else:
                used["sockets"] = sockets
        return {**stands, **used}

    def _group(self, name: str, box: Box) -> Group | None:
        """Return the control groups of a container, found by its first process when that is new."""
        key = box.id, box.pid
        known = self._groups.get(name)
        if known is not None and known[0] == key:
            return known[1]
        if known is not None:
            known[1].close()
            del self._groups[name]
        found = folders(read(f"{self._proc}/{box.pid}/cgroup").decode("utf-8", "replace"), self._mounted)
        if not found:
            return None
        self._groups[name] = key, Group(found)
        return self._groups[name][1]
