# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a lab is: its nodes, its network, its files, and which of them a digest holds together."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

LABEL = "testcell.lab"
LABEL_NODE = "testcell.lab.node"
LABEL_DIGEST = "testcell.lab.digest"
LABEL_PORT = "testcell.lab.port"
INPUTS_LABEL = "testcell.inputs"
FIRST_ADDRESS = 11
MAX_NODES = 20


@dataclass(frozen=True)
class Wanted:
    """What the user asked for.

    images: loaded into each node. first_host: last byte of the first node's loopback address.
    """

    name: str
    nodes: int
    image: str
    images: tuple[str, ...]
    state_dir: Path
    inventory: Path
    first_host: int = FIRST_ADDRESS
    timeout_s: int = 120

    @property
    def network(self) -> str:
        """Return the name of the network that joins the nodes."""
        return f"testcell-{self.name}"

    @property
    def key_file(self) -> Path:
        """Return the private key that may log in to every node."""
        return self.state_dir / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Return the file with the nodes' host keys."""
        return self.state_dir / "known_hosts"


@dataclass(frozen=True)
class Link:
    """Where the nodes are reached: the subnet of their network, the port of their sshd on the loopback addresses."""

    subnet: IPv4Network
    port: int


@dataclass(frozen=True)
class Node:
    """One node. host: its loopback address; address: the one on the lab's network, where published ports answer too."""

    name: str
    index: int
    container: str
    host: str
    port: int
    address: str
    compose: str
    digest: str


def container_name(wanted: Wanted, index: int) -> str:
    """Return the name of a node's container, which its volume has too."""
    return f"{wanted.network}-node{index}"


def compose_kind(index: int) -> str:
    """Return the Compose of a node: V1 on every third one, so that both kinds are in a lab of three."""
    return "v1" if index % 3 == 0 else "v2"


def loopbacks(wanted: Wanted) -> tuple[str, ...]:
    """Return the loopback addresses of the nodes in order."""
    return tuple(f"127.0.0.{wanted.first_host + offset}" for offset in range(wanted.nodes))


def nodes_of(wanted: Wanted, link: Link, image_id: str, public_key: str) -> tuple[Node, ...]:
    """Return the nodes in order; a node's digest changes with whatever its container is made from."""
    return tuple(
        _node(wanted, link, index, host, (image_id, public_key))
        for index, host in enumerate(loopbacks(wanted), start=1)
    )


def _node(wanted: Wanted, link: Link, index: int, host: str, made_from: tuple[str, ...]) -> Node:
    address = str(link.subnet[FIRST_ADDRESS - 1 + index])
    compose = compose_kind(index)
    facts = [index, host, link.port, address, compose, *made_from]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return Node(f"node{index}", index, container_name(wanted, index), host, link.port, address, compose, digest)
