# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The adapter between Ansible and the steps of a case: connection, check mode, the journal, and the first failure."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from ..plugin_utils.deploy.board import Board
from ..plugin_utils.deploy.placement import LOCAL
from ..plugin_utils.node.client import NodeClient
from ..plugin_utils.node.errors import NodeError
from ..plugin_utils.node.line import Line
from ..plugin_utils.node.persistence import Persistence
from ..plugin_utils.run import limits, owner, reserve, steady
from ..plugin_utils.run import plan as run_plan
from ..plugin_utils.steps import adopting, lease, secrets
from ..plugin_utils.steps.cell import LOST, RECONNECTED, Cell, StepFailure, case_board, run_board
from ..plugin_utils.verdict import failure
from ._node import NodeAction

SKIPPED = "the case is skipped"
NO_CASE = "no case is open"
ORPHAN = "the controller of the run is gone"


@dataclass(frozen=True)
class Step:
    """One step of a phase. act: does it and returns its facts, or raises StepFailure or NodeError.

    always: it also runs after the case has failed, as collecting and cleaning do. needs_lease: it is left out on a node
    that this run does not hold. closes: it also runs where the node's last case in this run is skipped.
    """

    name: str
    act: Callable[[Cell], dict[str, Any]]
    always: bool = False
    needs_lease: bool = True
    closes: bool = False


