# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: collect_unfinished
short_description: Collect from a node what a run that was cut short has not
description:
  - Finds the case that was begun and never reported, ends its test, and brings evidence and artifacts home as the run would have.
  - Refused while the controller of the run lives, or where this machine cannot know that it is dead.
  - Left out where no case is open, where the case does not use the node, and where the run has collected already.
version_added: 0.1.0
author: Testcell contributors
options:
  run_dir:
    description: The run's results folder on the controller, with plan.json in it.
    type: path
    required: true
  spare:
    description: Whether a test that still runs, or has ended by itself, is left alone, since a resumed run can go on with it.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Collect what the run has not
  enginelab.testcell.collect_unfinished:
    run_dir: results/20260102_030405
"""

RETURN = r"""
steps:
  description:
    - What each step found, by its name, and its C(seconds).
    - C(collect), with files and bytes that came home, and
      what could not be had.
  returned: success
  type: dict
failure:
  description: What went wrong; see the failure taxonomy in the reference.
  returned: failure
  type: dict
"""

from pathlib import Path
from typing import Any, ClassVar

from ..plugin_utils.run import owner
from ..plugin_utils.run.plan import RunPlan
from ..plugin_utils.steps import salvage
from ..plugin_utils.steps.cell import Cell
from ._step import PhaseAction, Step


class ActionModule(PhaseAction):
    """Bring home what a run that was cut short has left."""

    STEPS = (Step("collect", salvage.gather, always=True),)
    SPARING = (Step("collect", salvage.gather_unless_going, always=True),)
    OPTIONS: ClassVar[dict[str, Any]] = {
        "run_dir": {"type": "path", "required": True},
        "spare": {"type": "bool", "default": False},
    }

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        _, args = self.validate_argument_spec(self.OPTIONS)
        who = salvage.controller(Path(str(args["run_dir"])))
        if who:
            return {"failed": True, "msg": f"the run is not proved dead; {who} controls it, so its test is left alone"}
        return super().run(tmp, task_vars)

    def steps(self, args: dict[str, Any]) -> tuple[Step, ...]:
        return self.SPARING if args["spare"] else self.STEPS

    def case_index(self, args: dict[str, Any]) -> int | None:
        return salvage.open_case(Path(str(args["run_dir"])))

    def controller(self, plan: RunPlan) -> int:
        return owner.controller()

    def no_part(self, step: Step, cell: Cell) -> str:
        return super().no_part(step, cell) or ("collected already" if salvage.is_collected(cell) else "")
