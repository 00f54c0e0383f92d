# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the processes of a container use: one look at each, of the cheapest file of the kernel that tells it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from .groups import Group
from .machine import read

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
MOST_LINKS = 4096  # descriptors of a container that are looked at one by one


def measure(group: Group, proc: str) -> tuple[dict[str, Any], list[int]]:
    """Return {rss_bytes, fds, processes} and what the group counts, and the processes; ({}, []) where there is none."""
    pids = group.pids()
    found, alive = _used(pids, proc)
    if not alive:
        return {}, []
    found.update(group.counts())
    if not found.keys() >= {"threads", "cpu_s"}:
        found = {**_told(alive, proc), **found}
    return found, alive


def _used(pids: Sequence[int], proc: str) -> tuple[dict[str, Any], list[int]]:
    """Return memory and descriptors summed over processes, and those that are there; anon_bytes: what is not shared."""
    resident = shared = fds = 0
    alive = []
    for pid in pids:
        words = read(f"{proc}/{pid}/statm").split()
        if len(words) < 3:
            continue
        alive.append(pid)
        resident += int(words[1])
        shared += int(words[2])
        fds += _descriptors(f"{proc}/{pid}/fd")
    memory = {"rss_bytes": resident * PAGE_BYTES, "anon_bytes": (resident - shared) * PAGE_BYTES}
    return {**memory, "fds": fds, "processes": len(alive)}, alive


def _descriptors(folder: str) -> int:
    """Return how many descriptors a process has open: since Linux 6.2 they are the size of the folder."""
    try:
        return os.stat(folder).st_size or len(os.listdir(folder))
    except OSError:
        return 0


def _told(pids: Sequence[int], proc: str) -> dict[str, Any]:
    """Return {threads, cpu_s} of the living processes, where no group counts them."""
    threads = ticks = 0
    for pid in pids:
        fields = read(f"{proc}/{pid}/stat").rpartition(b")")[2].split()
        if len(fields) > 17:
            threads += int(fields[17])
            ticks += int(fields[11]) + int(fields[12])
    return {"threads": threads, "cpu_s": round(ticks / TICKS, 3)}


def sockets(pids: Sequence[int], proc: str) -> int | None:
    """Return how many sockets are open, each once however many processes share it; None for too many descriptors."""
    found, left = set(), MOST_LINKS
    for pid in pids:
        folder = f"{proc}/{pid}/fd"
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        left -= len(names)
        if left < 0:
            return None
        for name in names:
            try:
                target = os.readlink(f"{folder}/{name}")
            except OSError:  # closed meanwhile
                continue
            if target.startswith("socket:"):
                found.add(target)
    return len(found)
