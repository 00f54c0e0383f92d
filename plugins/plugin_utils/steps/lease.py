# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lease step: take the node for this run, and reap what a dead owner left there."""

from __future__ import annotations

from typing import Any

from ..node.client import NodeClient
from ..node.errors import NodeError
from ..run import owner
from .adopting import LEAVINGS
from .cell import LOST, Cell, StepFailure
from .waiting import Wait

LONGEST_TTL_S = 86_400.0
LIFT = "put it right, then `testcell cleanup --all --lift`"


def acquire(cell: Cell) -> dict[str, Any]:
    """Take or keep the node's lease for this run and note its epoch; StepFailure lock_held names the holder.

    Where the run waits for nodes, this ends when it has all those of the case.
    """
    _wait_between(cell)
    wait = Wait(cell)
    wait.for_turn()
    lease = _take(cell, wait)
    cell.client.run = {**(cell.client.run or {}), "epoch": lease["epoch"]}
    cell.shared.post(f"lease.{cell.node}", lease)
    if cell.board.read(f"{LEAVINGS}{cell.node}") is not None:
        _clear_earlier(cell)
    removed = _reap(cell)
    wait.for_the_others()
    return {"epoch": lease["epoch"], **({"reaped": removed} if removed else {})}


def _clear_earlier(cell: Cell) -> None:
    """Remove what this run left when it began the case before, under another controller."""
    found = cell.client.call("clean")
    if found["errors"]:
        raise StepFailure("cleanup_failed", f"{cell.node} has things of the case's earlier begin: {found['errors']}")
    cell.event(f"removed what the case had begun with before: {told(found['removed'])}")


def reap_if_due(cell: Cell) -> None:
    """Reap now where no engine answered when the node was taken: one that came up since may hold what a dead run left."""
    if cell.board.read(f"unreaped.{cell.node}"):
        _reap(cell)


def _reap(cell: Cell) -> dict[str, int]:
    """Remove what dead runs left and return it, empty when there was nothing; an absent engine is for prep to judge."""
    try:
        reaped = cell.client.call("reap")
    except NodeError as exc:
        if exc.kind != "docker_daemon_down":
            raise
        cell.board.post(f"unreaped.{cell.node}", {"message": str(exc)})
        return {}
    if not any(reaped.get("removed", {}).values()):
        return {}
    cell.event(f"removed what a dead run had left: {told(reaped['removed'])}")
    removed: dict[str, int] = reaped["removed"]
    return removed


def ttl_s(cell: Cell, more_s: float = 0.0) -> float:
    """Return for how long the node is the run's after each sign of life. more_s: of work that gives none.

    Where no link says meanwhile that the controller lives, that is longer than any node is waited for in the deploy.
    """
    of_deploy_s = cell.case.deployment_timeout_s + cell.case.startup_timeout_s
    return min(cell.plan.lease_ttl_s + (of_deploy_s if cell.client.line is None else 0) + more_s, LONGEST_TTL_S)


def _take(cell: Cell, wait: Wait) -> dict[str, Any]:
    """Acquire the lease; holders whose controller is proved dead are finished first, any other is waited for."""
    finished: set[tuple[str, int]] = set()
    while True:
        try:
            lease = cell.client.call("lease", action="acquire", ttl_s=ttl_s(cell), shared=cell.plan.shares(cell.node))
            _finish_dead(cell, [one for one in lease["holders"] if one["epoch"] != lease["epoch"]], finished)
            return lease
        except NodeError as exc:
            if "quarantine" in exc.detail:
                raise StepFailure(exc.kind, f"node {cell.node} is {exc}; {LIFT}") from None
            if exc.kind != "lock_held":
                raise
            holders, said = exc.detail.get("holders") or [], str(exc)
        if not _finish_dead(cell, holders, finished):
            wait.for_holders(holders, said)


def _finish_dead(cell: Cell, holders: list[dict[str, Any]], finished: set[tuple[str, int]]) -> bool:
    """Finish those holders that are proved dead, each once, and return whether there was one."""
    dead = [one for one in holders if (one["run"], one["epoch"]) not in finished and holder_is_dead(one)]
    for holder in dead:
        finished.add((holder["run"], holder["epoch"]))
        own_run = cell.client.run
        try:
            removed = finish(cell.client, holder)["removed"]
        finally:
            cell.client.run, cell.client.owner = own_run, cell.plan.owner
        cell.event(f"run {holder['run']} died here without cleaning; removed {told(removed)}")
    return bool(dead)


def holder_is_dead(holder: dict[str, Any]) -> bool:
    """Return whether the holder of a lease was controlled by a process of this machine that is gone."""
    return owner.is_dead(str(holder.get("owner", "")), owner.here(), owner.lives)


def finish(client: NodeClient, holder: dict[str, Any]) -> dict[str, Any]:
    """Clean up for a dead holder under its own epoch, so that nobody can come between, and give its lease back.

    Where somebody else has done that meanwhile, nothing is left to do.
    """
    client.run, client.owner = {"id": holder["run"], "epoch": holder["epoch"]}, str(holder["owner"])
    try:
        found = client.call("clean", dead=True)
        if not found["errors"]:
            client.call("lease", action="release")
    except NodeError as exc:
        if exc.kind != "lock_held":
            raise
        return {"removed": {}, "errors": []}
    return found


def told(removed: dict[str, int]) -> str:
    """Return what was removed in words: `3 containers, 1 networks`, or `nothing`."""
    return ", ".join(f"{count} {kind}" for kind, count in removed.items() if count) or "nothing"


def release(cell: Cell) -> None:
    """Give the node back after its last case in this run, and after each one where the run waits for nodes.

    After its last one the way to it ends as well, beside what is still to be done.
    """
    last = cell.case.index >= cell.plan.last_use(cell.node)
    if not (last or cell.plan.wait_s) or cell.shared.read(f"lease.{cell.node}") is None:
        return
    cell.client.call("lease", action="release")
    cell.shared.remove(f"lease.{cell.node}")
    if last:
        cell.client.leave()


def is_lost(cell: Cell, exc: Exception) -> bool:
    """Return whether a node that this run held has refused to work for it, since it belongs to another now.

    A refusal that names no holder is of a lock that somebody had for too long, on a slow disk for one.
    """
    refused = getattr(exc, "kind", "") == "lock_held" and "holder" in getattr(exc, "detail", {"holder": None})
    return refused and cell.shared.read(f"lease.{cell.node}") is not None


def lose(cell: Cell, exc: Exception) -> StepFailure:
    """Note that the node is not ours any more, so that nothing is done there, and return the failure that says so.

    A controller that did not renew its lease in time has been away, whether it was frozen or cut off.
    """
    cell.board.post(f"{LOST}{cell.node}", {"why": str(exc)})
    return StepFailure(
        "controller_died",
        f"this run was away for longer than its lease of {cell.plan.lease_ttl_s} s, and lost the node: {exc}",
    )


def _wait_between(cell: Cell) -> None:
    ended = cell.shared.read("case-ended")
    if ended and cell.case.wait_before_s > 0:
        cell.sleep(max(0.0, ended["t"] + cell.case.wait_before_s - cell.clock()))
