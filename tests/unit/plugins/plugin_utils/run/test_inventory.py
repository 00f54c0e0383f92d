# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import inventory
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.inventory import NodeEntry, Scope, examine

HERE = {"ansible_connection": "local"}


def said(hosts, scope=None):
    return [problem.render() for problem in examine(hosts, scope).problems]


@pytest.mark.parametrize(
    ("facts", "key", "words"),
    [
        pytest.param(
            {"ansible_port": 0}, "ansible_port", "is no port; got integer 0; allowed: 1..65535", id="B58-zero"
        ),
        pytest.param({"ansible_port": 70000}, "ansible_port", "is no port; got integer 70000", id="B58-range"),
        pytest.param({"ansible_port": "abc"}, "ansible_port", "is no port; got string 'abc'", id="B58-text"),
        pytest.param({"ansible_ssh_port": "-1"}, "ansible_ssh_port", "is no port", id="B58-other-name"),
        pytest.param({"ansible_host": "a b"}, "ansible_host", "has a space", id="B59-space"),
        pytest.param({"ansible_host": "-oProxyCommand=x"}, "ansible_host", "cannot start with '-'", id="B59-option"),
        pytest.param({"ansible_ssh_host": "-x"}, "ansible_ssh_host", "cannot start with '-'", id="B59-other-name"),
        pytest.param({"testcell_address": "-x"}, "testcell_address", "cannot start with '-'", id="B59-address"),
        pytest.param({"ansible_host": ""}, "ansible_host", "not a valid host name", id="B59-empty"),
        pytest.param({"ansible_host": "h\u043est"}, "ansible_host", "not ASCII, U+043E", id="B59-look-alike"),
        pytest.param({"ansible_host": "[fe80::1]"}, "ansible_host", "stands without brackets", id="B59-brackets"),
        pytest.param({"ansible_host": "h:22"}, "ansible_host", "a port is given with ansible_port", id="B59-port"),
        pytest.param(
            {"ansible_host": "10.0.0.256"}, "ansible_host", "not a valid IPv4 address", id="B59-address-range"
        ),
        pytest.param({"ansible_user": "-oProxyCommand=x"}, "ansible_user", "not a valid user name", id="B59-user"),
        pytest.param({"ansible_ssh_user": "a b"}, "ansible_ssh_user", "not a valid user name", id="B59-other-user"),
    ],
)
def test_what_ssh_must_not_be_handed_is_named_with_host_and_variable(facts, key, words):
    (line,) = said({"n1": facts})
    assert line.startswith(f"inventory: n1.{key}: ") and words in line


@pytest.mark.parametrize(
    "facts",
    [
        {"ansible_host": "2001:db8::1"},
        {"ansible_host": "fe80::1%eth0"},
        {"ansible_port": "2222", "ansible_user": ""},
        {"ansible_host": "{{ addresses[inventory_hostname] }}", "ansible_port": "{{ port }}"},
    ],
)
def test_what_ssh_or_only_ansible_understands_is_let_through(facts):
    assert said({"n1": facts}) == []


def test_all_problems_of_all_hosts_come_at_once():
    hosts = {
        "n1": {"ansible_host": "-x", "ansible_port": 0},
        "n2": {"ansible_user": "a b"},
        "off": {"testcell_enabled": False},
    }
    assert len(said(hosts)) == 3


@pytest.mark.parametrize("name", ["-oProxyCommand=x", "a/b", "auto", "all", "x" * 64])
def test_B59_a_name_that_is_no_node_name_is_refused(name):
    assert any(line.startswith(f"inventory: {name}") for line in said({name: {"ansible_host": "192.0.2.1"}}))


def test_the_controllers_name_is_for_the_controller():
    assert said({"local": HERE}) == []
    (line,) = said({"local": {"ansible_host": "192.0.2.1"}})
    assert "is the controller's name" in line


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        pytest.param({"ansible_host": "H"}, {"ansible_host": "h"}, True, id="B58-case"),
        pytest.param({"ansible_host": "h", "ansible_port": 22}, {"ansible_host": "h"}, True, id="B58-default-port"),
        pytest.param({"ansible_ssh_host": "h"}, {"ansible_host": "h"}, True, id="B58-other-name"),
        pytest.param({"ansible_host": "h", "ansible_port": 23}, {"ansible_host": "h"}, False, id="other-port"),
        pytest.param(HERE, HERE, False, id="controller"),
        pytest.param({"ansible_host": "{{ x }}"}, {"ansible_host": "{{ x }}"}, False, id="template"),
    ],
)
def test_one_machine_under_two_names_is_named(one, two, same):
    lines = said({"n1": one, "n2": two})
    assert len(lines) == int(same)
    assert not same or "n2.ansible_host: is the same machine as node 'n1': h:22" in lines[0]


def test_nodes_their_addresses_and_what_load_may_be_sent_to():
    hosts = {
        "localhost": {},
        "n1": {"ansible_host": "192.0.2.1", "testcell_address": "10.0.0.1"},
        "n2": {},
        "local": HERE,
    }
    found = examine(hosts)
    assert found.nodes == (
        NodeEntry("n1", "10.0.0.1", False), NodeEntry("n2", "n2", False), NodeEntry("local", "127.0.0.1", True),
    )  # fmt: skip
    assert found.hosts == {"n1", "192.0.2.1", "10.0.0.1", "n2", "127.0.0.1"}
    assert inventory.addresses(found.nodes) == {"local": "127.0.0.1", "n1": "10.0.0.1", "n2": "n2"}


@pytest.mark.parametrize("hosts", [{}, {"localhost": {}}])
def test_an_inventory_without_nodes_means_the_controller(hosts):
    assert examine(hosts).nodes == (NodeEntry("local", "127.0.0.1", True),)


def test_nodes_that_are_left_out_are_known_with_the_reason():
    hosts = {"n1": {}, "n2": {}, "n3": {"testcell_enabled": "false", "ansible_port": 0}}
    found = examine(hosts, Scope("n1,localhost", frozenset({"n1", "localhost"})))
    limit = "--limit 'n1,localhost'"
    assert found.left_out == {"n2": limit, "n3": "testcell_enabled=false", "local": limit}
    assert found.known.nodes == ("n1",) and found.problems == ()


def test_a_limit_that_names_the_controller_keeps_it():
    assert "local" not in examine({"n1": {}}, Scope("all", frozenset({"n1", "local"}))).left_out


WORDS = [
    (True, True), (False, False), ("yes", True), ("off", False), ("F", False), (0, False), ("0", False), ("n", False),
    ("fasle", None), ("maybe", None), ("", None), (2, None), ("{{ it }}", True),
]  # fmt: skip


@pytest.mark.parametrize(("word", "enabled"), WORDS)
def test_whether_a_host_takes_part_is_a_word_of_ansible_s(word, enabled):
    found = inventory.examine({"n1": {}, "n2": {"testcell_enabled": word}})
    wrong = [problem for problem in found.problems if "testcell_enabled" in problem.key]
    assert [node.name for node in found.nodes] == (["n1"] if enabled is False else ["n1", "n2"])
    assert bool(wrong) == (enabled is None)
    if wrong:
        assert "must be true or false" in wrong[0].message and wrong[0].allowed == "true, false"
