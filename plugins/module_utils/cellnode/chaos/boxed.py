# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control groups of a container: where its limits are, how they stand, and which folders a worker joins to feel them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .. import mounts
from ..mounts import Mount

# Of version 1; a worker stays out of freezer and pids: to pause a container or to fill its table is another fault.
JOINED = ("cpu", "cpuacct", "cpuset", "memory")
UNLIMITED = 1 << 62


@dataclass(frozen=True)
class Boxed:
    """Controller -> its folder; "" is that of version 2, which has them all."""

    folders: dict[str, Path]

    @property
    def joined(self) -> list[str]:
        """Return the folders that a worker joins, each once."""
        if "" in self.folders and "memory" not in self.folders:
            return [str(self.folders[""])]
        return list(dict.fromkeys(str(self.folders[name]) for name in JOINED if name in self.folders))

    def number(self, controller: str, v1: str, v2: str) -> int | None:
        """Return a number of a controller, None where it is not told; without a limit it is very large."""
        for folder, name in ((self.folders.get(controller), v1), (self.folders.get(""), v2)):
            if folder is not None:
                with suppress(OSError, ValueError):
                    text = (folder / name).read_text(encoding="ascii").split()[0]
                    return UNLIMITED if text == "max" else int(text)
        return None

    def memory_room(self) -> int | None:
        """Return how many bytes the container may still take, None without a limit."""
        limit = self.number("memory", "memory.limit_in_bytes", "memory.max")
        used = self.number("memory", "memory.usage_in_bytes", "memory.current")
        if limit is None or used is None or limit >= UNLIMITED:
            return None
        return max(0, limit - used)

    def cores(self) -> float | None:
        """Return how many cores the container may use, None without a limit."""
        quota = self.number("cpu", "cpu.cfs_quota_us", "cpu.max")
        period = self.number("cpu", "cpu.cfs_period_us", "cpu.max")
        with suppress(OSError, ValueError, IndexError, KeyError):
            if "cpu" not in self.folders:
                period = int((self.folders[""] / "cpu.max").read_text(encoding="ascii").split()[1])
        if quota is None or period is None or quota <= 0 or quota >= UNLIMITED or period <= 0:
            return None
        return quota / period


def of(pid: int) -> Boxed:
    """Return the control groups of a process."""
    text = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    return parse(mounts.current(), text)


def parse(seen: tuple[Mount, ...], membership: str) -> Boxed:
    """Return the groups that a text of /proc/PID/cgroup names, as far as they are mounted."""
    points: dict[str, str] = {}
    for mount in seen:
        if mount.kind == "cgroup2":
            points.setdefault("", mount.point)
        elif mount.kind == "cgroup":
            for option in mount.options:
                points.setdefault(option, mount.point)
    found: dict[str, Path] = {}
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            if name in points:
                found[name] = Path(points[name] + path)
    return Boxed(found)
