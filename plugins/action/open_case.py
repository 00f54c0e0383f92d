# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: open_case
short_description: Decide whether a case of the plan is run
description:
  - Where the scenario allows it, a repeat is moved away from nodes to which an earlier attempt was lost.
  - A case is left out after a failed one unless the run goes on after failures, a repeat where the attempt before passed or where
    it cannot help, and any case on a node that was left dirty.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
"""

EXAMPLES = r"""
- name: Open the first case
  enginelab.testcell.open_case:
    run_dir: "{{ testcell_run_dir }}"
    case_index: 0
  run_once: true
"""

RETURN = r"""
skip:
  description: Why the case is left out; empty when it is run.
  returned: always
  type: str
"""

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.run import ansible_log, journal, reserve
from ..plugin_utils.run import plan as run_plan
from ..plugin_utils.run.plan import CasePlan, RunPlan
from ..plugin_utils.steps import adopting, opening, resuming
from ..plugin_utils.steps.cell import case_board, run_board
from ._keeping import keeping


class ActionModule(ActionBase):
    """Note on the case's board whether it is skipped, and why."""

    _supports_check_mode = True
    _requires_connection = False

    @keeping("open")
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            {"run_dir": {"type": "path", "required": True}, "case_index": {"type": "int", "required": True}}
        )
        run_dir = Path(str(args["run_dir"]))
        reason = reserve.with_reserve(run_dir, lambda: self._open(run_dir, int(args["case_index"])))
        return {"changed": False, "skip": reason}

    def _open(self, run_dir: Path, index: int) -> str:
        """Open the case, or go on with it, and return why it is left out."""
        plan = run_plan.load(run_dir)
        case = plan.cases[index]
        board, shared = case_board(plan.boards, case.index), run_board(plan.boards)
        resumed = adopting.settle(case, board, shared, time.time())
        if resumed and adopting.goes_on(board):
            _note(plan, case, resumed, step="adopt")
            self._title(case, f" - {resumed}")
            return ""
        if resumed:
            resuming.put_aside(plan, case)
            self._display.display(f"  {case.ref.title} {resumed}")
        case, reason, told = opening.opened(plan, case, shared)
        if told:
            run_plan.save(replace(plan, cases=(*plan.cases[: case.index], case, *plan.cases[case.index + 1 :])))
            board.post("warning.set-aside", {"message": told})
            self._display.display(f"  {told}")
        board.post("opened", {"t": time.time()})
        full = "" if reason else opening.no_room(plan, ansible_log.files(logging.root.handlers))
        reason = reason or full
        if reason:
            board.post("skip", {"reason": reason, "error_kind": "disk_full" if full else ""})
        _note(plan, case, told if told else resumed or (reason and f"skipped: {reason}"))
        self._title(case, f" - skipped: {reason}" if reason else "")
        return reason

    def _title(self, case: CasePlan, more: str) -> None:
        self._display.display(f"\n== {case.ref.title}{more}", color="bright blue")


def _note(plan: RunPlan, case: CasePlan, message: str, step: str = "open") -> None:
    """Write into the journal that a case begins or goes on."""
    ref = case.ref
    entry = {"t": time.time(), "step": step, "phase": "event", "scenario": ref.scenario, "case": ref.case}
    journal.append(plan.run_dir, {**entry, "attempt": ref.attempt, "message": message}, synced=False)
