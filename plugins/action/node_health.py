# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: node_health
short_description: How a node is
description:
  - Asks the node's program for the engine, Compose, disks, clock, GPUs, ports, the lease, the services of the run that goes on there,
    and what dead runs have left.
  - No lease is taken or renewed, and nothing is changed on the node, except that its program is left there.
version_added: 0.1.0
author: Testcell contributors
options:
  cases:
    description: What the node is held against, from M(enginelab.testcell.resolve_needs).
    type: list
    elements: dict
    default: []
  min_free_bytes:
    description: Free space in bytes that each disk must have.
    type: int
    default: 1073741824
  rounds:
    description: How often the node is asked; 0 is until nobody looks any more.
    type: int
    default: 1
  interval_s:
    description: Seconds from one round to the next, 1 to 3600.
    type: int
    default: 5
  within_s:
    description: Seconds that the node has for an answer, where its connection is kept open.
    type: int
    default: 20
  folder:
    description: A folder on the controller that gets the newest answer; once it is gone the node is not asked any more.
    type: path
    required: false
attributes:
  check_mode:
    description: Runs in check mode as it always does.
    support: full
"""

EXAMPLES = r"""
- name: Ask each node how it is
  enginelab.testcell.node_health:
  register: answer
"""

RETURN = r"""
msg:
  description: How the node is, in one line; empty when it cannot work, or when each round was said already.
  returned: always
  type: str
node:
  description: How the node is, with the fields that the reference names.
  returned: always
  type: dict
"""

import time
from pathlib import Path
from typing import Any

from ..plugin_utils.health import document, latest, look, pace, standard, words
from ..plugin_utils.node.own_line import OnceMore, OwnLine
from ..plugin_utils.run import owner
from ..plugin_utils.run.inventory import is_enabled
from ._inventory import plain
from ._node import NodeAction

SPEC: dict[str, dict[str, Any]] = {
    "cases": {"type": "list", "elements": "dict", "default": []},
    "min_free_bytes": {"type": "int", "default": 1 << 30},
    "rounds": {"type": "int", "default": 1},
    "interval_s": {"type": "int", "default": 5},
    "within_s": {"type": "int", "default": look.ANSWER_WITHIN_S},
    "folder": {"type": "path"},
}


class ActionModule(NodeAction):
    """Return what the node says of itself; a node that does not answer is a result too."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, args = self.validate_argument_spec(SPEC)
        given, variables = plain(args), task_vars or {}
        wrong = pace.refused(given["rounds"], given["interval_s"])
        if wrong:
            return {"failed": True, "msg": wrong}
        folder = Path(given["folder"]) if given["folder"] else None
        if not is_enabled(variables):
            node = document.of_disabled(str(variables["inventory_hostname"]), time.time())
            return self._told(node, 1, folder, last=True)
        return self._asked(given, variables, folder)

    def _asked(self, given: dict[str, Any], variables: dict[str, Any], folder: Path | None) -> dict[str, Any]:
        name, here = str(variables["inventory_hostname"]), owner.here()
        client = self.client(variables, "health")
        client.check, client.persist = True, OnceMore(self.reconnect)
        if self.keeps_open():
            client.line = OwnLine(lambda: self.kept_open(client.serving()), given["within_s"])
        held = standard.of_data(given["cases"], given["min_free_bytes"])
        looker = look.Looker(client, name, held, lambda who: owner.is_dead(who, here, owner.lives))
        answer: dict[str, Any] = {}
        try:
            for number in pace.rounds(given["rounds"], given["interval_s"], pace.Audience(folder).wait):
                answer = self._told(looker.look(), number, folder, last=given["rounds"] == 1)
        except FileNotFoundError:
            return {**answer, "changed": False}
        finally:
            if client.line:
                client.line.lose()
        return answer

    def _told(self, node: dict[str, Any], number: int, folder: Path | None, *, last: bool) -> dict[str, Any]:
        """Hand an answer on and return it as a result; the play itself says what is wrong with a node at the end."""
        line = words.line(node)
        if folder:
            latest.put(folder, number, node)
        elif not last:
            self._display.display(f"  {node['name']:<12} health   {line}")
        return {"changed": False, "msg": line if last and node["ok"] else "", "node": node}
