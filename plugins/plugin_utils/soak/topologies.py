# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the services of a case run in each topology of a soak.

`single`: all on one node, the test's where it may run services, else the first; `distributed`: as the scenario places them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..deploy import placement
from ..problems import InputError, Problem, listing
from ..scenario import matrix
from ..scenario.model import Scenario
from ..scenario.soak_spec import CHAOS

LABEL = "topology"


def has_chaos(topology: str) -> bool:
    """Return whether a topology goes with the chaos plan."""
    return topology.endswith(CHAOS)


def place(scenario: Scenario, nodes: Sequence[str], topology: str) -> dict[str, str]:
    """Return service -> node. nodes: those of the inventory. Raise InputError where one node cannot have all services."""
    placed = placement.place({service.name: service.node for service in scenario.services}, nodes)
    if not topology.startswith("single"):
        return placed
    node = _one_node(scenario, placed, nodes)
    problems = [*_port_clashes(scenario, node)]
    if problems:
        raise InputError(problems)
    return dict.fromkeys(placed, node)


def _one_node(scenario: Scenario, placed: Mapping[str, str], nodes: Sequence[str]) -> str:
    """Return the node of the test where services may run there, else the first in the inventory that has a service."""
    wanted = placement.test_node(scenario.test.node, placed, scenario.benchmark.service)
    if wanted in placement.pool(nodes):
        return wanted
    used = [name for name in (*nodes, placement.LOCAL) if name in placed.values()]
    return next(iter(used), wanted)


def _port_clashes(scenario: Scenario, node: str) -> list[Problem]:
    taken: dict[int, str] = {}
    problems = []
    for service in scenario.services:
        for port in service.ports:
            other = taken.setdefault(port, service.name)
            if other != service.name:
                message = (
                    f"{service.name} and {other} both publish port {port}, which {node} has once;"
                    " give them ports of their own, or leave the topology single out"
                )
                problems.append(Problem(str(scenario.metadata_file), key="soak.topologies", message=message))
    return problems


def warning(scenario: Scenario, topology: str, placed: Mapping[str, str]) -> Problem | None:
    """Return that a topology is distributed by name only."""
    used = sorted(set(placed.values()))
    if topology.startswith("single") or len(used) > 1:
        return None
    message = f"topology {topology} uses one node, {listing(used) or 'no service is placed'}, so it is not distributed"
    return Problem(str(scenario.metadata_file), key="soak.topologies", message=message, severity="warning")


def cases(scenario: Scenario, topologies: Sequence[str]) -> tuple[matrix.Case, ...]:
    """Return the cells of the scenario's matrix, each once for each topology, which is one more label of it.

    Raise InputError where the matrix has a label of that name.
    """
    cells = matrix.expand(scenario)
    if any(LABEL in cell.labels for cell in cells):
        message = f"label {LABEL!r} is set by the soak itself; call the matrix's own by another name"
        raise InputError([Problem(str(scenario.metadata_file), key=f"matrix.{LABEL}", message=message)])
    return tuple(_case(cell, topology) for cell in cells for topology in topologies)


def _case(cell: matrix.Case, topology: str) -> matrix.Case:
    (own,) = matrix.case_ids(({LABEL: topology},))
    return replace(
        cell,
        id=f"{cell.id}_{own}" if cell.id else own,
        labels={**cell.labels, LABEL: topology},
        values={**cell.values, LABEL: topology},
    )
