# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation `supervise`: start, poll and kill a unit, and end all units of a run."""

from __future__ import annotations

import importlib
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import cgroup, logfile, procs, unit
from .beneath import case_parts, open_folder
from .cgroup import Group
from .context import Context
from .errors import CellError
from .params import text
from .procs import KILL_LIMIT_S, KillReport, Proc
from .request import choice
from .unit import Spec, Status

POLL_FIRST_S, POLL_LAST_S = 0.01, 0.1
MAX_WAIT_S = 600.0


@dataclass(frozen=True)
class EndReport:
    """What ending a run's units did. units: their names; gone: how many processes; survivors: those that would not go."""

    units: tuple[str, ...]
    gone: int
    survivors: tuple[Proc, ...]


def start(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Start a unit and return once its command runs; the same request again finds it and changes nothing."""
    spec = unit.parse_spec(args)
    if ctx.check:
        return {"started": False, "existing": False}
    for pieces in ((), *spec.dirs):
        os.close(open_folder(ctx.root, case_parts(ctx) + pieces, create=True))
    cwd_fd = unit.cwd_folder(ctx, spec)
    folder_fd = unit.open_unit(ctx, spec.name, create=True)
    try:
        with unit.locked(folder_fd) as lock_fd:
            known = _begun(ctx, folder_fd)
            if known is not None and not known.pid and unit.lost(known):
                end_token(ctx.root, known)  # nobody was told that it had begun
            elif known is not None and (known.live or known.pid):
                return _existing(known, spec)
            # A large part of the program, which only the node that runs the script needs.
            report = importlib.import_module(".launch", __package__).launch(ctx, spec, folder_fd, cwd_fd, lock_fd)
    finally:
        os.close(folder_fd)
        os.close(cwd_fd)
    if "error" in report:
        raise CellError(report["error"]["kind"], report["error"]["message"], unit=spec.name)
    return {"started": True, "existing": False}


def _begun(ctx: Context, folder_fd: int) -> Status | None:
    """Return a unit's status, None before its first start; one that is being started is waited for until it runs or is lost."""
    deadline = ctx.clock.monotonic() + unit.START_LIMIT_S
    known = unit.read_status(folder_fd)
    while known is not None and known.state == "starting" and not unit.lost(known) and ctx.clock.monotonic() < deadline:
        ctx.clock.sleep(0.02)
        known = unit.read_status(folder_fd)
    return known


def _existing(known: Status, spec: Spec) -> dict[str, Any]:
    """Return the answer for a unit that was started before; raise when that was another request."""
    if known.spec_sha256 != spec.digest:
        message = f"unit {spec.name!r} was already started with another request; a repeat is a new attempt"
        raise CellError("duplicate_task", message, unit=spec.name)
    return {"started": True, "existing": True}


def poll(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Return a unit's state and new output, see tail.poll; most who end units never read one."""
    return dict(importlib.import_module(".tail", __package__).poll(ctx, args))


def next_pause(pause_s: float) -> float:
    """Return the pause before the next look at a unit, after one of pause_s."""
    return min(pause_s * 1.5, POLL_LAST_S)


def current(folder_fd: int) -> Status:
    """Return a unit's status as it is now; a unit that nobody watches any more is lost."""
    status = unit.read_status(folder_fd)
    if status is not None and unit.lost(status):
        status = unit.read_status(folder_fd)  # the supervisor may have written its last word and gone in between
    if status is None:
        raise CellError("artifact_missing", "this unit was never started")
    return as_lost(status) if unit.lost(status) or _ended_by_shutdown(status) else status


def _ended_by_shutdown(status: Status) -> bool:
    """Return whether a unit was asked to end before the node was restarted: by the system as it went down, unless by us."""
    return status.error_kind == "cancelled" and status.boot_id != procs.boot_id()


def as_lost(status: Status) -> Status:
    """Return the status of a unit whose supervisor is gone."""
    if status.boot_id != procs.boot_id():
        kind, why = "node_unreachable", "the node was restarted while it ran"
    else:
        kind, why = "internal_error", f"its supervisor (pid {status.supervisor_pid}) died while it ran"
    return replace(status, state="lost", error_kind=kind, message=f"{status.name} is lost: {why}")


def age(ctx: Context, status: Status) -> float | None:
    """Return the seconds since a unit was started, None when that was before the last boot."""
    return round(ctx.clock.boottime() - status.started_boottime, 3) if status.boot_id == procs.boot_id() else None


def summary(status: Status) -> dict[str, Any]:
    """Return the parts of a status that callers see."""
    names = ("state", "exit_code", "signal", "error_kind", "message", "survivors_killed", "log_error", "pid")
    return {**{name: getattr(status, name) for name in names}, "unkillable": list(status.unkillable)}


def kill(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """End a unit and everything it started; return its last state. A unit that has ended stays as it is."""
    folder_fd = unit.open_unit(ctx, text(args, "name"))
    try:
        status = current(folder_fd)
        if not ctx.check:
            ask_to_end(status)
            status = await_end(ctx, folder_fd, status)
    finally:
        os.close(folder_fd)
    return summary(status)


def ask_to_end(status: Status) -> None:
    """Ask a living supervisor to end its work."""
    if status.live:
        procs.send(status.supervisor, signal.SIGTERM)


def await_end(ctx: Context, folder_fd: int, status: Status) -> Status:
    """Return the last status of a unit that was asked to end; end it by force when its supervisor does not."""
    deadline = ctx.clock.monotonic() + status.grace_s + KILL_LIMIT_S + 5.0
    while status.live and ctx.clock.monotonic() < deadline:
        ctx.clock.sleep(0.02)
        status = current(folder_fd)
    return end_by_force(ctx, folder_fd, status) if status.live else ended_if_lost(ctx, folder_fd, status)


def ended_if_lost(ctx: Context, folder_fd: int, status: Status) -> Status:
    """Return the status of a unit; one whose supervisor is gone without ending it is ended now."""
    forsaken = status.state == "lost" and status.ended_unix is None
    return end_by_force(ctx, folder_fd, status) if forsaken else status


def end_by_force(ctx: Context, folder_fd: int, status: Status) -> Status:
    """Kill a unit's supervisor if it is there, its control group and all that carries its mark; record the end."""
    if status.live:
        procs.send(status.supervisor, signal.SIGKILL)
    report = end_token(ctx.root, status)
    with suppress(OSError):
        logfile.seal(folder_fd)
    killed = status.survivors_killed + len(report.killed)
    last = replace(status, state="lost" if status.state == "lost" else "killed", survivors_killed=killed)
    if not last.error_kind:
        last = replace(last, error_kind="cancelled", message=f"{status.name} was stopped by force on request")
    stuck = tuple(procs.described(one) for one in report.survivors)
    seconds = age(ctx, status) if status.seconds is None else status.seconds
    last = replace(last, ended_unix=ctx.clock.unix(), seconds=seconds, unkillable=stuck)
    unit.write_status(folder_fd, last)
    return last


def end_token(root: Path, status: Status) -> KillReport:
    """Kill the processes of one unit by group and mark, and remove its group."""
    group = Group(Path(status.group)) if status.group else None
    report = procs.kill_all(
        lambda: [found.proc for found in procs.ours(root) if found.unit == status.token],
        strike=(lambda: cgroup.strike(group.path)) if group and group.path.exists() else None,
    )
    if group:
        cgroup.remove(group)
    return report


def end_units(ctx: Context, run_id: str) -> EndReport:
    """End every unit of a run, of all its cases and attempts, and every process that carries the run's mark."""
    folders = [unit.open_path(ctx, path) for path in unit.units_of_run(ctx, run_id)]
    try:
        before = [current(folder_fd) for folder_fd in folders]
        asked = any(status.ended_unix is None for status in before)
        living = len(procs.ours(ctx.root, run_id)) if asked else 0  # a look at all processes of the node
        for status in before:
            ask_to_end(status)
        after = [await_end(ctx, folder_fd, status) for folder_fd, status in zip(folders, before)]
    finally:
        for folder_fd in folders:
            os.close(folder_fd)
    report = procs.end_ours(ctx.root, run_id)
    for group in cgroup.groups_left(ctx.root, run_id) if ctx.root.exists() else ():
        cgroup.remove(group)
    ended = [new for old, new in zip(before, after) if old.ended_unix is None]
    killed = len(set(report.killed) - set(report.survivors))
    gone = max(living - len(report.survivors), killed)
    return EndReport(tuple(status.name for status in ended), gone, report.survivors)


ACTIONS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"start": start, "poll": poll, "kill": kill}


def op_supervise(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Do one action on a unit."""
    return ACTIONS[choice(args, "action", tuple(ACTIONS), "")](ctx, args)


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"supervise": op_supervise}
