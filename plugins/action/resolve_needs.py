# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: resolve_needs
short_description: Resolve what scenarios need from nodes
description:
  - Loads the scenarios as a run does and places their services on the nodes of the inventory. Nothing is written.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.input_check
  - enginelab.testcell.input_check.project
options:
  scenario:
    description: A scenario's name, a comma list, or C(all).
    type: str
    required: true
  environment:
    description: Variables for compose files.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Resolve what the scenario needs
  enginelab.testcell.resolve_needs:
    scenario: 001_baseline
  register: needs
"""

RETURN = r"""
cases:
  description: The first case of each scenario, as in plan.json.
  returned: success
  type: list
  elements: dict
nodes:
  description: The nodes that the scenarios use, with C(connection) and C(python) for the controller.
  returned: success
  type: list
  elements: dict
problems:
  description: What is wrong.
  returned: failure
  type: list
  elements: dict
"""

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.vars import load_extra_vars

from ..plugin_utils.health import standard
from ..plugin_utils.problems import InputError, refusal
from ..plugin_utils.run import opening
from ._inventory import asked_of, plain, variables_of

SPEC: dict[str, dict[str, Any]] = {
    "project_dir": {"type": "str", "default": ""},
    "scenario": {"type": "str", "required": True},
    "environment": {"type": "dict", "default": {}},
}


class ActionModule(ActionBase):
    """Return one case of each scenario, or name everything that is wrong with them."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(SPEC)
        try:
            return self._resolve(plain(args), task_vars or {})
        except InputError as exc:
            problems = [problem.as_dict() for problem in exc.problems]
            return {"failed": True, "msg": refusal(exc.problems), "problems": problems, "usage": exc.usage}

    def _resolve(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        extra = plain(load_extra_vars(self._loader))
        asked = opening.Asked(
            **args,
            **asked_of(task_vars, self._loader, reach=False, extra=extra),
            variables=variables_of(task_vars, extra),
            overrides=extra,
            forks=sys.maxsize,
        )
        project = opening.project_dir(asked.project_dir, Path.cwd(), Path(__file__))
        decided = opening.decide(asked, project, time.time(), owner="")
        return {
            "changed": False,
            "cases": [asdict(case) for case in standard.first_cases(decided.cases)],
            "nodes": opening.hosts_of(decided, asked.hosts, sys.executable),
        }
