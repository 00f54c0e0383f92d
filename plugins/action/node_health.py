# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: node_health
short_description: Facts and problems of a node
description:
  - Asks the node's program for the engine, Compose, disks, clock, GPUs, ports, the lease, and what dead runs have left.
version_added: 0.1.0
author: Testcell contributors
options:
  min_free_bytes:
    description: Free space in bytes below which a disk is a problem.
    type: int
    default: 1073741824
"""

EXAMPLES = r"""
- name: Ask each node how it is
  enginelab.testcell.node_health:
  register: answer
"""

RETURN = r"""
node:
  description: C(name), C(ok), C(problems) and C(facts) of the node.
  returned: always
  type: dict
"""

import time
from typing import Any

from ..plugin_utils.node import health
from ..plugin_utils.node.client import NodeError
from ..plugin_utils.run.inventory import is_enabled
from ._node import NodeAction


class ActionModule(NodeAction):
    """Return what the node says of itself; a node that does not answer is a result too."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec({"min_free_bytes": {"type": "int", "default": 1 << 30}})
        variables = task_vars or {}
        name = str(variables["inventory_hostname"])
        if not is_enabled(variables):
            disabled = {"level": "warning", "what": "disabled", "detail": "testcell_enabled is false; it was not asked"}
            return {"changed": False, "node": {"name": name, "ok": True, "problems": [disabled], "facts": None}}
        asked = time.time()
        try:
            facts = self.client(variables, "health").call("facts", paths=[], deep=True)
        except NodeError as exc:
            problem = {"level": "error", "what": exc.kind, "detail": str(exc)}
            return {"changed": False, "node": {"name": name, "ok": False, "problems": [problem], "facts": None}}
        facts["clock_offset_s"] = round(facts["time_unix"] - (asked + time.time()) / 2, 3)
        problems = health.assess(facts, int(args["min_free_bytes"]))
        ok = not any(problem["level"] == "error" for problem in problems)
        return {"changed": False, "node": {"name": name, "ok": ok, "problems": problems, "facts": facts}}
