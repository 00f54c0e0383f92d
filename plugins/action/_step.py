# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The adapter between Ansible and a step: connection, check mode, the journal, and the first failure of a case."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from ..plugin_utils.deploy.board import Board
from ..plugin_utils.node.client import NodeClient
from ..plugin_utils.node.errors import NodeError
from ..plugin_utils.node.line import Line
from ..plugin_utils.node.persistence import Persistence
from ..plugin_utils.run import plan as run_plan
from ..plugin_utils.steps.cell import RECONNECTED, Cell, StepFailure, case_board, run_board
from ..plugin_utils.verdict import failure
from ._node import NodeAction

SKIPPED = "the case is skipped"
NO_CASE = "no case is open"


class StepAction(NodeAction):
    """One step of a case on one node. Subclasses name the step and the function that does it.

    ALWAYS: the step also runs after the case has failed, as collecting and cleaning do.
    NEEDS_LEASE: the step is left out on a node that this run does not hold.
    OPTIONS: what the task gives.
    """

    STEP: ClassVar[str]
    ALWAYS: ClassVar[bool] = False
    NEEDS_LEASE: ClassVar[bool] = True
    OPTIONS: ClassVar[dict[str, Any]] = {
        "run_dir": {"type": "path", "required": True},
        "case_index": {"type": "int", "required": True},
    }

    def act(self, cell: Cell) -> dict[str, Any]:
        """Do the step and return its facts; raise StepFailure or NodeError."""
        raise AssertionError(f"{type(self).__name__} does not say what its step does")

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the step unless it has no part here, and keep its first failure for the case."""
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(self.OPTIONS)
        index = self.case_index(args)
        if index is None:
            return {"changed": False, "skipped": True, "skip_reason": NO_CASE}
        cell = self._cell(Path(str(args["run_dir"])), index, task_vars or {})
        reason = self.no_part(cell)
        if reason:
            return {"changed": False, "skipped": True, "skip_reason": reason}
        if self._task.check_mode:
            return {"changed": False, "msg": f"would run the step {self.STEP} of {cell.case.ref.title} on {cell.node}"}
        return self._recorded(cell)

    def case_index(self, args: dict[str, Any]) -> int | None:
        """Return the position of the case in the plan, None when there is none to do."""
        return int(args["case_index"])

    def no_part(self, cell: Cell) -> str:
        """Return why this step is left out here, "" when it runs."""
        if cell.node not in cell.case.nodes:
            return "the case does not use this node"
        if cell.board.read("skip"):
            return SKIPPED
        if self.NEEDS_LEASE and cell.shared.read(f"lease.{cell.node}") is None:
            return "this run does not hold the node"
        if not self.ALWAYS and cell.failed:
            return "the case has failed already"
        return ""

    def _recorded(self, cell: Cell) -> dict[str, Any]:
        began = cell.clock()
        cell.log("begin")
        try:
            detail = self.act(cell)
        except (StepFailure, NodeError) as exc:
            return self._failed(cell, exc, began)
        seconds = round(cell.clock() - began, 3)
        cell.log("end", ok=True, seconds=seconds, detail=detail)
        return {"changed": True, "step": self.STEP, "seconds": seconds, "detail": detail}

    def _failed(self, cell: Cell, exc: StepFailure | NodeError, began: float) -> dict[str, Any]:
        known = failure.of(
            exc.kind,
            message=str(exc),
            step=self.STEP,
            node=cell.node,
            service=getattr(exc, "service", ""),
            evidence=getattr(exc, "evidence", ()) or _evidence_of(exc),
            at=cell.clock(),
        ).as_dict()
        first = exc.kind != "dependency_failed" and cell.board.claim("failure", known)
        if not first:
            cell.board.claim(f"later-failure.{self.STEP}.{cell.node}", known)
        cell.log("end", ok=False, seconds=round(cell.clock() - began, 3), failure=known)
        return {"failed": True, "changed": True, "step": self.STEP, "msg": str(exc), "failure": known}

    def _cell(self, run_dir: Path, index: int, task_vars: dict[str, Any]) -> Cell:
        plan = run_plan.load(run_dir)
        case, node = plan.cases[index], str(task_vars["inventory_hostname"])
        board, shared = case_board(run_dir, index), run_board(run_dir)
        lease = shared.read(f"lease.{node}") or {}
        run = {"id": plan.run_id, "scenario": case.ref.scenario, "case": case.ref.case, "attempt": case.ref.attempt}
        client = self.client(task_vars, plan.owner, {**run, "epoch": lease.get("epoch")})
        client.engine = bool(case.services_on(node))
        client.line = self._line(client, shared, node)
        client.persist = Persistence(node, lambda: self._made_again(board, node), time.sleep)
        facts = board.read(f"facts.{node}") or {}
        return Cell(
            self.STEP, plan, case, node, client, board, shared, time.time, time.sleep, self._speaker(node), facts
        )

    def _line(self, client: NodeClient, shared: Board, node: str) -> Line | None:
        """Return the way that the run keeps open to the node, None where its connection cannot be kept open."""
        argv = self.serving_command(client.serving())
        return None if argv is None else Line(shared, node, argv, os.getppid())

    def _made_again(self, board: Board, node: str) -> None:
        """Drop the connection, so that a new one is made, and count that."""
        self.reconnect()
        count = 1 + (board.read(f"{RECONNECTED}{node}") or {"count": 0})["count"]
        board.post(f"{RECONNECTED}{node}", {"count": count})

    def _speaker(self, node: str) -> Callable[[str], None]:
        return lambda message: self._display.display(f"  {node:<12} {self.STEP:<8} {message}")


def _evidence_of(exc: StepFailure | NodeError) -> tuple[str, ...]:
    """Return the last lines of what a command on the node wrote, where the node sent them."""
    stderr = exc.detail.get("stderr", "") if isinstance(exc, NodeError) else ""
    return tuple(str(stderr).strip().splitlines()[-20:])
