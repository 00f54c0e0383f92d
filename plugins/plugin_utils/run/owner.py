# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who owns a run: a name for people that also tells, on the same machine, whether the owner still lives."""

from __future__ import annotations

import getpass
import hashlib
import multiprocessing
import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

PATTERN = re.compile(
    r"(?P<user>.*)@(?P<host>[^@]*):(?P<pid>\d+)/(?P<place>[^/]+)(?:/(?P<start>\d+)(?:/(?P<machine>[0-9a-f]{8}))?)?",
    re.DOTALL,
)
MACHINE_ID = Path("/etc/machine-id")
# The process space of a machine itself, PROC_PID_INIT_INO of the kernel's include/linux/proc_ns.h; containers have others.
WHOLE_MACHINE = "4026531836"
STATE, START = 0, 19


class Here(NamedTuple):
    """This machine and process space.

    place: boot id and pid name space, so that equal host names are told apart. machine: what stays the same when it is
    started anew, "" for a container or where it is not known.
    """

    user: str
    host: str
    place: str
    machine: str = ""


def here() -> Here:
    """Return where this process runs."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    space = re.sub(r"\D", "", os.readlink("/proc/self/ns/pid"))
    return Here(_user(), os.uname().nodename, f"{boot[:8]}-{space}", _machine() if space == WHOLE_MACHINE else "")


_here = cache(here)  # asked for each of many runs, and always the same


def _machine() -> str:
    """Return a digest of this machine's own id, which is not to be shown itself (machine-id(5)); "" for one that has none."""
    try:
        told = MACHINE_ID.read_text().strip()
    except OSError:
        return ""
    return hashlib.sha256(b"testcell " + told.encode()).hexdigest()[:8] if re.fullmatch("[0-9a-f]{32}", told) else ""


def _user() -> str:
    """Return this user's name: cron and containers tell it by no variable, and some users have only a number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def name(at: Here, pid: int, start: str = "") -> str:
    """Return the owner of a run that the process pid controls: `user@host:pid/place/start/machine`.

    start: when the process began, since a number is given to another process one day; names without it are of old.
    """
    parts = [f"{at.user}@{at.host}:{pid}", at.place, start, at.machine]
    return "/".join(parts[: parts.index("")] if "" in parts else parts)


def of_process(pid: int) -> str:
    """Return the owner of a run that a living process of this machine controls."""
    return name(here(), pid, _stat(pid)[START])


def controller() -> int:
    """Return the ansible-playbook that this worker was forked from, even when it is gone by now.

    The parent's number is that of the system's first process then, which never ends: as an owner it would hold the run
    and its links for ever.
    """
    parent = multiprocessing.parent_process()
    return parent.pid if parent and parent.pid else os.getppid()


def is_dead(owner: str, at: Here, lives: Callable[[int, str], bool]) -> bool:
    """Return whether owner is a process of this machine that is gone. What cannot be known counts as alive.

    A process of another boot of this very machine is gone: host and machine are the same, and it ran in no container.

    lives: decides of a number and a start ("" where the name does not tell it) whether that process runs here.
    """
    found = PATTERN.fullmatch(owner)
    if not found or found["host"] != at.host:
        return False
    if found["place"] != at.place:
        return bool(at.machine) and found["machine"] == at.machine
    return not lives(int(found["pid"]), found["start"] or "")


def is_alive(owner: str) -> bool | None:
    """Return whether the process of an owner lives, None where that cannot be known: it is none of this machine."""
    at = _here()
    if is_dead(owner, at, lives):
        return False
    found = PATTERN.fullmatch(owner)
    return True if found and (found["host"], found["place"]) == (at.host, at.place) else None


def pid_of(owner: str) -> int:
    """Return the process of an owner, 0 for a name of another form."""
    found = PATTERN.fullmatch(owner)
    return int(found["pid"]) if found else 0


def words(owner: str) -> str:
    """Return an owner as a person reads it: `anna on ctl (process 77)`; a name of another form as it is."""
    found = PATTERN.fullmatch(owner)
    return f"{found['user']} on {found['host']} (process {found['pid']})" if found else owner


def lives(pid: int, start: str = "") -> bool:
    """Return whether a process of this number runs here that began at start, or at any time where start is "".

    One that only waits to be reaped by its parent does not run.
    """
    try:
        fields = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[STATE] not in ("Z", "X") and start in ("", fields[START])


def _stat(pid: int) -> list[str]:
    """Return what the kernel tells of a process, from its state on: the name before it may hold any character."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
