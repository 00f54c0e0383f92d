# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: check_inventory
short_description: Refuse an inventory that is wrong
description:
  - Names every node whose host, port or user ssh could not take or would take for an option, nodes that are one machine, and what is
    wrong with a nodes.yml file, which Ansible would pass over.
version_added: 0.1.0
author: Testcell contributors
extends_documentation_fragment:
  - enginelab.testcell.input_check
"""

EXAMPLES = r"""
- name: Check the inventory
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Refuse nodes that are wrong
      enginelab.testcell.check_inventory:
"""

RETURN = r"""
problems:
  description: What is wrong.
  returned: failure
  type: list
  elements: dict
"""

from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.problems import refusal
from ..plugin_utils.run import inventory, inventory_files
from ._inventory import asked_of


class ActionModule(ActionBase):
    """Fail when the inventory names nodes that must not be handed to ssh."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self.validate_argument_spec({})
        asked = asked_of(task_vars or {}, self._loader, reach=False)
        wrong = [*asked["refused"], *inventory.examine(asked["hosts"]).problems]
        if not wrong:
            return {"changed": False}
        problems = inventory_files.placed(wrong, asked["sources"])
        return {"failed": True, "msg": refusal(problems), "problems": [problem.as_dict() for problem in problems]}
