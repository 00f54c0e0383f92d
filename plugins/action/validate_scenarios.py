# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: validate_scenarios
short_description: Check every scenario and configuration file
description:
  - Loads all of the project strictly.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.input_check
  - enginelab.testcell.input_check.project
"""

EXAMPLES = r"""
- name: Check every scenario
  enginelab.testcell.validate_scenarios:
"""

RETURN = r"""
msg:
  description: How many scenarios were checked, and what is to be said of them.
  returned: always
  type: str
problems:
  description: Errors, warnings and notes.
  returned: always
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.problems import refusal
from ..plugin_utils.run import inputs, opening, run_variables
from ..plugin_utils.run.inventory_files import VARIABLES
from ._inventory import asked_of, plain


class ActionModule(ActionBase):
    """Return all problems of the project; fail when one of them is an error."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec({"project_dir": {"type": "str", "default": ""}})
        project = opening.project_dir(str(args["project_dir"]), Path.cwd(), Path(__file__))
        variables = task_vars or {}
        ours = plain({key: value for key, value in variables.items() if key.startswith("testcell_")})
        fields, wrong = run_variables.read(ours, VARIABLES)
        asked = opening.Asked(scenario="", variables=ours, wrong=wrong, **fields, **asked_of(variables, self._loader))
        count, problems = inputs.validate(asked, project)
        found = [problem.as_dict() for problem in problems]
        if any(problem.is_error for problem in problems):
            return {"failed": True, "msg": refusal(problems), "problems": found}
        message = "\n".join([f"{count} scenario(s) checked: no error", *(problem.render() for problem in problems)])
        return {"changed": False, "msg": message, "problems": found}
