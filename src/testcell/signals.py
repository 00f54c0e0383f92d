# SPDX-License-Identifier: MIT

"""Signals while Ansible runs: passed on to it once, with a limit on how long it may take to end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopper:
    """Passes the first signal on to the child's process group, as one that it minds; `overdue` says when the child must be killed.

    The child ends itself on the first signal. A second signal, or grace_s seconds after the first, makes it overdue.
    sessions: those of the child and its workers when the signal came, for `kill_sessions` once the child is gone.
    """

    def __init__(self, find_child: Callable[[], int | None], grace_s: float, clock: Callable[[], float]) -> None:
        self.received: list[int] = []
        self.sessions: set[int] = set()
        self._find_child = find_child
        self._grace_s = grace_s
        self._clock = clock
        self._deadline: float | None = None
        self._before: dict[int, Any] = {}

    @property
    def signal(self) -> int:
        """Return the first signal that came, 0 when none did."""
        return self.received[0] if self.received else 0

    def overdue(self) -> bool:
        """Decide whether the child has had its time to end, or was asked twice."""
        return len(self.received) > 1 or (self._deadline is not None and self._clock() >= self._deadline)

    def __enter__(self) -> Stopper:
        for number in HANDLED:
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.received.append(number)
        if len(self.received) == 1:
            self._deadline = self._clock() + self._grace_s
            child = self._find_child()
            if child is not None:
                self.sessions |= _sessions(child)
                _send(child, signal.SIGTERM if number == signal.SIGHUP else number)  # Ansible takes no notice of SIGHUP
                self.sessions |= _sessions(child)


def _send(child: int, number: int) -> None:
    try:
        os.killpg(child, number)
    except (ProcessLookupError, PermissionError):
        return


def children(parent: int) -> set[int]:
    """Return the direct children of a process, as /proc knows them."""
    return {pid for pid, above in _parents().items() if above == parent}


def session_leader(parent: int, before: set[int]) -> int | None:
    """Return the child that leads a session of its own and was not there before, None while there is none."""
    for pid in sorted(children(parent) - before):
        try:
            if os.getsid(pid) == pid:
                return pid
        except ProcessLookupError:
            continue
    return None


def descendants(root: int) -> list[int]:
    """Return all processes below root, those of other sessions too."""
    parents = _parents()
    found, pending = [], [root]
    while pending:
        above = pending.pop()
        below = [pid for pid, parent in parents.items() if parent == above]
        found += below
        pending += below
    return found


def kill_tree(root: int, wait_s: float = 5.0) -> None:
    """Kill root and everything below it, and wait until they are gone or zombies."""
    _kill([root, *descendants(root)], wait_s)


def kill_sessions(sessions: set[int], wait_s: float = 5.0) -> list[int]:
    """Kill whatever is left of these sessions, and return the processes; Ansible may leave a task's process behind."""
    left = []
    for name in os.listdir("/proc"):
        fields = _stat(int(name)) if name.isdigit() else []
        if fields and int(fields[3]) in sessions and fields[0] != "Z":
            left.append(int(name))
    _kill(left, wait_s)
    return left


def _kill(doomed: list[int], wait_s: float) -> None:
    for pid in doomed:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    end = time.monotonic() + wait_s
    while time.monotonic() < end and any(_state(pid) not in ("", "Z") for pid in doomed):
        time.sleep(0.02)


def _sessions(child: int) -> set[int]:
    """Return the sessions of a child that leads one and of everything below it, but never our own."""
    found = set()
    for pid in (child, *descendants(child)):
        fields = _stat(pid)
        if fields:
            found.add(int(fields[3]))
    return found - {os.getsid(0), 0}


def _parents() -> dict[int, int]:
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = _stat(int(name))
            if fields:
                found[int(name)] = int(fields[1])
    return found


def _state(pid: int) -> str:
    fields = _stat(pid)
    return fields[0] if fields else ""


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the name (state, parent, ...), [] when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()
    except OSError:
        return []
