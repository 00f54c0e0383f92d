# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease of a run whose controller may be gone: renewed for as long as the soak's load goes on."""

from __future__ import annotations

import os
from typing import Any

from .. import lease, procs, unit
from ..beneath import case_parts, folder
from ..context import Context
from ..durable import read_json
from ..errors import CellError

BEGIN = "begin.json"
FOLDER = "soak"
# On a node without the test nobody tells when that ends: its load is over after the time that it was given, and a moment.
AFTER_S = 60.0


def begun(ctx: Context) -> dict[str, Any] | None:
    """Return what is noted of the begin of the load on this node, None where it has not begun since the last boot."""
    try:
        with folder(ctx.root, case_parts(ctx, FOLDER)) as folder_fd:
            noted = read_json(folder_fd, BEGIN)
    except (CellError, ValueError):
        return None
    return noted if isinstance(noted, dict) and noted.get("boot_id") == procs.boot_id() else None


def loading(ctx: Context, test_unit: str) -> bool:
    """Return whether the load goes on. test_unit: the unit that loads from this node, "" where another node does."""
    if test_unit:
        return _lives(ctx, test_unit)
    noted = begun(ctx)
    return noted is not None and ctx.clock.boottime() < noted["b"] + noted["duration_s"] + AFTER_S


def _lives(ctx: Context, name: str) -> bool:
    try:
        folder_fd = unit.open_unit(ctx, name)
    except CellError:
        return False
    try:
        status = unit.read_status(folder_fd)
    finally:
        os.close(folder_fd)
    return status is not None and status.live and not unit.lost(status)


def hold(ctx: Context, test_unit: str) -> None:
    """Renew the lease under which the case's work goes on, where the load does and half of the lease's time is over."""
    if loading(ctx, test_unit):
        lease.keep(ctx)
