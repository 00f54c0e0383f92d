# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The adapter between Ansible's connection to a node and the program that runs there."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ..plugin_utils.node import package
from ..plugin_utils.node.client import NodeClient, NodeError, Output
from ..plugin_utils.node.reach import connection_kind

DEFAULT_PYTHON = "/usr/bin/python3"
RECONNECTS = 3
REACH_AGAIN = frozenset({"ssh_refused", "ssh_timeout", "ssh_dropped", "dns_failure"})


class NodeAction(ActionBase):
    """An action that speaks with the node's program over the task's connection."""

    _supports_check_mode = True
    _requires_connection = True

    def client(self, task_vars: dict[str, Any], owner: str, run: dict[str, Any] | None = None) -> NodeClient:
        """Return the program on the task's node, called for run by owner."""
        return NodeClient(
            execute=_Reconnecting(self, str(task_vars["inventory_hostname"])),
            program=package.build("cellnode"),
            python=_python(task_vars),
            root=str(self._templar.template(task_vars.get("testcell_node_root", ""))),
            owner=owner,
            run=run,
        )

    def execute_on_node(self, command: str, stdin: bytes) -> Output:
        """Run one command over the task's connection, with its become settings."""
        try:
            result = self._low_level_execute_command(command, in_data=stdin, sudoable=True)
        except AnsibleConnectionFailure as exc:
            raise NodeError(connection_kind(str(exc)), str(exc)) from None
        if result.get("unreachable"):
            raise NodeError(connection_kind(str(result.get("msg"))), str(result.get("msg")))
        return Output(result["rc"], result["stdout"], result["stderr"])

    def reconnect(self) -> None:
        """Close the connection, so that the next command makes a new one."""
        self._connection.reset()


class _Reconnecting:
    """Run commands on the node; a lost connection is made again, a few times, since every call may be repeated."""

    def __init__(self, action: NodeAction, node: str) -> None:
        self._action = action
        self._node = node

    def __call__(self, command: str, stdin: bytes) -> Output:
        for pause in (*(2.0**n for n in range(RECONNECTS - 1)), None):
            try:
                return self._action.execute_on_node(command, stdin)
            except NodeError as exc:
                if pause is None or exc.kind not in REACH_AGAIN:
                    raise NodeError(exc.kind, f"node {self._node}: {exc}", exc.detail) from None
            time.sleep(pause)
            self._action.reconnect()
        raise AssertionError("the last try returns or raises")


def _python(task_vars: dict[str, Any]) -> str:
    """Return the interpreter for the node's program: the host's own setting when it names a file."""
    wanted = str(task_vars.get("ansible_python_interpreter", ""))
    return wanted if wanted.startswith("/") else DEFAULT_PYTHON
