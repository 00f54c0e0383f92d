# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node itself: memory, swap and load of the moment, and the room on its disks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

MEMORY = (b"MemTotal:", b"MemAvailable:", b"SwapTotal:", b"SwapFree:")


def now(proc: Path) -> dict[str, Any]:
    """Return {memory_used_bytes, swap_used_bytes, load_1m} as far as the kernel tells them."""
    found: dict[str, Any] = {}
    kib = _memory(proc)
    if kib.keys() >= set(MEMORY[:2]):
        found["memory_used_bytes"] = (kib[MEMORY[0]] - kib[MEMORY[1]]) * 1024
    if kib.keys() >= set(MEMORY[2:]):
        found["swap_used_bytes"] = (kib[MEMORY[2]] - kib[MEMORY[3]]) * 1024
    load = read(str(proc / "loadavg")).split()
    if load:
        found["load_1m"] = float(load[0])
    return found


def _memory(proc: Path) -> dict[bytes, int]:
    lines = (line.split() for line in read(str(proc / "meminfo")).split(b"\n", 32)[:32])
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[0] in MEMORY}


def read(path: str) -> bytes:
    """Return the first 16 KiB of a file of the kernel, b"" where it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, 16384)
    except OSError:
        return b""
    finally:
        os.close(fd)


def disks(root: str, engine_root: str) -> dict[str, int]:
    """Return the room on the disk of the engine's files, and on that of the node root where this is another one.

    engine_root: "" where the engine does not tell it; the node root's disk stands for it then.
    """
    places = {"disk": engine_root or root}
    if engine_root and os.stat(engine_root).st_dev != os.stat(root).st_dev:
        places["root_disk"] = root
    return {key: value for name, place in places.items() for key, value in _room(name, place).items()}


def _room(name: str, place: str) -> dict[str, int]:
    space = os.statvfs(place)
    used = (space.f_blocks - space.f_bfree) * space.f_frsize
    return {f"{name}_used_bytes": used, f"{name}_free_bytes": space.f_bavail * space.f_frsize}
