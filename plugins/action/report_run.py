# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: report_run
short_description: Write the summary of a run
description:
  - Takes the verdicts of all cases together and writes summary.json, summary.md, report.html and junit.xml.
  - The summary is also in the job's artifacts as C(testcell), as M(ansible.builtin.set_stats) gives them.
version_added: 0.1.0
author: Testcell contributors
options:
  run_dir:
    description: The run's results folder on the controller, with plan.json in it.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Write the summary
  enginelab.testcell.report_run:
    run_dir: "{{ testcell_run_dir }}"
  register: report
"""

RETURN = r"""
summary:
  description: The content of summary.json.
  returned: success
  type: dict
line:
  description: The verdict in one line, with the path of the report.
  returned: success
  type: str
"""

import time
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.run import plan as run_plan
from ..plugin_utils.run import reserve
from ..plugin_utils.steps import judging
from ..plugin_utils.steps.cell import run_board
from ._keeping import keeping


class ActionModule(ActionBase):
    """Write the run's files and return the summary."""

    _requires_connection = False

    @keeping("report")
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec({"run_dir": {"type": "path", "required": True}})
        plan = run_plan.load(Path(str(args["run_dir"])))
        shared = run_board(plan.boards)
        summary = reserve.with_reserve(plan.run_dir, lambda: judging.report_run(plan, shared, time.time()))
        line = judging.line(summary, plan.run_dir)
        self._display.display(f"\n== {line}", color="green" if summary["exit_code"] == 0 else "red")
        artifacts = {"data": {"testcell": summary}, "per_host": False, "aggregate": False}  # as set_stats gives them
        return {"changed": True, "summary": summary, "line": line, "ansible_stats": artifacts}
