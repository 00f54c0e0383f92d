# SPDX-License-Identifier: MIT
"""What Ansible knows of hosts and of --limit, read with Ansible's own objects."""

from __future__ import annotations

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible_collections.enginelab.testcell.plugins.action import _inventory
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.inventory import REFUSED

GROUPS = {"all": ["n1", "n2", "n3"], "engines": ["n1", "n2"], "ungrouped": ["n3"]}


def names(limit, groups=None):
    found = _inventory.scope({"ansible_limit": limit, "groups": groups or GROUPS}, DataLoader())
    assert found is not None and found.limit == limit
    return set(found.names)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("n1", {"n1"}),
        ("n1,localhost", {"n1", "localhost"}),
        ("engines,!n2,localhost", {"n1", "localhost"}),
        ("all", {"n1", "n2", "n3", "local"}),
        ("localhost,local", {"local", "localhost"}),
        ("n*", {"n1", "n2", "n3"}),
        ("nobody", set()),
        ("@/nonexistent/file", set()),
    ],
)
def test_a_limit_matches_as_ansible_matches_it(limit, expected):
    assert names(limit) == expected


def test_a_controller_that_the_inventory_names_is_a_host_like_others():
    assert "localhost" in names("all", {"all": ["localhost", "n1"], "ungrouped": ["localhost", "n1"]})


def test_a_limit_may_be_read_from_a_file(tmp_path):
    (tmp_path / "hosts").write_text("n1\nlocalhost\n")
    assert names(f"@{tmp_path}/hosts") == {"n1", "localhost"}


def test_without_a_limit_there_is_no_scope():
    assert _inventory.scope({"groups": GROUPS}, DataLoader()) is None


def test_connection_variables_come_as_plain_values_and_secrets_do_not_come():
    secret = {"ansible_password": "hunter2", "ansible_become_password": "hunter2", "testcell_x": 1}
    hostvars = {"n1": {"ansible_host": "h", "ansible_private_key_file": "/k", **secret}}
    assert _inventory.hosts({"hostvars": hostvars, "groups": {"all": ["n1"]}}) == {
        "n1": {"ansible_host": "h", "ansible_private_key_file": "/k"}
    }


def test_what_the_inventory_plugin_refused_comes_along():
    problem = {"file": "nodes.yml", "line": 3, "column": 5, "key": "k", "message": "m", "got": "", "allowed": "", "suggestion": "", "severity": "error"}  # fmt: skip
    variables = {
        "hostvars": {},
        "groups": {"all": []},
        "ansible_inventory_sources": ["/p/nodes.yml"],
        REFUSED: [problem],
    }
    found = _inventory.asked_of(variables, DataLoader(), reach=False)
    assert found["refused"][0].render() == "nodes.yml:3:5: k: m"
    assert (found["sources"], found["scope"], found["access"], found["hosts"]) == (("/p/nodes.yml",), None, None, {})


def test_ansibles_own_default_counts_only_where_it_exists(monkeypatch):
    variables = {"hostvars": {}, "groups": {"all": []}, "ansible_inventory_sources": ["/etc/ansible/hosts", "/p/none"]}
    monkeypatch.setattr(_inventory.Path, "exists", lambda _: False)
    assert _inventory.asked_of(variables, DataLoader(), reach=False)["sources"] == ("/p/none",)
    monkeypatch.setattr(_inventory.Path, "exists", lambda _: True)
    assert len(_inventory.asked_of(variables, DataLoader(), reach=False)["sources"]) == 2
