# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Ansible knows of hosts, as plain values that the domain can take."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager

from ..plugin_utils.deploy.placement import LOCAL
from ..plugin_utils.node import ssh
from ..plugin_utils.problems import Problem
from ..plugin_utils.run import access, install_variables, inventory

BUILT_IN_INVENTORY = "/etc/ansible/hosts"
CONNECTION_VARIABLES = (
    *inventory.HOST_KEYS,
    *inventory.PORT_KEYS,
    *inventory.USER_KEYS,
    *access.KEY_KEYS,
    *ssh.CHECKING_KEYS,
    *access.ARGUMENT_KEYS,
    "ansible_connection",
    "testcell_address",
    "testcell_enabled",
)


def plain(value: Any) -> Any:
    """Return value without what Ansible hangs on it, as JSON would carry it; data is never templated here."""
    return json.loads(json.dumps(value, default=str))


def variables_of(task_vars: dict[str, Any], extra: Collection[str]) -> dict[str, Any]:
    """Return our own variables but for those of extra, which beat all others and are read by themselves."""
    return {key: plain(value) for key, value in task_vars.items() if key.startswith("testcell_") and key not in extra}


def hosts(task_vars: dict[str, Any], extra: Collection[str] = ()) -> dict[str, dict[str, Any]]:
    """Return the connection variables of every host in inventory order, and those about installing that are not in extra."""
    hostvars = task_vars["hostvars"]
    names = (*CONNECTION_VARIABLES, *(name for name in install_variables.VARIABLES if name not in extra))
    # Each look at hostvars puts all variables of the host together anew.
    known = ((name, hostvars[name]) for name in task_vars["groups"]["all"])
    return {str(name): {key: plain(variables[key]) for key in names if key in variables} for name, variables in known}


def asked_of(
    task_vars: dict[str, Any], loader: Any, *, reach: bool = True, extra: Collection[str] = ()
) -> dict[str, Any]:
    """Return what the inventory and the command line say of the nodes, as arguments of `Asked`.

    reach: whether ssh would get in is checked too. extra: names of the variables of -e, which are no host's own.
    """
    ways = access.access_of(os.environ, Path.cwd()) if reach else None
    return {
        "hosts": hosts(task_vars, extra),
        "sources": _sources(task_vars),
        "scope": scope(task_vars, loader),
        "access": ways,
        "refused": tuple(Problem(**problem) for problem in plain(task_vars.get(inventory.REFUSED) or [])),
    }


def _sources(task_vars: dict[str, Any]) -> tuple[str, ...]:
    """Return the inventories that somebody named; Ansible's own default where it does not exist is none."""
    found = tuple(str(source) for source in task_vars.get("ansible_inventory_sources") or ())
    return tuple(source for source in found if source != BUILT_IN_INVENTORY or Path(source).exists())


def scope(task_vars: dict[str, Any], loader: Any) -> inventory.Scope | None:
    """Return what --limit leaves of the inventory, None without one.

    The controller has two names: `local` joins the inventory in the course of a run; `localhost`, where the inventory
    does not name it, is matched by its own name only, as Ansible has it.
    """
    limit = str(task_vars.get("ansible_limit") or "")
    if not limit:
        return None
    manager = InventoryManager(loader=loader, parse=False)
    for group, names in task_vars["groups"].items():
        manager.add_group(group)
        for name in names:
            manager.add_host(name, group=group)
    manager.add_host(LOCAL, group="all")
    try:
        manager.subset(limit)
        matched = [*manager.get_hosts("all"), *manager.get_hosts(inventory.CONTROLLER)]
        return inventory.Scope(limit, frozenset(host.name for host in matched))
    except AnsibleError:
        return inventory.Scope(limit, frozenset())
