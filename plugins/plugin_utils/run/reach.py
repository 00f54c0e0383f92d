# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is asked from other nodes and cannot be reached from there, as far as the files and the inventory tell it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..deploy import placement
from ..problems import Problem, listing
from ..scenario.model import Scenario
from .inventory import NodeEntry, addresses

OWN_CLIENT = "testcell"


def problems(scenario: Scenario, nodes: Sequence[NodeEntry]) -> list[Problem]:
    """Return errors for what surely cannot work, and warnings for what may."""
    placed = placement.place(
        {service.name: service.node for service in scenario.services}, [node.name for node in nodes]
    )
    address = addresses(nodes)
    return [*_controller(scenario, placed, address), *_test(scenario, placed, address), *_dependants(scenario, placed)]


def _controller(scenario: Scenario, placed: Mapping[str, str], address: Mapping[str, str]) -> Iterator[Problem]:
    spread = len(set(placed.values())) > 1 and placement.LOCAL in placed.values()
    if spread and _is_loopback(address[placement.LOCAL]):
        message = "services on the controller are used from other nodes, which need its address; set testcell_address for the host `local`"
        yield Problem(str(scenario.metadata_file), key="deployment.services", message=message)


def _test(scenario: Scenario, placed: Mapping[str, str], address: Mapping[str, str]) -> Iterator[Problem]:
    """Yield that the test cannot reach the service that it is to ask; a script of somebody's own may have another way."""
    asked = scenario.benchmark
    under_test = next((service for service in scenario.services if service.name == asked.service), None)
    if under_test is None or asked.port not in under_test.loopback_ports:
        return
    node = placed[under_test.name]
    test = placement.test_node(scenario.test.node, placed, asked.service)
    if test != node and not _is_loopback(address.get(node, node)):
        message = (
            f"port {asked.port} of {under_test.name} is published at a loopback address of {node} alone, where the test, which runs"
            f" on {test}, cannot reach it; publish it without an address, or let the test run there: test_execution.node: {node}"
        )
        yield Problem(
            str(scenario.metadata_file),
            key="benchmark.port",
            message=message,
            severity="error" if asked.client == OWN_CLIENT else "warning",
        )


def _dependants(scenario: Scenario, placed: Mapping[str, str]) -> Iterator[Problem]:
    for service in scenario.services:
        far = [
            other.name
            for other in scenario.services
            if service.name in other.depends_on and placed[other.name] != placed[service.name]
        ]
        if far and service.ports and set(service.ports) == set(service.loopback_ports):
            message = (
                f"all ports of {service.name} are published at a loopback address of {placed[service.name]} alone, where"
                f" {listing(far)} on another node cannot reach it"
            )
            yield Problem(str(scenario.metadata_file), key="deployment.services", message=message, severity="warning")


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address in ("::1", "localhost")
