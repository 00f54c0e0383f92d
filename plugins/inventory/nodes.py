# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: nodes
short_description: Nodes from a nodes.yml file
description:
  - Reads a file named nodes.yml or nodes.yaml with the keys of Testcell's node configuration, strictly, and makes each enabled
    node a host. All problems of the file are named at once, with line and column; the playbooks of this collection run nothing then.
version_added: 0.1.0
author: Testcell contributors
options:
  plugin:
    description: The name of this plugin, for files that name it; a nodes.yml does not need it.
    type: str
    required: false
"""

EXAMPLES = r"""
# nodes.yml
# nodes:
#   node1:
#     host: 192.0.2.11
#     username: bench
#     key_file: ~/.ssh/id_ed25519
#
# ansible-playbook site.yml -i nodes.yml -e scenario=001_baseline
"""

import os
from pathlib import Path
from typing import Any

from ansible.plugins.inventory import BaseInventoryPlugin

from ..plugin_utils.problems import InputError
from ..plugin_utils.run.inventory import REFUSED
from ..plugin_utils.scenario import nodes_file

NAMES = ("nodes.yml", "nodes.yaml")


class InventoryModule(BaseInventoryPlugin):
    """Turn the nodes of a file into hosts with Ansible's own connection variables."""

    NAME = "enginelab.testcell.nodes"

    def verify_file(self, path: str) -> bool:
        """Return whether path is a file of ours, by its name."""
        return Path(path).name in NAMES

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add every enabled node of the file at path to inventory."""
        super().parse(inventory, loader, path, cache)
        try:
            found = nodes_file.read(Path(path), os.environ)
        except InputError as exc:
            self._refuse(path, exc)
            return
        for warning in found.warnings:
            self.display.warning(warning.render())
        for node in found.nodes:
            if node.enabled:
                self.inventory.add_host(node.name)
                for key, value in host_variables(node).items():
                    self.inventory.set_variable(node.name, key, value)

    def _refuse(self, path: str, wrong: InputError) -> None:
        """Leave word of what is wrong for our playbooks, which refuse to run then.

        An error would not stop Ansible: it gives the file to its own YAML plugin, which finds no host in it.
        """
        self.display.error(f"no node is taken from {path}:\n{wrong}", wrap_text=False)
        said = self.inventory.groups["all"].get_vars().get(REFUSED) or []
        problems = [*said, *(problem.as_dict() for problem in wrong.problems)]
        self.inventory.set_variable("all", REFUSED, problems)


def host_variables(node: nodes_file.Node) -> dict[str, Any]:
    """Return the host variables of a node; a variable without a value is left out."""
    wanted = {
        "ansible_host": node.host,
        "ansible_port": node.port,
        "ansible_user": node.user,
        "ansible_password": node.password,
        "ansible_ssh_private_key_file": node.key_file,
        "testcell_address": node.address,
    }
    return {key: str(value) if key.endswith("_file") else value for key, value in wanted.items() if value}
