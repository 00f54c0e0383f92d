# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation `quarantine`: keep runs off this node, note a failure of it, or let runs on it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import lease
from .context import Context
from .durable import replace_json
from .memory import FILE, Blame, Memory, Quarantine, load
from .params import number, text
from .request import choice

DEFAULT_HOURS, MOST_HOURS = 24.0, 24.0 * 365
LONGEST_REASON = 2000
Json = dict[str, Any]


def op_quarantine(ctx: Context, args: Json) -> Json:
    """Do one action and return {quarantine, blames} as they stand then.

    args.action: show; set (kind, reason, hours); blame (kind, hours), for a failure of the request's run; lift.
    """
    action = choice(args, "action", ("show", "set", "blame", "lift"), "show")
    now = ctx.clock.unix()
    if action == "show" or ctx.check:
        if not ctx.root.is_dir():
            return Memory().as_dict()
        with lease.opened(ctx.root) as root_fd:
            return load(root_fd, now).as_dict()
    with lease.changing(ctx.root) as root_fd:
        memory = _changed(load(root_fd, now), action, ctx, args)
        replace_json(root_fd, FILE, memory.as_dict())
    return memory.as_dict()


def _changed(memory: Memory, action: str, ctx: Context, args: Json) -> Memory:
    if action == "lift":
        return Memory()
    now, run, kind = ctx.clock.unix(), ctx.needed_run.id, text(args, "kind")
    hours = number(args, "hours", DEFAULT_HOURS, 0.0, MOST_HOURS)
    if action == "blame":
        return memory.blamed(Blame(run, kind, now), hours)
    reason = text(args, "reason")[:LONGEST_REASON]
    return Memory(Quarantine(kind, reason, run, now, now + hours * 3600), memory.blames)


OPS: dict[str, Callable[[Context, Json], Json]] = {"quarantine": op_quarantine}
