# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible_collections.enginelab.testcell.plugins.inventory.nodes import InventoryModule
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import Problem
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.inventory import REFUSED

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


def read(path, inventory=None):
    inventory = InventoryData() if inventory is None else inventory
    plugin = InventoryModule()
    plugin._load_name = "enginelab.testcell.nodes"
    plugin.parse(inventory, DataLoader(), str(path))
    return inventory


def problems_of(inventory):
    return inventory.groups["all"].get_vars()[REFUSED]


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
def test_problems_are_named_with_line_and_key_and_no_host_is_taken(tmp_path, monkeypatch, capsys, change, words):
    monkeypatch.setenv("NODE1_PASSWORD", "hunter2")
    (tmp_path / "nodes.yml").write_text(GOOD.replace(*change))
    inventory = read(tmp_path / "nodes.yml")
    (problem,) = problems_of(inventory)
    shown = capsys.readouterr().err
    assert not inventory.hosts
    assert words in Problem(**problem).render() and words in shown
    assert problem["file"].endswith("nodes.yml") and problem["line"] > 1 and "nodes.yml:" in shown
    assert "hunter2" not in shown and "hunter2" not in str(problem)


def test_b37_a_variable_that_is_not_set_is_named_without_its_value(tmp_path, monkeypatch):
    monkeypatch.delenv("NODE1_PASSWORD", raising=False)
    (tmp_path / "nodes.yml").write_text(GOOD)
    (problem,) = problems_of(read(tmp_path / "nodes.yml"))
    assert problem["line"] == 6 and "environment variable NODE1_PASSWORD is not set" in problem["message"]


def test_the_problems_of_two_files_are_kept_together(tmp_path, monkeypatch):
    monkeypatch.delenv("NODE1_PASSWORD", raising=False)
    inventory = InventoryData()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "nodes.yml").write_text(GOOD)
        read(tmp_path / folder / "nodes.yml", inventory)
    assert len(problems_of(inventory)) == 2


def test_b38_a_password_in_plain_is_warned_of_without_its_value(tmp_path, capsys):
    (tmp_path / "nodes.yml").write_text("nodes: {n1: {host: h, password: hunter2}}\n")
    assert list(read(tmp_path / "nodes.yml").hosts) == ["n1"]
    shown = capsys.readouterr().err
    assert "nodes.n1.password: secret written in plain text" in " ".join(shown.split()) and "hunter2" not in shown


@pytest.mark.parametrize(
    ("name", "ours"), [("nodes.yml", True), ("nodes.yaml", True), ("hosts.yml", False), ("nodes.ini", False)]
)
def test_only_files_of_our_name_are_taken(tmp_path, name, ours):
    assert InventoryModule().verify_file(str(tmp_path / name)) is ours
