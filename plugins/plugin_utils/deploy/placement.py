# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which node a service or the test runs on, and by which address one node reaches a service on another."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..run.plan import ServicePlan

LOCAL = "local"
AUTO = "auto"


def place(wanted: Mapping[str, str], nodes: Sequence[str]) -> dict[str, str]:
    """Return service -> node; `auto` goes round the nodes in inventory order, named nodes stay.

    wanted: service -> `auto`, `local` or a node's name, in file order. nodes: those of the inventory; the controller
    takes `auto` services only where it is the one node there is.
    """
    targets = pool(nodes)
    placed: dict[str, str] = {}
    turn = 0
    for service, node in wanted.items():
        if node == AUTO:
            placed[service] = targets[turn % len(targets)]
            turn += 1
        else:
            placed[service] = node
    return placed


def pool(nodes: Sequence[str]) -> list[str]:
    """Return the nodes that `auto` goes round: all but the controller, or the controller where it is the only one."""
    return [name for name in nodes if name != LOCAL] or [LOCAL]


def test_node(wanted: str, placed: Mapping[str, str], entry_service: str | None) -> str:
    """Return the node that runs the test; `auto` is the node of the service that answers, else the first used."""
    if wanted != AUTO:
        return wanted
    if entry_service in placed:
        return placed[str(entry_service)]
    return next(iter(placed.values()), LOCAL)


def variable_name(service: str) -> str:
    """Return the name of the variable that carries the address of service, usable in a compose file."""
    return "TESTCELL_HOST_" + re.sub(r"[^A-Za-z0-9]", "_", service).upper()


def compose_addresses(viewer: str, services: Sequence[ServicePlan], address: Mapping[str, str]) -> dict[str, str]:
    """Return the address variables for compose on node viewer: the service's own name there, else its node's address.

    On the network of the node there are no names: neither has a service there one, nor does it find those it depends on.
    """
    on_host = [service for service in services if service.node == viewer and service.host_network]
    nameless = {name for service in on_host for name in (service.name, *service.depends_on)}
    return {
        variable_name(service.name): service.name
        if service.node == viewer and service.name not in nameless
        else address[service.node]
        for service in services
    }


def host_addresses(viewer: str, placed: Mapping[str, str], address: Mapping[str, str]) -> dict[str, str]:
    """Return the address variables for a process on node viewer: published ports are reached on loopback there."""
    return {
        variable_name(service): "127.0.0.1" if node == viewer else address[node] for service, node in placed.items()
    }
