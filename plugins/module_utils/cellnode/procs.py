# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our processes on this node: found by control group and by environment mark, ended, and proved to be gone."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARK = "TESTCELL_UNIT"
GROUP_PREFIX = "testcell-"
ENVIRON_LIMIT = 4 << 20  # bytes of one process's environment that are searched
KILL_LIMIT_S = 10.0
STOPPED = ("T", "t")
_PENDING = re.compile(r"^ShdPnd:\s*([0-9a-f]+)$", re.MULTILINE)  # signals for the whole process, proc_pid_status(5)
_CONTAINER = re.compile(r"/docker[-/]([0-9a-f]{64})")

Find = Callable[[], Iterable["Proc"]]


@dataclass(frozen=True)
class Proc:
    """One process of this boot; start (clock ticks since boot) tells it from a later one with the same number."""

    pid: int
    start: int


@dataclass(frozen=True)
class Stat:
    """What `/proc/PID/stat` says; gone: a zombie without a living thread."""

    ppid: int
    start: int
    state: str
    gone: bool


@dataclass(frozen=True)
class Found:
    """A process that is ours. unit: the unit token it carries; in_group, marked: how it was found; state: a letter."""

    proc: Proc
    unit: str
    in_group: bool
    marked: bool
    state: str = ""

    @property
    def run(self) -> str:
        """Return the run id inside the unit token."""
        return run_of(self.unit)

    def as_dict(self) -> dict[str, Any]:
        """Return the process as JSON values."""
        return {
            "pid": self.proc.pid,
            "start": self.proc.start,
            "cmdline": cmdline(self.proc.pid),
            "unit": self.unit,
            "run": self.run,
            "cgroup_ours": self.in_group,
            "env_mark": self.marked,
            "stopped": self.state in STOPPED,
            **about(self.proc.pid),
        }


@dataclass(frozen=True)
class KillReport:
    """What a kill did. killed: distinct processes that were ended; survivors: those that would not go."""

    killed: tuple[Proc, ...] = ()
    survivors: tuple[Proc, ...] = ()


def boot_id() -> str:
    """Return the kernel's name of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def root_key(root: Path) -> str:
    """Return 8 hex digits that tell this node root from any other one seen by this kernel (container nodes too)."""
    info = os.stat(root)
    return hashlib.sha256(f"{root}|{info.st_dev}|{info.st_ino}".encode()).hexdigest()[:8]


def run_of(token: str) -> str:
    """Return the run id of a unit token `<root key>:<run>:<name>:<nonce>`, or "" when it is none."""
    parts = token.split(":")
    return parts[1] if len(parts) == 4 else ""


def parse_stat(text: str) -> Stat:
    """Return the fields of a `/proc/PID/stat` line; the command name in it may hold spaces and brackets."""
    fields = text[text.rindex(")") + 2 :].split()
    state, threads = fields[0], int(fields[17])
    return Stat(ppid=int(fields[1]), start=int(fields[19]), state=state, gone=state in "ZXx" and threads <= 1)


def read_stat(pid: int) -> Stat | None:
    """Return what the kernel says about a process, or None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            return parse_stat(stream.read().decode("utf-8", "replace"))
    except (OSError, ValueError, IndexError):
        return None


def stop_pending(pid: int) -> bool:
    """Return whether a process has a SIGSTOP before it that it has not taken yet: one that is frozen takes it afterwards."""
    found = _PENDING.search(_read(f"/proc/{pid}/status"))
    return found is not None and bool(int(found[1], 16) >> (signal.SIGSTOP - 1) & 1)


def identify(pid: int) -> Proc | None:
    """Return the process that has this number now, or None when it is gone or only waits to be reaped."""
    stat = read_stat(pid)
    return None if stat is None or stat.gone else Proc(pid, stat.start)


def alive(proc: Proc) -> bool:
    """Return whether this very process still runs."""
    return identify(proc.pid) == proc


def cmdline(pid: int) -> str:
    """Return a process's arguments joined by spaces, at most 400 characters; its short name when it has none."""
    for name in ("cmdline", "comm"):
        try:
            raw = Path(f"/proc/{pid}/{name}").read_bytes()[:4096]
        except OSError:
            return ""
        if raw:
            return raw.replace(b"\0", b" ").decode("utf-8", "replace").strip()[:400]
    return ""


def arguments(pid: int) -> list[str]:
    """Return what a process was started with, [] when it is gone or may not be read."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [word.decode("utf-8", "replace") for word in raw.split(b"\0")]


def pids() -> list[int]:
    """Return the numbers of all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def env_mark(pid: int) -> str:
    """Return the unit token in a process's environment, or "" when it has none or may not be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as stream:
            raw = b"\0" + stream.read(ENVIRON_LIMIT)
    except OSError:
        return ""
    _, found, rest = raw.partition(b"\0" + MARK.encode() + b"=")
    return rest.split(b"\0", 1)[0].decode("utf-8", "replace") if found else ""


def group_mark(pid: int, key: str) -> str:
    """Return the unit token that a process's control groups name for this node root, or ""."""
    _, found, rest = _groups_of(str(pid)).partition(f"/{GROUP_PREFIX}{key}/")
    name = rest.partition("\n")[0].partition("/")[0]
    return f"{key}:{name}" if found and name else ""


