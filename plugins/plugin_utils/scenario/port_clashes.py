# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds host ports that two services want on one node, across all compose files of a scenario."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..deploy.placement import AUTO
from ..problems import Problem, show
from ._compose_facts import Published


def port_clashes(
    published: Sequence[Published], nodes: Mapping[str, str], replicas: Mapping[str, int]
) -> Iterator[Problem]:
    """Yield a problem for each port that is wanted twice: an error on one node, a warning while nobody knows.

    nodes: service -> node, `auto` where it has not been placed. replicas: service -> how many containers it gets.
    """
    for index, port in enumerate(published):
        first = next((other for other in published[:index] if _meet(port, other, nodes)), None)
        if first is not None:
            yield _clash(port, first, nodes)
        copies = replicas.get(port.service, 1)
        if copies > 1 and port.range.first == port.range.last:
            yield _problem(port, f"host port {port.range.first} is wanted by each of the {copies} replicas")


def _meet(port: Published, other: Published, nodes: Mapping[str, str]) -> bool:
    here, there = _node(port, nodes), _node(other, nodes)
    return port.range.clashes(other.range) and (port.service == other.service or here == there or AUTO in (here, there))


def _clash(port: Published, first: Published, nodes: Mapping[str, str]) -> Problem:
    where = f"line {first.line}" if first.file == port.file else f"{first.file}:{first.line}"
    both = max(port.range.first, first.range.first)
    message = f"host port {both} is taken by service {first.service} of {where} already"
    here, there = _node(port, nodes), _node(first, nodes)
    if port.service == first.service:
        return _problem(port, message)
    if AUTO in (here, there):
        return _problem(port, f"{message}; that fails where both are placed on one node", warning=True)
    return _problem(port, f"{message}; both are placed on node {show(here)}")


def _problem(port: Published, message: str, *, warning: bool = False) -> Problem:
    severity = "warning" if warning else "error"
    return Problem(port.file, port.line, port.column, port.key, message, severity=severity)  # type: ignore[arg-type]


def _node(port: Published, nodes: Mapping[str, str]) -> str:
    return nodes.get(port.service, AUTO)
