# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can still be had of a case whose run was cut short, before its nodes are cleaned."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from ..node.errors import NodeError
from ..run import owner
from ..run import plan as run_plan
from . import collect
from .adopting import why_lost
from .cell import Cell, case_board, run_board
from .log_copy import CHUNK_BYTES
from .script import LOG
from .soaking import Soaking
from .unit import BEGUN, ENDED, UNIT

NEVER_STARTED = "artifact_missing"


def open_case(run_dir: Path) -> int | None:
    """Return the index of the case that was begun and never reported, None when there is none."""
    plan = run_plan.load(run_dir)
    ended = run_board(plan.boards).notes("case-record.")
    for case in plan.cases:
        if str(case.index) not in ended and case_board(plan.boards, case.index).read("opened"):
            return case.index
    return None


def controller(run_dir: Path) -> str:
    """Return who controls the run, "" when that process is proved dead: only then may its test be ended."""
    who = run_plan.load(run_dir).owner
    return "" if owner.is_dead(who, owner.here(), owner.lives) else who


def is_collected(cell: Cell) -> bool:
    """Return whether the run itself has collected all from the node before it was cut short."""
    note = cell.board.read(f"collected.{cell.node}")
    return note is not None and not note.get("partial")


def gather(cell: Cell) -> dict[str, Any]:
    """End the test if it still runs, since files that change cannot be proved, and collect as the run would have."""
    ended = (cell.board.read("test") or {}).get("state") in ENDED
    if cell.node == cell.case.test.node and not ended:
        _end_test(cell)
    Soaking(cell).give_up()
    return collect.gather(cell)


def gather_unless_going(cell: Cell) -> dict[str, Any]:
    """Collect, but leave a test alone that a resumed run can go on with."""
    if cell.board.read(BEGUN) and _goes_on(cell):
        return {"goes_on": True}
    return gather(cell)


def _goes_on(cell: Cell) -> bool:
    """Return whether the test may be gone on with; of a soak's other nodes that cannot be told, and they measure on."""
    return bool(cell.case.soak) if cell.node != cell.case.test.node else not why_lost(cell)


def _end_test(cell: Cell) -> None:
    """Stop the script and write its whole log: the run may have been stopped between two pieces of it."""
    try:
        cell.client.call("supervise", action="kill", name=UNIT)
    except NodeError as exc:
        if exc.kind != NEVER_STARTED:
            raise
        return
    path, offset = cell.case_dir / LOG, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        while chunk := _piece(cell, offset):
            stream.write(base64.b64decode(chunk["log_b64"]))
            offset = chunk["offset"]


def _piece(cell: Cell, offset: int) -> dict[str, Any] | None:
    """Return the next piece of the log, None at its end."""
    part = {"offset": offset, "max_bytes": CHUNK_BYTES, "raw": cell.case.keep_raw_logs}
    answer = cell.client.call("supervise", action="poll", name=UNIT, wait_s=0, **part)
    return answer if answer.get("log_b64") else None
