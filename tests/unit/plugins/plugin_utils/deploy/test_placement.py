# SPDX-License-Identifier: MIT
from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy import placement


@pytest.mark.parametrize(
    ("wanted", "nodes", "expected"),
    [
        ({"a": "auto", "b": "auto"}, ["local"], {"a": "local", "b": "local"}),
        ({"a": "auto", "b": "auto", "c": "auto"}, ["n1", "n2"], {"a": "n1", "b": "n2", "c": "n1"}),
        ({"a": "auto", "b": "n1", "c": "auto"}, ["n1", "n2", "local"], {"a": "n1", "b": "n1", "c": "n2"}),
        ({"a": "local"}, ["n1"], {"a": "local"}),
    ],
    ids=["controller only", "round the nodes", "the controller takes no auto services", "named stays"],
)
def test_services_go_where_they_are_wanted(wanted, nodes, expected):
    assert placement.place(wanted, nodes) == expected


@pytest.mark.parametrize(
    ("wanted", "entry", "expected"),
    [("local", "r", "local"), ("n2", "r", "n2"), ("auto", "r", "n3"), ("auto", None, "n1")],
)
def test_the_test_runs_where_it_is_wanted(wanted, entry, expected):
    assert placement.test_node(wanted, {"p": "n1", "r": "n3"}, entry) == expected


ADDRESS = {"n1": "10.0.0.1", "n2": "10.0.0.2"}


def service(name, node, *needs, host_network=False):
    return SimpleNamespace(name=name, node=node, depends_on=needs, host_network=host_network)


RPC = service("rpc-1", "n1")
ON_HOST = {"host_network": True}
SEEN_FROM_N1 = {
    "its own name there, the node elsewhere": ([RPC, service("router", "n2")], ["rpc-1", "10.0.0.2"]),
    "on the network of the node": ([service("rpc-1", "n1", **ON_HOST), service("r", "n1")], ["10.0.0.1", "r"]),
    "asked from the network of the node": (
        [RPC, service("r", "n1", "rpc-1", **ON_HOST), service("db", "n1")],
        ["10.0.0.1", "10.0.0.1", "db"],
    ),
    "asked from that of another node": ([RPC, service("r", "n2", "rpc-1", **ON_HOST)], ["rpc-1", "10.0.0.2"]),
}


@pytest.mark.parametrize(("services", "expected"), SEEN_FROM_N1.values(), ids=SEEN_FROM_N1)
def test_services_are_found_from_compose_by_name_or_node(services, expected):
    assert list(placement.compose_addresses("n1", services, ADDRESS).values()) == expected


def test_addresses_depend_on_who_asks():
    placed, address = {"rpc-1": "n1", "router": "n2"}, ADDRESS
    assert placement.host_addresses("n2", placed, address) == {
        "TESTCELL_HOST_RPC_1": "10.0.0.1",
        "TESTCELL_HOST_ROUTER": "127.0.0.1",
    }
