# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lease step: take the node for this run, and reap what a dead owner left there."""

from __future__ import annotations

from typing import Any

from ..node.client import NodeError
from .cell import Cell, StepFailure


def acquire(cell: Cell) -> dict[str, Any]:
    """Take or keep the node's lease for this run and note its epoch; StepFailure lock_held names the holder."""
    _wait_between(cell)
    try:
        lease = cell.client.call("lease", action="acquire", ttl_s=cell.plan.lease_ttl_s)
    except NodeError as exc:
        if exc.kind != "lock_held":
            raise
        raise StepFailure("lock_held", _holder(cell.node, exc)) from None
    cell.shared.post(f"lease.{cell.node}", lease)
    cell.client.run = {**(cell.client.run or {}), "epoch": lease["epoch"]}
    result = {"epoch": lease["epoch"]}
    reaped = cell.client.call("reap")
    if any(reaped.get("removed", {}).values()):
        cell.event(f"removed what a dead run had left: {reaped['removed']}")
        result["reaped"] = reaped["removed"]
    return result


def release(cell: Cell) -> None:
    """Give the node back after its last case in this run."""
    if cell.case.index < cell.plan.last_use(cell.node) or cell.shared.read(f"lease.{cell.node}") is None:
        return
    cell.client.call("lease", action="release")


def _wait_between(cell: Cell) -> None:
    ended = cell.shared.read("case-ended")
    if ended and cell.case.wait_before_s > 0:
        cell.sleep(max(0.0, ended["t"] + cell.case.wait_before_s - cell.clock()))


def _holder(node: str, exc: NodeError) -> str:
    holder = exc.detail.get("holder") or exc.detail
    owner, run, left = holder.get("owner", "?"), holder.get("run", "?"), holder.get("expires_in_s")
    return f"node {node} is held by {owner} for run {run}, for at most {left} s more; wait for it or choose other nodes"
