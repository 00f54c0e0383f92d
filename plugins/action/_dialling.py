# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task on the controller starts to reach other hosts, made as Ansible makes it for a task on each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ._node import NodeAction

SSH = ("ssh", "ansible.builtin.ssh")


class _Elsewhere(NodeAction):
    """An action on another host that is asked for its way there and never run."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        return dict(super().run(tmp, task_vars))


def commands(action: ActionBase, nodes: Iterable[str], hostvars: Mapping[str, Any], owner: str) -> dict[str, list[str]]:
    """Return node -> what keeps its program open, for those that ssh reaches by a key and as the user who logs in.

    A guess: the host's own task may be told otherwise, by its play for instance.
    """
    found = {}
    for node in nodes:
        with suppress(AnsibleError):  # of a host's variables, which its own task meets again
            variables = hostvars[node]
            if _by_ssh_alone(action, variables):
                reaching = _on(action, variables)
                if reaching.keeps_open():
                    found[node] = reaching.kept_open(reaching.client(variables, owner).serving())
    return found


def _by_ssh_alone(action: ActionBase, variables: Mapping[str, Any]) -> bool:
    becomes = boolean(variables.get("ansible_become", action._task.become), strict=False)
    return variables.get("ansible_connection", action._task.connection) in SSH and not becomes


def _on(action: ActionBase, variables: Mapping[str, Any]) -> _Elsewhere:
    """Return an action on another host, which its variables say how to reach."""
    task, context, shared = action._task, action._play_context.copy(), action._shared_loader_obj
    context.remote_addr = variables.get("ansible_host", variables["inventory_hostname"])
    connection = shared.connection_loader.get(SSH[0], context)
    keys = {name: value for name, value in task.dump_attrs().items() if name != "retries"}
    given = connection._resolve_option_variables(variables, action._templar)
    connection.set_options(task_keys={**keys, "timeout": context.timeout}, var_options=given)
    return _Elsewhere(task, connection, context, action._loader, action._templar, shared)
