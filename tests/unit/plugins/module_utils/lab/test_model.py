# SPDX-License-Identifier: MIT
"""Names, addresses and digests of the nodes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.lab.model import Link, Wanted, nodes_of

LINK = Link(IPv4Network("172.31.5.0/24"), 22)


def test_node_n_has_the_addresses_of_its_number(wanted: Wanted) -> None:
    found = [(node.name, node.container, node.host, node.address) for node in nodes_of(wanted, LINK, "image", "key")]
    assert found == [
        ("node1", "testcell-lab-node1", "127.0.0.11", "172.31.5.11"),
        ("node2", "testcell-lab-node2", "127.0.0.12", "172.31.5.12"),
        ("node3", "testcell-lab-node3", "127.0.0.13", "172.31.5.13"),
    ]


def test_both_kinds_of_compose_are_in_a_lab_of_three(wanted: Wanted) -> None:
    assert [node.compose for node in nodes_of(wanted, LINK, "image", "key")] == ["v2", "v2", "v1"]


@pytest.mark.parametrize(
    ("link", "image", "key"),
    [
        (Link(LINK.subnet, 2222), "image", "key"),
        (Link(IPv4Network("172.31.6.0/24"), 22), "image", "key"),
        (LINK, "other image", "key"),
        (LINK, "image", "other key"),
    ],
    ids=["port", "subnet", "image", "key"],
)
def test_digest_changes_with_what_a_container_is_made_from(wanted: Wanted, link: Link, image: str, key: str) -> None:
    before, after = nodes_of(wanted, LINK, "image", "key")[0], nodes_of(wanted, link, image, key)[0]
    assert before.digest != after.digest


def test_more_nodes_leave_the_first_ones_as_they_are(wanted: Wanted) -> None:
    assert nodes_of(replace(wanted, nodes=4), LINK, "i", "k")[:3] == nodes_of(wanted, LINK, "i", "k")
