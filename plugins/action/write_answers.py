# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: write_answers
short_description: Write what nodes answered to a JSON file on the controller
description:
  - Writes the list in one step; a reader sees the old file or the new one.
version_added: 0.1.0
author: Testcell contributors
options:
  path:
    description: The file on the controller.
    type: path
    required: true
  answers:
    description: What to write.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Write the answers
  enginelab.testcell.write_answers:
    path: /tmp/health.json
    answers: "{{ answers }}"
"""

RETURN = r"""
path:
  description: The file that was written.
  returned: success
  type: str
"""

import json
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.run import atomic


class ActionModule(ActionBase):
    """Write the answers, plain JSON, in one step."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        spec = {
            "path": {"type": "path", "required": True},
            "answers": {"type": "list", "elements": "dict", "required": True},
        }
        _, args = self.validate_argument_spec(spec)
        path = Path(str(args["path"]))
        if not self._task.check_mode:
            atomic.write_json(path, json.loads(json.dumps(args["answers"])))
        return {"changed": not self._task.check_mode, "path": str(path)}
