# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: validate_scenarios
short_description: Check every scenario and configuration file
description:
  - Loads all of the project strictly and names every problem at once; no node is contacted.
version_added: 0.1.0
author: Testcell contributors
options:
  project_dir:
    description: The project with scenarios/ and config/; empty means the current folder, else this checkout.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Check every scenario
  enginelab.testcell.validate_scenarios:
"""

RETURN = r"""
problems:
  description: Errors and warnings, each with file, line, column, key, message, got, allowed and suggestion.
  returned: always
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.problems import refusal
from ..plugin_utils.run import inputs, opening
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
        asked = opening.Asked(
            scenario="",
            environment=plain(variables.get("testcell_environment") or {}),
            variables=plain(_ours(variables)),
            **asked_of(variables, self._loader),
        )
        count, problems = inputs.validate(asked, project)
        found = [problem.as_dict() for problem in problems]
        if any(problem.is_error for problem in problems):
            return {"failed": True, "msg": refusal(problems), "problems": found}
        warnings = [problem.render() for problem in problems if problem.severity == "warning"]
        message = f"{count} scenario(s) checked: no error, {len(warnings)} warning(s)"
        return {"changed": False, "msg": "\n".join([message, *warnings]), "problems": found}


def _ours(task_vars: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in task_vars.items() if key.startswith("testcell_")}