def container_of(pid: int) -> str:
    """Return the id of the container that a process runs in, or ""; one that this process is in itself does not count."""
    own = set(_CONTAINER.findall(_groups_of("self")))
    return next((found for found in reversed(_CONTAINER.findall(_groups_of(str(pid)))) if found not in own), "")


def _groups_of(pid: str) -> str:
    return _read(f"/proc/{pid}/cgroup")


def _read(path: str) -> str:
    try:
        with open(path, "rb", buffering=0) as stream:
            return stream.readall().decode("utf-8", "replace")
    except OSError:
        return ""


def user_name(uid: int) -> str:
    """Return the name of a user, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def about(pid: int) -> dict[str, Any]:
    """Return {user, age_s, container} of a process; nothing when it is gone."""
    stat = read_stat(pid)
    try:
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return {}
    started = None if stat is None else stat.start / os.sysconf("SC_CLK_TCK")
    age = None if started is None else round(max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started), 1)
    return {"user": user_name(uid), "age_s": age, "container": container_of(pid)}


def ours(root: Path, run_id: str | None = None) -> tuple[Found, ...]:
    """Return the living processes that belong to units of this node root, of one run or (None) of any."""
    if not root.exists():
        return ()
    key, found = root_key(root), []
    for pid in pids():
        stat = read_stat(pid) if any(_marks(pid, key)) else None
        if stat is None or stat.gone:
            continue
        group, mark = _marks(pid, key)  # again: another process may have got the number before its start was read
        token = group or mark
        if token and run_id in (None, run_of(token)):
            found.append(Found(Proc(pid, stat.start), token, bool(group), bool(mark), stat.state))
    return tuple(found)


def _marks(pid: int, key: str) -> tuple[str, str]:
    """Return the unit tokens of this node root that a process's control groups and its environment name, "" for none."""
    mark = env_mark(pid)
    return group_mark(pid, key), mark if mark.startswith(f"{key}:") else ""


def marked(token: str) -> list[Proc]:
    """Return the living processes whose environment carries this unit token."""
    found = (identify(pid) for pid in pids() if env_mark(pid) == token)
    return [proc for proc in found if proc is not None]


def descendants(ancestor: int) -> list[Proc]:
    """Return the living children of a process, their children, and so on."""
    children: dict[int, list[tuple[int, Stat]]] = {}
    for pid in pids():
        stat = read_stat(pid)
        if stat is not None:
            children.setdefault(stat.ppid, []).append((pid, stat))
    found, todo = [], [ancestor]
    while todo:
        for pid, stat in children.pop(todo.pop(), []):
            todo.append(pid)
            if not stat.gone:
                found.append(Proc(pid, stat.start))
    return found


def described(proc: Proc) -> dict[str, Any]:
    """Return a process that would not die as JSON values; state D waits inside the kernel."""
    stat = read_stat(proc.pid)
    state = stat.state if stat else "?"
    return {"pid": proc.pid, "start": proc.start, "cmdline": cmdline(proc.pid), "state": state}


def lineage() -> set[int]:
    """Return our own process number and those of our ancestors, which are never killed."""
    found, pid = {1}, os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        stat = read_stat(pid)
        pid = stat.ppid if stat else 0
    return found


def send(proc: Proc, number: int) -> bool:
    """Send a signal to this very process, never to a later one with its number; return whether it was there."""
    try:
        handle = os.pidfd_open(proc.pid)
    except ProcessLookupError:
        return False
    except OSError:  # a kernel before 5.3 has no process handles
        return _send_by_number(proc, number)
    try:
        if identify(proc.pid) != proc:
            return False
        signal.pidfd_send_signal(handle, number)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(handle)
    return True


def _send_by_number(proc: Proc, number: int) -> bool:
    """Send a signal by number after comparing the start time."""
    if identify(proc.pid) != proc:
        return False
    try:
        os.kill(proc.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def kill_all(
    find: Find,
    *,
    limit_s: float = KILL_LIMIT_S,
    strike: Callable[[], None] | None = None,
    between: Callable[[], None] | None = None,
) -> KillReport:
    """Kill what find returns until two looks in a row find nothing, or limit_s is over.

    strike: a way to kill all at once (a control group), used before the single signals.
    between: called after each round, so that a supervisor can reap and keep its pipe empty.
    """
    killed: dict[Proc, None] = {}
    spared, empty = lineage(), 0
    deadline, pause = time.monotonic() + limit_s, 0.002
    while True:
        left = [proc for proc in find() if proc.pid not in spared]
        empty = empty + 1 if not left else 0
        if empty == 2 or time.monotonic() > deadline:
            return KillReport(tuple(killed), tuple(left))
        if left and strike:
            strike()
        for proc in left:
            send(proc, signal.SIGKILL)
            killed[proc] = None
        if between:
            between()
        time.sleep(pause)  # also between two empty looks: a process in the middle of an exec has no environment
        pause = min(pause * 2, 0.1) if left else 0.002


def end_ours(root: Path, run_id: str | None = None, limit_s: float = KILL_LIMIT_S) -> KillReport:
    """Kill every process of a run's units (None: of all runs) on this node and say what was left."""
    return kill_all(lambda: [found.proc for found in ours(root, run_id)], limit_s=limit_s)
