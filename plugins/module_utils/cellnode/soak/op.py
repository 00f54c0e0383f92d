# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation `soak`: what a node measures beside the test of a soak is begun, looked after and ended."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .. import lease, main, procs, supervise, unit
from ..beneath import FILE_FLAGS, case_parts, folder
from ..context import Context
from ..durable import replace_json
from ..params import number
from ..request import choice
from .asked import LONGEST_S, packed, parse
from .holding import BEGIN, FOLDER, begun
from .lines import BLOCK_BYTES, NAME

UNIT = "soak-samples"
# Beside the load there is what comes before and after it: the sampler is ended by whoever collects the case's evidence.
MORE_S = 7200.0
GRACE_S = 5.0
LOG_CAP_BYTES = 1 << 20


def begin(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Start the samples of a case and return {started, existing}; the same request again, under any epoch, changes nothing.

    args: interval_s, duration_s, services, reports ({service, path}), metrics ({service, port, path, names}), test_unit.
    """
    asked = parse(args)
    program = [sys.executable, "-I", "-S", "-E", os.path.abspath(sys.argv[0]), main.SOAK]
    root, run = str(ctx.root), ctx.needed_run
    argument = packed(asked, root, run)
    limits = {
        "timeout_s": min(LONGEST_S, asked.duration_s + MORE_S),
        "grace_s": GRACE_S,
        "log_cap_bytes": LOG_CAP_BYTES,
        "asked": packed(asked, root, replace(run, epoch=None)),
    }
    return supervise.start(ctx, {"name": UNIT, "argv": [*program, argument], "dirs_rel": [FOLDER], **limits})


def mark(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Note that the load begins now, or began ago_s ago, and return {t, b, boot_id, duration_s, run_b}; what is noted stays.

    run_b: since when the node is this run's, None where that is not known; what is older is of another run.
    """
    duration_s = number(args, "duration_s", 0.0, 0.0, LONGEST_S)
    noted = begun(ctx)
    if noted is None:
        ago_s = number(args, "ago_s", 0.0, 0.0, LONGEST_S)
        moment = {"t": round(ctx.clock.unix() - ago_s, 3), "b": round(ctx.clock.boottime() - ago_s, 3)}
        clock = {**moment, "boot_id": procs.boot_id()}
        noted = {**clock, "duration_s": duration_s, "run_b": lease.taken(ctx)}
        if not ctx.check:
            with folder(ctx.root, case_parts(ctx, FOLDER), create=True) as folder_fd:
                replace_json(folder_fd, BEGIN, noted)
    return noted


def status(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Return {unit, lines, bytes, interval_s, age_s, began}; raise artifact_missing where nothing was begun.

    unit: its state; age_s: since the last whole line was written, interval_s: from one line to the next, both None where
    there is no line; began: what `mark` noted, None before.
    """
    folder_fd = unit.open_unit(ctx, UNIT)
    try:
        state = supervise.summary(supervise.current(folder_fd))
    finally:
        os.close(folder_fd)
    with folder(ctx.root, case_parts(ctx, FOLDER)) as soak_fd:
        lines, size, last = _samples(soak_fd)
    age_s = round(max(0.0, ctx.clock.boottime() - last["b"]), 3) if last else None
    told = {"lines": lines, "bytes": size, "interval_s": last.get("i"), "age_s": age_s}
    return {"unit": state, **told, "began": begun(ctx)}


def _samples(soak_fd: int) -> tuple[int, int, dict[str, Any]]:
    """Return how many lines and bytes of samples there are, and the last line, {} where there is none."""
    try:
        stream = os.fdopen(os.open(NAME, FILE_FLAGS, dir_fd=soak_fd), "rb")
    except FileNotFoundError:
        return 0, 0, {}
    with stream:
        lines = sum(block.count(b"\n") for block in iter(lambda: stream.read(BLOCK_BYTES), b""))
        size = stream.tell()
        stream.seek(max(0, size - BLOCK_BYTES))
        whole = stream.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
    return lines, size, json.loads(whole) if whole else {}


def end(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """End the samples and return their last status."""
    supervise.kill(ctx, {"name": UNIT})
    return status(ctx, args)


ACTIONS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {
    "begin": begin,
    "mark": mark,
    "status": status,
    "end": end,
}


def op_soak(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Do one action on the samples of a soak."""
    return ACTIONS[choice(args, "action", tuple(ACTIONS), "")](ctx, args)


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"soak": op_soak}
