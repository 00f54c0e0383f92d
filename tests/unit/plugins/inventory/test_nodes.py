# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible.errors import AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible_collections.enginelab.testcell.plugins.inventory.nodes import InventoryModule

GOOD = """
nodes:
  node1:
    host: 192.0.2.11
    username: bench
    password: "${NODE1_PASSWORD}"
  node2:
    host: 192.0.2.12
    port: 2222
    username: bench
    enabled: false
"""


def read(path):
    inventory = InventoryData()
    plugin = InventoryModule()
    plugin._load_name = "enginelab.testcell.nodes"
    plugin.parse(inventory, DataLoader(), str(path))
    return inventory


def test_enabled_nodes_become_hosts_with_ansible_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("NODE1_PASSWORD", "hunter2")
    (tmp_path / "nodes.yml").write_text(GOOD)
    inventory = read(tmp_path / "nodes.yml")
    assert list(inventory.hosts) == ["node1"]
    found = inventory.hosts["node1"].vars
    assert (found["ansible_host"], found["ansible_user"], found["ansible_password"]) == (
        "192.0.2.11",
        "bench",
        "hunter2",
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("192.0.2.11", "-oProxyCommand=x"), "nodes.node1.host"),
        (("2222", "70000"), "nodes.node2.port"),
        (("username: bench\n    password", "user_name: bench\n    password"), "did you mean username?"),
    ],
    ids=["B59", "B58", "B16"],
)
def test_problems_are_named_with_line_and_key(tmp_path, monkeypatch, change, words):
    monkeypatch.setenv("NODE1_PASSWORD", "hunter2")
    (tmp_path / "nodes.yml").write_text(GOOD.replace(*change))
    with pytest.raises(AnsibleParserError, match=words) as caught:
        read(tmp_path / "nodes.yml")
    assert "nodes.yml:" in str(caught.value) and "hunter2" not in str(caught.value)


def test_b37_a_variable_that_is_not_set_is_named_without_its_value(tmp_path, monkeypatch):
    monkeypatch.delenv("NODE1_PASSWORD", raising=False)
    (tmp_path / "nodes.yml").write_text(GOOD)
    with pytest.raises(AnsibleParserError, match="NODE1_PASSWORD"):
        read(tmp_path / "nodes.yml")


@pytest.mark.parametrize(
    ("name", "ours"), [("nodes.yml", True), ("nodes.yaml", True), ("hosts.yml", False), ("nodes.ini", False)]
)
def test_only_files_of_our_name_are_taken(tmp_path, name, ours):
    assert InventoryModule().verify_file(str(tmp_path / name)) is ours
