# SPDX-License-Identifier: MIT
"""What the controller starts to reach other hosts, made by Ansible's own objects."""

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins import loader as plugin_loader
from ansible.template import Templar
from ansible_collections.enginelab.testcell.plugins.action._dialling import _Elsewhere, commands
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package


@pytest.fixture
def action():
    """Return an action on the controller, as the task that opens a run is one."""
    loader, context = DataLoader(), PlayContext()
    context.remote_addr = "localhost"
    local = plugin_loader.connection_loader.get("local", context)
    task = Task()
    task.connection = "ssh"
    return _Elsewhere(task, local, context, loader, Templar(loader), plugin_loader)


def ways(action, **variables):
    hostvars = {"n1": {"inventory_hostname": "n1", "ansible_host": "10.0.0.7", **variables}}
    return commands(action, ["n1"], hostvars, "me")


def test_a_node_is_reached_as_its_variables_say(action):
    (words,) = ways(
        action,
        ansible_user="lab",
        ansible_port=2222,
        ansible_ssh_private_key_file="/k/id",
        ansible_ssh_common_args="-o IdentitiesOnly=yes",
        ansible_python_interpreter="/opt/python3",
        testcell_node_root="/var/tmp/mine",
    ).values()
    options = [after for word, after in zip(words, words[1:], strict=False) if word == "-o"]
    assert {'User="lab"', "Port=2222", 'IdentityFile="/k/id"', "IdentitiesOnly=yes"} <= set(options)
    assert words[0] == "ssh" and words[words.index("-S") + 1] == "none" and words[-2] == "10.0.0.7"
    program = f"/opt/python3 -I -S -E /var/tmp/mine/{package.build('cellnode').file_name} serve"
    assert words[-1].startswith("/bin/sh -c ") and program in words[-1]


@pytest.mark.parametrize(
    ("variables", "reached"),
    [
        ({}, True),
        ({"ansible_connection": "ansible.builtin.ssh"}, True),
        ({"ansible_connection": "local"}, False),
        ({"ansible_connection": "community.docker.docker"}, False),
        ({"ansible_become": "no"}, True),
        ({"ansible_become": True}, False),
        ({"ansible_password": "hunter2"}, False),
    ],
    ids=str,
)
def test_only_what_ssh_reaches_with_a_key_is_begun_ahead(action, variables, reached):
    assert list(ways(action, **variables)) == (["n1"] if reached else [])


def test_a_task_that_becomes_somebody_begins_nothing_ahead(action):
    action._task.become = True
    assert ways(action) == {}
    assert list(ways(action, ansible_become=False)) == ["n1"]
