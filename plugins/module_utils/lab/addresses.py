# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Free addresses and ports, decided from the kernel's own tables."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network
from itertools import chain

from .errors import LabError

LISTENING = "0A"
ANY = "0.0.0.0"
SSH_PORTS = (22, 2222, 22022)
POOLS = ("172.31.0.0/16", "192.168.0.0/16")


def routed_networks(route_table: str) -> tuple[IPv4Network, ...]:
    """Return the networks of a table in the form of /proc/net/route, without the default route."""
    rows = (line.split() for line in route_table.splitlines()[1:])
    found = (IPv4Network(f"{_address(row[1])}/{_address(row[7])}", strict=False) for row in rows if len(row) > 7)
    return tuple(network for network in found if network.prefixlen > 0)


def free_subnet(used: Iterable[IPv4Network]) -> IPv4Network:
    """Return the first /24 network that overlaps none of the used ones; raise LabError when there is none.

    They lie in the last of the engine's own pools, so that other networks seldom take them.
    """
    taken = tuple(used)
    for pool in chain.from_iterable(IPv4Network(pool).subnets(new_prefix=24) for pool in POOLS):
        if not any(pool.overlaps(other) for other in taken):
            return pool
    raise LabError(f"no /24 network of {' and '.join(POOLS)} is free for the lab; remove a Docker network or a route")


def listeners(tcp_table: str) -> frozenset[tuple[str, int]]:
    """Return (address, port) of each listening socket of a table like /proc/net/tcp or tcp6; `::` covers all IPv4."""
    rows = (line.split() for line in tcp_table.splitlines()[1:])
    return frozenset(_endpoint(row[1]) for row in rows if len(row) > 3 and row[3] == LISTENING)


def ssh_port(loopbacks: Sequence[str], listening: frozenset[tuple[str, int]], ports: Sequence[int] = SSH_PORTS) -> int:
    """Return the first port that is free on every address; a socket on all addresses takes it on each of them."""
    for port in ports:
        if not any((address, port) in listening for address in (*loopbacks, ANY)):
            return port
    wanted = ", ".join(str(port) for port in ports)
    raise LabError(f"no port for the nodes' sshd is free on {loopbacks[0]} to {loopbacks[-1]}; tried: {wanted}")


def _address(little_endian: str) -> str:
    return socket.inet_ntoa(struct.pack("<I", int(little_endian, 16)))


def _endpoint(local: str) -> tuple[str, int]:
    """Return the address and port of a table's entry."""
    address, _, port = local.partition(":")
    if len(address) == 8:
        return _address(address), int(port, 16)
    return (ANY if set(address) == {"0"} else address), int(port, 16)
