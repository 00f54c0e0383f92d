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

from ..plugin_utils.problems import InputError
from ..plugin_utils.run import opening
from ..plugin_utils.run.inventory import entries
from ..plugin_utils.scenario import catalog, run_settings
from ..plugin_utils.scenario.known import Known
from ._inventory import hosts, plain


class ActionModule(ActionBase):
    """Return all problems of the project; fail when one of them is an error."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec({"project_dir": {"type": "str", "default": ""}})
        project = opening.project_dir(str(args["project_dir"]), Path.cwd(), Path(__file__))
        asked = opening.Asked(scenario="", hosts=hosts(task_vars or {}), variables=plain(_ours(task_vars or {})))
        try:
            stack = opening.layers_of(asked, project)
            names = [node.name for node in entries(asked.hosts)]
            problems = catalog.validate(
                project / run_settings.scenarios_root(stack), stack, Known(tuple(names or ["local"]))
            )
        except InputError as exc:
            problems = list(exc.problems)
        errors = [problem for problem in problems if problem.is_error]
        found = [problem.as_dict() for problem in problems]
        if errors:
            return {"failed": True, "msg": "\n".join(problem.render() for problem in problems), "problems": found}
        return {"changed": False, "msg": f"no error and {len(problems)} warning(s)", "problems": found}


def _ours(task_vars: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in task_vars.items() if key.startswith("testcell_")}
