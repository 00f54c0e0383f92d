# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who owns a run: a name for people that also tells, on the same machine, whether the owner still lives."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PATTERN = re.compile(r"(?P<user>.*)@(?P<host>[^@]*):(?P<pid>\d+)/(?P<place>.+)", re.DOTALL)


@dataclass(frozen=True)
class Here:
    """This machine and process space. place: boot id and pid name space, so that equal host names are told apart."""

    user: str
    host: str
    place: str


def here() -> Here:
    """Return where this process runs."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    space = re.sub(r"\D", "", os.readlink("/proc/self/ns/pid"))
    return Here(os.environ.get("USER") or str(os.getuid()), os.uname().nodename, f"{boot[:8]}-{space}")


def name(at: Here, pid: int) -> str:
    """Return the owner of a run that the process pid controls: `user@host:pid/place`."""
    return f"{at.user}@{at.host}:{pid}/{at.place}"


def is_dead(owner: str, at: Here, lives: Callable[[int], bool]) -> bool:
    """Return whether owner is a process of this machine and boot that is gone. What cannot be known counts as alive."""
    found = PATTERN.fullmatch(owner)
    if not found or (found["host"], found["place"]) != (at.host, at.place):
        return False
    return not lives(int(found["pid"]))


def pid_of(owner: str) -> int:
    """Return the process of an owner, 0 for a name of another form."""
    found = PATTERN.fullmatch(owner)
    return int(found["pid"]) if found else 0


def lives(pid: int) -> bool:
    """Return whether a process of this number runs here; one that only waits to be reaped by its parent does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
