# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: write_health
short_description: Write how nodes are to a JSON file on the controller
description:
  - Writes one document over all nodes in one step; a reader sees the old file or the new one.
version_added: 0.1.0
author: Testcell contributors
options:
  path:
    description: The file on the controller.
    type: path
    required: true
  nodes:
    description: What M(enginelab.testcell.node_health) answered for each node.
    type: list
    elements: dict
    required: true
  scenarios:
    description: What the nodes were held against.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Write how the nodes are
  enginelab.testcell.write_health:
    path: /tmp/health.json
    nodes: "{{ nodes }}"
"""

RETURN = r"""
path:
  description: The file that was written.
  returned: success
  type: str
"""

import time
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.health import document
from ..plugin_utils.run import atomic
from ._inventory import plain

SPEC: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "nodes": {"type": "list", "elements": "dict", "required": True},
    "scenarios": {"type": "list", "elements": "str", "default": []},
}


class ActionModule(ActionBase):
    """Write the document of one round, plain JSON, in one step."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(SPEC)
        path, given = Path(str(args["path"])), plain(args)
        if not self._task.check_mode:
            atomic.write_json(path, document.of_round(1, time.time(), given["nodes"], given["scenarios"]))
        return {"changed": not self._task.check_mode, "path": str(path)}
