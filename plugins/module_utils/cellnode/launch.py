# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting a unit's supervisor, with all that it needs to know."""

from __future__ import annotations

from typing import Any

from . import child, daemon, labelling, lease, spawn, unit
from .beneath import case_parts
from .context import Context
from .deadman import DeadMan
from .procs import MARK
from .unit import Spec, Status


def launch(ctx: Context, spec: Spec, folder_fd: int, cwd_fd: int, lock_fd: int) -> dict[str, Any]:
    """Start the supervisor of a unit and return its report once the command runs, or what kept it from that as `error`."""
    supervisor = daemon.Supervisor(_plan(ctx, spec, folder_fd, cwd_fd, lock_fd))
    return spawn.launch(supervisor.run, {folder_fd, cwd_fd, lock_fd})


def _plan(ctx: Context, spec: Spec, folder_fd: int, cwd_fd: int, lock_fd: int) -> daemon.Plan:
    """Return what the supervisor needs to know."""
    run, now = ctx.needed_run, lease.present(ctx)
    token = unit.new_token(ctx.root, run, spec.name)
    status = Status(
        name=spec.name,
        token=token,
        state="starting",
        spec_sha256=spec.digest,
        boot_id=now.boot_id,
        started_unix=now.unix,
        started_boottime=now.boottime,
        timeout_s=spec.timeout_s,
        grace_s=spec.grace_s,
        argv=spec.argv,
    )
    guard = None if run.epoch is None else DeadMan(ctx.root, run.id, run.epoch, lambda: lease.present(ctx))
    env = child.environment(ctx.environ, dict(spec.env), {MARK: token})
    env["PATH"] = labelling.put(folder_fd, ctx.case_dir / "unit" / spec.name, run.id, env["PATH"])
    cwd = ctx.root.joinpath(*case_parts(ctx), *spec.cwd)
    return daemon.Plan(spec, ctx.root, folder_fd, cwd_fd, lock_fd, cwd, env, guard, status)
