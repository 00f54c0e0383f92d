# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a unit ended, in the words of the failure taxonomy."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, replace

from .room import Fault

HINTS = {
    126: "the script or a command in it was found but could not be executed",
    127: "the script or a command in it was not found",
}
STOPS = {  # cause -> (state, error_kind)
    "timeout": ("timed_out", "test_timeout"),
    "requested": ("killed", "cancelled"),
    "lease": ("killed", "controller_died"),
    "taken": ("killed", "controller_died"),
    "folder": ("killed", "cancelled"),
}


@dataclass(frozen=True)
class Outcome:
    """The end of a command. exit_code or signal is None when it does not apply (both: it could not be ended)."""

    state: str
    exit_code: int | None
    signal: int | None
    error_kind: str
    message: str


@dataclass(frozen=True)
class Limits:
    """The limits a unit ran under, in seconds."""

    time_s: float
    grace_s: float


def judge(name: str, cause: str | None, wait_status: int | None, limits: Limits, unkillable: int = 0) -> Outcome:
    """Return the outcome of unit name. cause: why it was stopped, None when it ended by itself."""
    code = os.WEXITSTATUS(wait_status) if wait_status is not None and os.WIFEXITED(wait_status) else None
    number = os.WTERMSIG(wait_status) if wait_status is not None and os.WIFSIGNALED(wait_status) else None
    if cause is None:
        state, kind, message = "exited", *_own_end(name, code, number)
    else:
        state, kind = STOPS[cause]
        message = _stopped(name, cause, limits, number == signal.SIGKILL)
    if unkillable:
        kind = kind or "process_leak"
        message = "; ".join(filter(None, [message, f"{unkillable} of its processes could not be killed"]))
    return Outcome(state, code, number, kind, message)


def on_disk(end: Outcome, fault: Fault | None) -> Outcome:
    """Return the end of a command; one that failed where nothing could be written has failed by that."""
    if fault is None or end.error_kind != "test_failed":
        return end
    return replace(end, error_kind=fault.kind, message=f"{end.message}; the file system of its folder {fault.what}")


def _own_end(name: str, code: int | None, number: int | None) -> tuple[str, str]:
    """Return error kind and message of a command that ended by itself."""
    if code == 0:
        return "", ""
    if number is not None:
        hint = " that the supervisor did not send (out of memory?)" if number == signal.SIGKILL else ""
        return "test_failed", f"{name} was ended by signal {number} ({signal_name(number)}){hint}"
    hint = f": {HINTS[code]}" if code in HINTS else ""
    return "test_failed", f"{name} ended with exit status {code}{hint}"


def _stopped(name: str, cause: str, limits: Limits, forced: bool) -> str:
    """Return the message of a command that was stopped. forced: TERM did not end it."""
    why = {
        "timeout": f"it ran for {limits.time_s:g} s, its limit",
        "requested": "that was asked for",
        "lease": "its run's lease on this node ended and nobody renewed it",
        "taken": "another lease holds this node now",
        "folder": "its folder on this node was removed",
    }[cause]
    how = f", by KILL after {limits.grace_s:g} s of grace" if forced else ""
    return f"{name} was stopped{how}: {why}"


def signal_name(number: int) -> str:
    """Return the name of a signal, or its number for a real-time one."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
