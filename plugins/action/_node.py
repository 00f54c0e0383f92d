# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The adapter between Ansible's connection to a node and the program that runs there."""

from __future__ import annotations

import os
import shlex
import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

from ..plugin_utils.node import package, ssh
from ..plugin_utils.node.client import NodeClient, Output
from ..plugin_utils.node.errors import NodeError
from ..plugin_utils.node.persistence import Persistence
from ..plugin_utils.node.reach import connection_kind

DEFAULT_PYTHON = "/usr/bin/python3"


class NodeAction(ActionBase):
    """An action that speaks with the node's program over the task's connection."""

    _supports_check_mode = True
    _requires_connection = True

    def client(self, task_vars: dict[str, Any], owner: str, run: dict[str, Any] | None = None) -> NodeClient:
        """Return the program on the task's node, called for run by owner."""
        self._hold_ssh(task_vars)
        return NodeClient(
            execute=self.execute_on_node,
            persist=Persistence(str(task_vars["inventory_hostname"]), self.reconnect, time.sleep, time.monotonic),
            reconnect=self.reconnect,
            streamed=self.streamed if self.keeps_open() else None,
            same_machine=self._connection.transport == "local" and not self._becomes(),
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

    def _hold_ssh(self, task_vars: dict[str, Any]) -> None:
        """Have every command of this task reach the node by a connection of its own, which ends when the node is silent.

        Host keys are checked unless the host's own variables say otherwise: AWX and ansible-runner switch that off for all.
        ansible.cfg says all this as well, but the environment beats it, and a project may have another one.
        """
        connection = self._connection
        if connection.transport != "ssh":
            return
        connection.set_option("ssh_args", ssh.arguments(connection.get_option("ssh_args")))
        if task_vars.keys().isdisjoint(ssh.CHECKING_KEYS):
            connection.set_option("host_key_checking", True)

    def keeps_open(self) -> bool:
        """Return whether a command can be run on the node with both streams open.

        With other connections than ssh and local, and where a password is asked for on the way, only whole commands can.
        """
        connection = self._connection
        if connection.transport not in ("ssh", "local") or (
            self._becomes() and connection.become.get_option("become_pass")
        ):
            return False
        return connection.transport == "local" or not (connection.get_option("password") or self._play_context.password)

    def kept_open(self, command: str) -> list[str]:
        """Return what the controller starts to run command on the node with both streams open."""
        if self._connection.transport == "local":
            return ["/bin/sh", "-c", self._as_user(command)]
        return [*self._ssh(), f"/bin/sh -c {shlex.quote(self._as_user(command))}"]

    def streamed(self, command: str) -> list[str]:
        """Return what the controller starts to read much that command writes on the node."""
        if self._connection.transport == "local":
            return self.kept_open(command)
        *words, host = ssh.uncompressed(self._ssh())
        fast = ssh.for_a_stream(words[1:], host)
        return [*words, *fast, host, f"/bin/sh -c {shlex.quote(self._as_user(command))}"]

    def _as_user(self, command: str) -> str:
        become = self._connection.become
        return str(become.build_become_command(command, self._connection._shell)) if self._becomes() else command

    def _ssh(self) -> list[str]:
        """Return the call of ssh up to the host, with Ansible's options for it."""
        connection = self._connection
        host = connection.get_option("host") or self._play_context.remote_addr
        built = connection._build_command(
            connection.get_option("ssh_executable"), "ssh", "-T", "-o", "BatchMode=yes", host
        )
        return [os.fsdecode(word) for word in built]

    def _becomes(self) -> bool:
        """Decide as Ansible does whether commands are run as another user."""
        wanted, user = self.get_become_option("become_user"), self._get_remote_user()
        return bool(self._connection.become) and (wanted != user or not any((wanted, user)))

    def reconnect(self) -> None:
        """Close the connection, so that the next command makes a new one."""
        self._connection.reset()


def _python(task_vars: dict[str, Any]) -> str:
    """Return the interpreter for the node's program: the host's own setting when it names a file."""
    wanted = str(task_vars.get("ansible_python_interpreter", ""))
    return wanted if wanted.startswith("/") else DEFAULT_PYTHON
