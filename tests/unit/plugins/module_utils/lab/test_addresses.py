# SPDX-License-Identifier: MIT
"""Free subnets and ports are decided from the kernel's tables."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.lab import addresses
from ansible_collections.enginelab.testcell.plugins.module_utils.lab.errors import LabError

ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010010AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000010AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
lab0\t00001FAC\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def tcp(*rows: tuple[str, str]) -> str:
    """Return a table with a row for each (local address, state)."""
    return HEAD + "".join(f"   0: {local} 00000000:0000 {state} 00000000:0 00:0 0 0 0 1\n" for local, state in rows)


def test_routes_are_read_without_the_default_one() -> None:
    assert addresses.routed_networks(ROUTES) == (IPv4Network("172.16.0.0/16"), IPv4Network("172.31.0.0/24"))


@pytest.mark.parametrize(
    ("used", "free"),
    [
        ((), "172.31.0.0/24"),
        (("172.17.0.0/16", "10.0.0.0/8"), "172.31.0.0/24"),
        (("172.31.0.0/24", "172.31.1.0/25"), "172.31.2.0/24"),
        (("172.16.0.0/12",), "192.168.0.0/24"),
        (("172.16.0.0/12", "192.168.0.0/20"), "192.168.16.0/24"),
    ],
)
def test_first_network_that_overlaps_none_is_taken(used: tuple[str, ...], free: str) -> None:
    assert addresses.free_subnet(map(IPv4Network, used)) == IPv4Network(free)


def test_no_free_network_is_named_with_what_to_do() -> None:
    with pytest.raises(LabError, match=r"172.31.0.0/16 and 192.168.0.0/16 is free .* remove a Docker network"):
        addresses.free_subnet([IPv4Network("0.0.0.0/0")])


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("0B00007F:0016", "0A")], {("127.0.0.11", 22)}),
        ([("0B00007F:0016", "01")], set()),
        ([("00000000:0016", "0A"), ("0100007F:1F90", "0A")], {("0.0.0.0", 22), ("127.0.0.1", 8080)}),
        ([("00000000000000000000000000000000:0016", "0A")], {("0.0.0.0", 22)}),
        ([("00000000000000000000000001000000:0016", "0A")], {("00000000000000000000000001000000", 22)}),
    ],
    ids=["listening", "connected", "any", "any of IPv6", "loopback of IPv6"],
)
def test_listening_sockets_are_found(rows: list[tuple[str, str]], expected: set[tuple[str, int]]) -> None:
    assert addresses.listeners(tcp(*rows)) == expected


@pytest.mark.parametrize(
    ("listening", "port"),
    [
        (set(), 22),
        ({("127.0.0.1", 22)}, 22),
        ({("127.0.0.12", 22)}, 2222),
        ({("0.0.0.0", 22)}, 2222),
        ({("0.0.0.0", 22), ("127.0.0.11", 2222)}, 22022),
    ],
)
def test_sshd_gets_22_unless_the_machine_uses_it(listening: set[tuple[str, int]], port: int) -> None:
    assert addresses.ssh_port(("127.0.0.11", "127.0.0.12"), frozenset(listening)) == port


def test_no_free_port_is_named() -> None:
    taken = frozenset({("0.0.0.0", port) for port in (22, 2222, 22022)})
    with pytest.raises(LabError, match=r"on 127.0.0.11 to 127.0.0.12; tried: 22, 2222, 22022"):
        addresses.ssh_port(("127.0.0.11", "127.0.0.12"), taken)
