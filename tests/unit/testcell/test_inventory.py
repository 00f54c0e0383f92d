# SPDX-License-Identifier: MIT

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError

from testcell import inventory
from testcell import project as projects


def load(project: Path, *wanted: object) -> inventory.Inventory:
    return inventory.load(projects.Project(project), [str(source) for source in wanted])


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_project_s_own_inventory_is_the_controller(project: Path) -> None:
    (node,) = load(project).nodes
    assert (node.name, node.connection, node.host, node.enabled) == ("local", "local", "127.0.0.1", True)


def test_hosts_of_an_ini_file_are_nodes(project: Path) -> None:
    found = load(project, project / "inventories" / "nodes.ini")
    assert found.names == ["node1", "node2"]
    assert (found.nodes[0].host, found.nodes[0].port, found.nodes[0].user) == ("192.0.2.11", 22, "bench")


def test_nodes_file_is_read_with_disabled_nodes_shown_and_not_used(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE1_PASSWORD", "x")
    text = 'nodes:\n  a: {host: 192.0.2.1, password: "${NODE1_PASSWORD}"}\n  b: {host: 192.0.2.2, enabled: false}\n'
    found = load(project, write(project / "nodes.yml", text))
    assert [node.name for node in found.nodes] == ["a", "b"] and found.names == ["a"]


def test_ranges_and_yaml_are_read_by_ansible(project: Path) -> None:
    found = load(
        project, write(project / "inventories" / "many", "[e]\nnode[1:3] ansible_user=u\n[all:vars]\ntestcell_x=1\n")
    )
    assert found.names == ["node1", "node2", "node3"] and found.variables == {"testcell_x": 1}


def test_a_list_of_hosts_is_an_inventory(project: Path) -> None:
    assert load(project, "n1,n2,").names == ["n1", "n2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("n1 ansible_port=70000", "1..65535", id="B58-port"),
        pytest.param("n1 ansible_port=0", "1..65535", id="B58-port-zero"),
        pytest.param("n1 ansible_host=h\nn2 ansible_host=h", "same machine", id="B58-twice"),
        pytest.param("n1 ansible_host=-oProxyCommand=x", "cannot start with '-'", id="B59-option"),
        pytest.param('n1 ansible_host="a b"', "has a space", id="B59-space"),
        pytest.param("n1 ansible_host=h\u043est", "not ASCII, U.043E", id="B59-look-alike"),
    ],
)
def test_wrong_hosts_are_named(project: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(project, write(project / "hosts", text + "\n"))


def test_a_missing_inventory_names_those_there_are(project: Path) -> None:
    with pytest.raises(inventory.InventoryError, match=r"inventories/local, inventories/nodes\.ini"):
        load(project, "inventories/lokal")


def test_what_ansible_cannot_read_is_named(project: Path) -> None:
    with pytest.raises(inventory.InventoryError, match="hosts"):
        load(project, write(project / "hosts.yml", "[1, 2"))


def test_bytes_that_are_no_text_are_named(project: Path) -> None:
    path = project / "hosts"
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(inventory.InventoryError, match="cannot be read"):
        load(project, path)


@pytest.mark.parametrize(
    ("pattern", "left_out"),
    [
        ("node1", ["node2", "other"]),
        ("node*", ["other"]),
        ("!node1", ["node1"]),
        ("all,!other", ["other"]),
        ("node*:!node2", ["node2", "other"]),
    ],
)
def test_a_limit_leaves_nodes_out(project: Path, pattern: str, left_out: list[str]) -> None:
    found = load(project, write(project / "hosts", "node1\nnode2\nother\n"))
    assert found.outside(pattern) == left_out


@pytest.mark.parametrize("pattern", ["nope", "node1,!node1", "!n*"])
def test_a_limit_that_matches_nothing_or_leaves_nothing_is_an_error(project: Path, pattern: str) -> None:
    with pytest.raises(inventory.InventoryError, match="node1, node2"):
        load(project, write(project / "hosts", "node1\nnode2\n")).outside(pattern)
