# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: report_case
short_description: Judge an attempt of a case and write its files
description:
  - Holds the collected data against the scenario's validity rules, gives the verdict, and writes the case's result files.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.case_step
"""

EXAMPLES = r"""
- name: Report the case
  enginelab.testcell.report_case:
    run_dir: "{{ testcell_run_dir }}"
    case_index: "{{ testcell_case_index }}"
  run_once: true
"""

RETURN = r"""
verdict:
  description: The attempt's verdict.
  returned: success
  type: str
reasons:
  description: Sentences that say why, the telling one first.
  returned: success
  type: list
  elements: str
"""

import time
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.run import plan as run_plan
from ..plugin_utils.run import reserve
from ..plugin_utils.steps import judging
from ..plugin_utils.steps.cell import case_board, run_board
from ._keeping import keeping

COLORS = {"pass": "green", "skipped": "cyan", "flaky": "yellow"}


class ActionModule(ActionBase):
    """Write what is known of an attempt and say its verdict."""

    _supports_check_mode = True
    _requires_connection = False

    @keeping("report")
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(
            {"run_dir": {"type": "path", "required": True}, "case_index": {"type": "int", "required": True}}
        )
        if self._task.check_mode:
            return {"changed": False, "verdict": "skipped", "reasons": ["check mode"]}
        plan = run_plan.load(Path(str(args["run_dir"])))
        case = plan.cases[int(args["case_index"])]
        board, shared = case_board(plan.boards, case.index), run_board(plan.boards)
        document = reserve.with_reserve(
            plan.run_dir, lambda: judging.report_case(plan, case, board, shared, time.time())
        )
        verdict, reasons = document["verdict"], document["reasons"]
        text = f"== {case.ref.title}: {verdict.upper()}{' - ' + reasons[0] if reasons else ''}"
        self._display.display(text, color=COLORS.get(verdict, "red"))
        return {"changed": True, "verdict": verdict, "reasons": reasons}