class PhaseAction(NodeAction):
    """A phase of a case on one node: steps one after the other, each with its own begin and end in the journal.

    A task costs more than most steps do, so steps that need no word from other nodes in between share one.
    OPTIONS: what the task gives.
    """

    STEPS: ClassVar[tuple[Step, ...]] = ()
    OPTIONS: ClassVar[dict[str, Any]] = {
        "run_dir": {"type": "path", "required": True},
        "case_index": {"type": "int", "required": True},
    }

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run each step unless it has no part here, and keep the first failure for the case."""
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(self.OPTIONS)
        index = self.case_index(args)
        if index is None:
            return {"changed": False, "skipped": True, "skip_reason": NO_CASE}
        cell = self._cell(Path(str(args["run_dir"])), index, task_vars or {})
        steps = self.steps(args)
        return _together([self._run(step, self._at(cell, step)) for step in steps])

    def steps(self, args: dict[str, Any]) -> tuple[Step, ...]:
        """Return the steps of the phase."""
        return self.STEPS

    def case_index(self, args: dict[str, Any]) -> int | None:
        """Return the position of the case in the plan, None when there is none to do."""
        return int(args["case_index"])

    def controller(self, plan: run_plan.RunPlan) -> int:
        """Return the process with which whatever is started for the run ends; not our parent, which may be gone already."""
        return owner.pid_of(plan.owner)

    def no_part(self, step: Step, cell: Cell) -> str:
        """Return why a step is left out here, "" when it runs."""
        if self._is_orphan(cell.plan):
            return ORPHAN
        if cell.node not in cell.case.nodes:
            return "the case does not use this node"
        if cell.board.read(f"{LOST}{cell.node}"):
            return "another run has the node now"
        if cell.board.read("skip") and not (step.closes and cell.case.index == cell.plan.last_use(cell.node)):
            return SKIPPED
        if step.needs_lease and cell.shared.read(f"lease.{cell.node}") is None:
            return "this run does not hold the node"
        failed = "" if step.always or not cell.failed else "the case has failed already"
        return failed or adopting.done_before(step.name, cell.board)

    def _is_orphan(self, plan: run_plan.RunPlan) -> bool:
        return os.getppid() != self.controller(plan)

    def _board(self, plan: run_plan.RunPlan, board: Board) -> Board:
        """Return a board on which this worker writes only while its controller lives."""
        return Board(board.folder, lambda: not self._is_orphan(plan))

    def _run(self, step: Step, cell: Cell) -> dict[str, Any]:
        reason = self.no_part(step, cell)
        if reason:
            return {"changed": False, "skipped": True, "skip_reason": reason}
        if self._task.check_mode:
            return {"changed": False, "msg": f"would run the step {step.name} of {cell.case.ref.title} on {cell.node}"}
        return self._recorded(step, cell)

    def _recorded(self, step: Step, cell: Cell) -> dict[str, Any]:
        began = cell.clock()
        try:
            unwritten = _begin(step, cell)
            detail = step.act(cell)
            if self._is_orphan(cell.plan):
                return {"changed": True, "skipped": True, "skip_reason": ORPHAN}
            if unwritten:
                raise unwritten
            seconds = round(cell.clock() - began, 3)
            cell.log("end", ok=True, seconds=seconds, detail=detail)
        except (StepFailure, NodeError) as exc:
            return self._failed(cell, exc, began)
        except Exception as exc:
            return self._failed(cell, _of_the_controller(cell, exc) or _broken(step, exc), began)
        return {"changed": True, "steps": {step.name: {"seconds": seconds, **detail}}}

    def _failed(self, cell: Cell, exc: StepFailure | NodeError, began: float) -> dict[str, Any]:
        """Keep a failure for the case; what fails because the controller has died is no failure of it."""
        if self._is_orphan(cell.plan):
            return {"changed": True, "failed": True, "msg": ORPHAN}
        if lease.is_lost(cell, exc):
            exc = lease.lose(cell, exc)
        known = failure.of(
            exc.kind,
            message=cell.without_secrets(str(exc)),
            step=cell.step,
            node=getattr(exc, "node", "") or cell.node,
            service=getattr(exc, "service", ""),
            evidence=tuple(map(cell.without_secrets, getattr(exc, "evidence", ()) or _evidence_of(exc))),
            at=cell.clock(),
        ).as_dict()
        result = {"failed": True, "changed": True, "msg": known["message"], "failure": known}
        try:
            reserve.with_reserve(cell.plan.run_dir, lambda: _note(cell, known, began))
        except OSError as refused:
            result["msg"] = f"{exc}; and {limits.told(refused)}"
        return result

    def _cell(self, run_dir: Path, index: int, task_vars: dict[str, Any]) -> Cell:
        plan = run_plan.load(run_dir)
        case, node = plan.cases[index], str(task_vars["inventory_hostname"])
        board, shared = self._board(plan, case_board(plan.boards, index)), self._board(plan, run_board(plan.boards))
        lease = shared.read(f"lease.{node}") or {}
        run = {"id": plan.run_id, "scenario": case.ref.scenario, "case": case.ref.case, "attempt": case.ref.attempt}
        client = self.client(task_vars, plan.owner, {**run, "epoch": lease.get("epoch")})
        client.engine = bool(case.services_on(node))
        client.secrets = secrets.values(plan, case)
        client.line = self._line(client, shared, node, self.controller(plan))
        client.reconnect = lambda: self._made_again(board, node)
        client.persist = Persistence(node, client.reconnect, time.sleep, time.monotonic)
        facts = board.read(f"facts.{node}") or {}
        clock = steady.clock()
        return Cell("", plan, case, node, client, board, shared, clock, time.sleep, _unheard, facts, client.secrets)

    def _at(self, cell: Cell, step: Step) -> Cell:
        """Return what the step of a phase is given; the client is the same, so that it keeps what a step has learned."""
        return replace(cell, step=step.name, say=self._speaker(cell.node, step.name))

    def _line(self, client: NodeClient, shared: Board, node: str, controller: int) -> Line | None:
        """Return the way that the run keeps open to the node, None where its connection cannot be kept open."""
        if not self.keeps_open():
            return None
        return Line(shared, node, lambda: self.kept_open(client.serving()), controller)

    def _made_again(self, board: Board, node: str) -> None:
        """Drop the connection, so that a new one is made, and count that."""
        self.reconnect()
        count = 1 + (board.read(f"{RECONNECTED}{node}") or {"count": 0})["count"]
        board.post(f"{RECONNECTED}{node}", {"count": count})

    def _speaker(self, node: str, step: str) -> Callable[[str], None]:
        return lambda message: self._display.display(f"  {node:<12} {step:<8} {message}")


def _begin(step: Step, cell: Cell) -> OSError | None:
    """Write that a step begins. What comes after a failure is done without a journal, too: then return why there is none."""
    try:
        cell.log("begin")
    except OSError as exc:
        if not step.always:
            raise
        return exc
    return None


def _note(cell: Cell, known: dict[str, Any], began: float) -> None:
    """Put a failure up for the case, and write that the step has ended by it."""
    first = known["error_kind"] != "dependency_failed" and cell.board.claim("failure", known)
    if not first:
        cell.board.claim(f"later-failure.{cell.step}.{cell.node}", known)
    cell.log("end", ok=False, seconds=round(cell.clock() - began, 3), failure=known)


def _unheard(_message: str) -> None:
    """Take what is said outside of a step."""


def _together(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the results of a phase's steps as one: the first failure and all their words, else what they have found."""
    steps = {name: found for result in results for name, found in result.get("steps", {}).items()}
    failed = [result for result in results if result.get("failed")]
    if failed:
        return {**failed[0], "msg": "; ".join(result["msg"] for result in failed), "steps": steps}
    if all(result.get("skipped") for result in results):
        return results[0]
    words = "; ".join(result["msg"] for result in results if result.get("msg"))
    return {
        "changed": any(result["changed"] for result in results),
        "steps": steps,
        **({"msg": words} if words else {}),
    }


def _broken(step: Step, exc: Exception) -> StepFailure:
    """Return the failure of a step that broke by a fault of our own."""
    trace = "".join(traceback.format_exception(exc)).splitlines()
    message = f"the step {step.name} broke: {type(exc).__name__}: {exc}"
    return StepFailure("internal_error", message, evidence=tuple(trace[-20:]))


def _of_the_controller(cell: Cell, exc: Exception) -> StepFailure | None:
    """Return the failure of a step to which this machine refused something: what a node refuses comes as NodeError."""
    kind, said = limits.kind_of(exc), limits.told(exc)
    if kind == "disk_full":
        said = f"{said}; {reserve.shortage(cell.plan.run_dir, reserve.BYTES)}"
        reserve.give_up(cell.plan.run_dir)
    return StepFailure(kind, said, node=LOCAL) if kind else None


def _evidence_of(exc: StepFailure | NodeError) -> tuple[str, ...]:
    """Return the last lines of what a command on the node wrote, where the node sent them."""
    stderr = exc.detail.get("stderr", "") if isinstance(exc, NodeError) else ""
    return tuple(str(stderr).strip().splitlines()[-20:])
