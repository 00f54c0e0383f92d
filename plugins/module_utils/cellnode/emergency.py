# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The harder tools of the second pass of a cleaning whose first pass failed.

They take what is proved to be the run's, as the first pass does: its label, its mark, its control groups, its folder. Whether
the node is clean then is not decided here, only by verify.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from . import cgroup, mounted, procs
from .cleaning import Json, Report
from .command import run, which
from .containers import in_parallel
from .context import Context
from .engine import Engine
from .errors import CellError
from .objects import Container

LIMIT_S = 60.0  # for everything that the engine is asked
CALL_S = 10.0  # for one question to the engine
KILL_S = 5.0
CHATTR_S = 60.0


def end_processes(ctx: Context, report: Report) -> None:
    """Kill the run's control groups at one blow and whatever carries its mark; name what stays, with its state."""
    run_id, before = ctx.needed_run.id, len(procs.ours(ctx.root, ctx.needed_run.id))
    for group in cgroup.groups_left(ctx.root, run_id):
        cgroup.thaw(group.path)
        cgroup.strike(group.path)
    left = procs.end_ours(ctx.root, run_id, KILL_S).survivors
    for proc in left:
        told = procs.described(proc)
        report.error("process_leak", f"process {proc.pid}", f"{told['cmdline']}: ignores KILL in state {told['state']}")
    report.removed["processes"] += max(0, before - len(left))
    ctx.clock.until(lambda: _remove_groups(ctx), 2.0)
    for group in cgroup.groups_left(ctx.root, run_id):
        report.error("process_leak", str(group.path), "the control group cannot be removed")


def _remove_groups(ctx: Context) -> bool:
    for group in cgroup.groups_left(ctx.root, ctx.needed_run.id):
        cgroup.remove(group)
    return not cgroup.groups_left(ctx.root, ctx.needed_run.id)


def remove_containers(
    ctx: Context, engine: Engine, find: Callable[[], list[Container]], deadline: float, report: Report
) -> list[str]:
    """Kill the containers' processes without the engine, remove the containers again, and return their images."""
    found = find()
    failed: dict[str, Json] = {}

    def once(one: Container) -> None:
        _in_time(ctx, deadline)
        with suppress(CellError):
            engine.unpause(one.id)
        kill_inside(one.id)
        engine.remove("containers", one.id, CALL_S)

    def gone() -> bool:
        failed.clear()
        failed.update(in_parallel(find(), once))
        return not find()

    if found:
        ctx.clock.until(gone, min(2 * CALL_S, max(0.0, deadline - ctx.clock.monotonic())), 0.2)
    left = {one.name: one.id for one in (find() if found else [])}
    for name, container in sorted(left.items()):
        error = failed.get(name) or {"error_kind": "docker_leftover", "error": "still there"}
        report.error(error["error_kind"], f"container {name}", error["error"] + _stuck(container))
    report.removed["containers"] += len({one.name for one in found} - set(left))
    return sorted({one.image_id for one in found})


def kill_inside(container: str) -> None:
    """Kill every process of a container, found by its control group."""
    for proc in _inside(container):
        procs.send(proc, signal.SIGKILL)


def _inside(container: str) -> list[procs.Proc]:
    found = (procs.identify(pid) for pid in procs.pids() if procs.container_of(pid) == container)
    return [proc for proc in found if proc is not None]


def _stuck(container: str) -> str:
    """Return the processes of a container that would not die, as an addition to a message."""
    told = [procs.described(proc) for proc in _inside(container)]
    return "".join(f"; pid {one['pid']} ({one['cmdline']}) is in state {one['state']}" for one in told[:5])


def detach(engine: Engine, network: str) -> None:
    """Take the ends of containers that are gone off a network; what is there stays, also a stranger's."""
    record = engine.call("GET", f"/networks/{network}") or {}
    there = {str(one["Id"]) for one in engine.containers()}
    for container in record.get("Containers") or {}:
        if container not in there:
            body = {"Container": container, "Force": True}
            engine.call("POST", f"/networks/{network}/disconnect", body=body)


def remove_named(
    ctx: Context, engine: Engine, kind: str, find: Callable[[], dict[str, str]], deadline: float, report: Report
) -> None:
    """Remove networks or volumes (find: id -> name) again, networks without the ends of containers that are gone."""
    found = find()
    failed: dict[str, CellError] = {}

    def gone() -> bool:
        failed.clear()
        for object_id, name in find().items():
            try:
                _in_time(ctx, deadline)
                if kind == "networks":
                    detach(engine, object_id)
                engine.remove(kind, object_id, CALL_S)
            except CellError as exc:
                failed[name] = exc
        return not find()

    if found and not ctx.clock.until(gone, min(3.0, max(0.0, deadline - ctx.clock.monotonic())), 0.2):
        for name in sorted(find().values()):
            error = failed.get(name) or CellError("docker_leftover", "still there")
            report.error(error.kind, f"{kind[:-1]} {name}", error.message)
    report.removed[kind] += len(set(found) - set(find())) if found else 0


def _in_time(ctx: Context, deadline: float) -> None:
    if ctx.clock.monotonic() > deadline:
        raise CellError("docker_timeout", f"not tried: the {LIMIT_S:g} s for emergency cleaning were over")


def loosen(folder: Path, environ: Mapping[str, str]) -> None:
    """Make a folder removable: mounts below it are taken off even while they are in use, and its files unprotected."""
    mounted.unmount(folder, environ, lazy=True)
    if folder.is_dir() and not folder.is_symlink() and which("chattr", environ):
        run(["chattr", "-R", "-f", "-i", "-a", "--", str(folder)], environ, CHATTR_S)
