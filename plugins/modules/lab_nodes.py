#!/usr/bin/python
# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module lab_nodes: an adapter over module_utils/lab."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_nodes
short_description: Make or remove test nodes on this machine
version_added: 0.1.0
description:
  - Makes nodes to test on, each a container with its own sshd, Docker engine, Compose and file system, and writes an
    inventory in INI form that any Ansible can use.
  - Runs on the controller and needs its C(docker) and C(ssh-keygen) commands.
  - Node N answers SSH on 127.0.0.(first_host + N - 1). Host keys are written to a file and checked.
  - Every third node has Compose V1, the others Compose V2.
  - Only containers, networks and volumes with the label C(testcell.lab=NAME) are touched.
options:
  state:
    description: Whether the lab is there. V(absent) removes containers, volumes, network and the written files.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: Name of the lab and of its group in the inventory; small letters, digits and underscores.
    type: str
    default: lab
  nodes:
    description: Number of nodes, 1 to 20.
    type: int
    default: 3
  first_host:
    description: Last byte of the first node's address in 127.0.0.0/24, 2 to 235.
    type: int
    default: 11
  image:
    description: Image of a node; C(setup/images) makes the default.
    type: str
    default: testcell/node:1
  images:
    description: Images of the controller's engine that are loaded into every node's engine. Absent ones give a warning.
    type: list
    elements: str
    default: [testcell/engine-llama:1, testcell/engine-sim:1]
  state_dir:
    description: Folder for the key pair and the known host keys.
    type: path
    required: true
  inventory:
    description: File that the inventory is written to; one that Testcell did not write is left alone and is an error.
    type: path
    required: true
  timeout_s:
    description: Longest wait in seconds for a node to answer, and for each command to end.
    type: int
    default: 120
attributes:
  check_mode:
    description: Says what would be done and does nothing.
    support: full
  diff_mode:
    description: The result names each action; there is no textual difference.
    support: none
author:
  - Testcell contributors
"""

EXAMPLES = r"""
- name: Make three test nodes
  enginelab.testcell.lab_nodes:
    nodes: 3
    state_dir: "{{ playbook_dir }}/../.lab"
    inventory: "{{ playbook_dir }}/../inventories/lab/hosts"

- name: Remove them
  enginelab.testcell.lab_nodes:
    state: absent
    state_dir: "{{ playbook_dir }}/../.lab"
    inventory: "{{ playbook_dir }}/../inventories/lab/hosts"
"""

RETURN = r"""
lab:
  description: The lab as it is now, or would be in check mode.
  returned: always
  type: dict
  contains:
    actions:
      description: What was done, or would be, one sentence each; empty when nothing was to be done.
      type: list
      elements: str
      sample: [create node1, "load testcell/engine-sim:1 into node1"]
    inventory:
      description: The inventory file, empty when the lab is absent.
      type: str
    nodes:
      description: The nodes in order.
      type: list
      elements: dict
      sample:
        - {name: node1, host: 127.0.0.11, port: 22, address: 172.31.0.11, compose: v2, container: testcell-lab-node1}
    images_missing:
      description: Images that the controller's engine lacks, so that no node has them.
      type: list
      elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.lab import lab
from ..module_utils.lab.docker_cli import Docker
from ..module_utils.lab.errors import LabError
from ..module_utils.lab.model import MAX_NODES, Wanted

ARGUMENTS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "name": {"type": "str", "default": "lab"},
    "nodes": {"type": "int", "default": 3},
    "first_host": {"type": "int", "default": 11},
    "image": {"type": "str", "default": "testcell/node:1"},
    "images": {"type": "list", "elements": "str", "default": ["testcell/engine-llama:1", "testcell/engine-sim:1"]},
    "state_dir": {"type": "path", "required": True},
    "inventory": {"type": "path", "required": True},
    "timeout_s": {"type": "int", "default": 120},
}


def wanted_of(options: dict[str, Any]) -> Wanted:
    """Return the lab that the options ask for; raise LabError for a value out of its range."""
    if not (options["name"].isidentifier() and options["name"].isascii() and options["name"].islower()):
        raise LabError(f"name is {options['name']!r}; it must be small letters, digits and underscores")
    if not 1 <= options["nodes"] <= MAX_NODES:
        raise LabError(f"nodes is {options['nodes']}; it must be 1 to {MAX_NODES}")
    if not 2 <= options["first_host"] <= 255 - MAX_NODES:
        raise LabError(f"first_host is {options['first_host']}; it must be 2 to {255 - MAX_NODES}")
    return Wanted(
        name=options["name"],
        nodes=options["nodes"],
        image=options["image"],
        images=tuple(options["images"]),
        state_dir=Path(options["state_dir"]).resolve(),
        inventory=Path(options["inventory"]).resolve(),
        first_host=options["first_host"],
        timeout_s=options["timeout_s"],
    )


def described(wanted: Wanted, outcome: lab.Outcome) -> dict[str, Any]:
    """Return the outcome as plain data."""
    facts = ("name", "host", "port", "address", "compose", "container")
    return {
        "actions": list(outcome.actions),
        "inventory": str(wanted.inventory) if outcome.nodes else "",
        "nodes": [{fact: getattr(node, fact) for fact in facts} for node in outcome.nodes],
        "images_missing": list(outcome.images_missing),
    }


def main() -> None:
    """Make or remove the lab and report it."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        wanted = wanted_of(module.params)
        act = lab.up if module.params["state"] == "present" else lab.down
        outcome = act(Docker(timeout_s=wanted.timeout_s), wanted, module.check_mode)
    except LabError as error:
        module.fail_json(msg=str(error), lab={"actions": [], "inventory": "", "nodes": [], "images_missing": []})
    for name in outcome.images_missing:
        module.warn(f"the image {name} is not on this machine, so no node has it; make it with setup/images")
    module.exit_json(changed=bool(outcome.actions), lab=described(wanted, outcome))


if __name__ == "__main__":
    main()
