# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A case that goes on where its controller died: its test still runs under the node's supervisor, or has ended there.

It goes on only when every node of it is still held under the dead controller's epoch and the test is not lost;
otherwise it begins anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from ..deploy.board import Board
from ..node.errors import NodeError
from ..run.plan import CasePlan
from .cell import Cell
from .unit import BEGUN, ENDED, GOING, OWN_END, UNIT

# Notes of the case: how it stood when its controller died; what each node says; that it goes on.
RESUMABLE, ANSWER, ADOPTED = "resumable", "adoption.", "adopted"
# A node that is held for a case that begins anew and has things of its earlier beginning.
LEAVINGS = "leavings."
OWN = (RESUMABLE, ANSWER, ADOPTED, LEAVINGS, "warning.adopted")
AFTER_TEST = ("test", "soak-ended.", "collected.", "cleaned.", "verified.")
TEST, STOP = "test", "stop"
BEFORE_TEST = frozenset({"install", "lease", "prep", "upload", "deploy", "ready"})
DONE = {TEST: BEFORE_TEST, STOP: BEFORE_TEST | {"test", "collect"}}


def resumable(case: CasePlan, board: Board, shared: Board, last: float) -> dict[str, Any] | None:
    """Return how a case stood when its controller died: at (the step to go on with), ended, epochs, last; None to begin anew.

    ended: whether the test was known to have ended. last: when the dead controller was last heard of, in seconds since 1970.
    """
    if board.read(BEGUN) is None:
        return None
    ended = (board.read("test") or {}).get("state") in ENDED
    collected = all(board.read(f"collected.{node}") for node in case.nodes)
    leases = {node: shared.read(f"lease.{node}") or {} for node in case.nodes}
    epochs = {node: lease.get("epoch") for node, lease in leases.items()}
    return {"at": STOP if ended and collected else TEST, "ended": ended, "epochs": epochs, "last": last}


def carry_over(standing: Mapping[str, Any], before: Board, board: Board) -> None:
    """Put the notes of a resumable case on the board of the controller that goes on with it."""
    for name, note in before.notes().items():
        if not name.startswith(OWN) and not (standing["at"] == TEST and name.startswith(AFTER_TEST)):
            board.post(name, note)
    board.post(RESUMABLE, dict(standing))


def adopt(cell: Cell) -> dict[str, Any]:
    """Take the node over from the dead controller, and say whether what ran there can go on; why is empty when it can."""
    standing = cell.board.read(RESUMABLE)
    assert standing is not None
    try:
        why = "" if _is_done_with(cell, standing) else _taken_over(cell, standing)
    except NodeError as exc:
        why = str(exc)
    cell.board.post(f"{ANSWER}{cell.node}", {"why": why})
    return {"goes_on": not why, **({"why": why} if why else {})}


def _is_done_with(cell: Cell, standing: Mapping[str, Any]) -> bool:
    """Return whether the node was clean and given back already."""
    verified = cell.board.read(f"verified.{cell.node}") or {}
    given_back = cell.case.index >= cell.plan.last_use(cell.node) or standing["epochs"].get(cell.node) is None
    return bool(standing["at"] == STOP and given_back and verified.get("clean"))


def _taken_over(cell: Cell, standing: Mapping[str, Any]) -> str:
    """Take the lease on under the next epoch and return why the case cannot go on here, "" when it can."""
    epoch = standing["epochs"].get(cell.node)
    if epoch is None:
        return f"{cell.node} was not held"
    lease = cell.client.call("lease", action="succeed", epoch=epoch, ttl_s=cell.plan.lease_ttl_s)
    cell.shared.post(f"lease.{cell.node}", lease)
    cell.client.run = {**(cell.client.run or {}), "epoch": lease["epoch"]}
    if standing["at"] != TEST or cell.node != cell.case.test.node:
        return ""
    return why_lost(cell)


def why_lost(cell: Cell) -> str:
    """Return why the test of a case cannot be gone on with, asked on its node; "" when it can."""
    unit = cell.client.call("supervise", action="poll", name=UNIT, wait_s=0, max_bytes=1)
    if unit["state"] in (*GOING, *OWN_END):
        return ""
    return f"the test was ended as {unit['state']!r}: {unit.get('message') or 'no reason is known'}"


def settle(case: CasePlan, board: Board, shared: Board, now: float) -> str:
    """Decide whether a resumable case goes on, note it, and return what is to be told; "" for any other case.

    A case that does not go on has an empty board afterwards.
    """
    standing = board.read(RESUMABLE)
    if standing is None:
        return ""
    answers = board.notes(ANSWER)
    against = {node: answers.get(node, {"why": "it gave no answer"})["why"] for node in case.nodes}
    against = {node: why for node, why in against.items() if why}
    if not against:
        return _go_on(board, standing, now)
    shutil.rmtree(board.folder)
    for node in case.nodes:
        if shared.read(f"lease.{node}"):
            board.post(f"{LEAVINGS}{node}", {})
    return "begins anew: " + "; ".join(f"{node}: {why}" for node, why in against.items())


def _go_on(board: Board, standing: Mapping[str, Any], now: float) -> str:
    board.post(ADOPTED, {"at": standing["at"]})
    during = "the files of its test were to be collected" if standing.get("ended") else "its test was running"
    what = during if standing["at"] == TEST else "its nodes were to be cleaned"
    gap_s = max(0.0, now - standing["last"])
    told = (
        f"the controller died when {what}; another went on with it {gap_s:.0f} s later, and nobody watched it meanwhile"
    )
    board.post("warning.adopted", {"message": told})
    return told


def goes_on(board: Board) -> bool:
    """Return whether the case goes on where its dead controller left it."""
    return board.read(ADOPTED) is not None


def done_before(step: str, board: Board) -> str:
    """Return why a step has nothing to do: the dead controller of a case that goes on has done it; "" when it has not."""
    adopted = board.read(ADOPTED)
    return "the controller before this one has done it" if adopted and step in DONE[adopted["at"]] else ""
