# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: check_limit
short_description: Refuse a limit that leaves the controller out
description:
  - A run is resolved and closed on C(localhost). With C(--limit node1) Ansible skips those plays without a word, and nothing would run.
  - Which nodes the limit leaves to a run is decided when it is resolved.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.input_check
"""

EXAMPLES = r"""
- name: Check that the controller takes part
  hosts: all
  gather_facts: false
  tasks:
    - name: Refuse a limit that leaves the controller out
      enginelab.testcell.check_limit:
      run_once: true
"""

RETURN = r"""
problems:
  description: What is wrong with the limit.
  returned: failure
  type: list
  elements: dict
"""

from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.problems import Problem, describe, refusal
from ..plugin_utils.run.inventory import CONTROLLER
from ._inventory import scope


class ActionModule(ActionBase):
    """Fail when the plays on the controller would be skipped."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self.validate_argument_spec({})
        found = scope(task_vars or {}, self._loader)
        if found is None or CONTROLLER in found.names:
            return {"changed": False}
        message = f"leaves out {CONTROLLER}, which resolves and closes the run"
        meant = f"--limit '{CONTROLLER},{found.limit}'"
        problem = Problem("--limit", 0, 0, "ansible_limit", message, describe(found.limit), suggestion=meant)
        return {"failed": True, "msg": refusal([problem]), "problems": [problem.as_dict()], "usage": True}
