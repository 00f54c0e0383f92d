# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repeat without the nodes that failed before: what may run anywhere goes to the others, where the scenario allows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..deploy import placement
from ..run.plan import CasePlan, RunPlan

# Failures of these owners say something of a node and nothing of the engine.
OF_A_NODE = frozenset({"node", "network"})


@dataclass(frozen=True)
class Moved:
    """A case that has been given other nodes. nodes: those set aside; why_not: why the case cannot do without them."""

    case: CasePlan
    nodes: tuple[str, ...] = ()
    why_not: str = ""


def without_failed_nodes(plan: RunPlan, case: CasePlan, results: Mapping[int, Mapping[str, Any]]) -> Moved:
    """Return the case without the nodes that failed in its earlier attempts. results: index of a case -> its result."""
    failed = failed_nodes(plan, case, results) if case.spares else ()
    if not failed:
        return Moved(case)
    wanted: Mapping[str, str] = case.spares["services"]
    bound = [
        f"{what} must run on {node}"
        for what, node in {**wanted, "the test": case.spares["test"]}.items()
        if node in failed
    ]
    if bound:
        return Moved(case, why_not="; ".join(bound))
    left = [node for node in case.spares["nodes"] if node not in failed]
    if placement.pool(left) == [placement.LOCAL] and placement.pool(case.spares["nodes"]) != [placement.LOCAL]:
        return Moved(case, why_not=f"no node is left without {', '.join(failed)}")
    return Moved(_on(case, placement.place(wanted, left), left), failed)


def failed_nodes(plan: RunPlan, case: CasePlan, results: Mapping[int, Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the nodes to which earlier attempts of the case lost, in order."""
    found: dict[str, None] = {}
    for earlier in plan.cases[: case.index]:
        if (earlier.ref.scenario, earlier.ref.case) == (case.ref.scenario, case.ref.case):
            node = lost_to(results.get(earlier.index) or {})
            found.update({node: None} if node else {})
    return tuple(found)


def lost_to(result: Mapping[str, Any]) -> str:
    """Return the node to which an attempt was lost, "" where something else was to blame."""
    failure = result.get("failure") or {}
    return str(failure.get("node") or "") if failure.get("owner") in OF_A_NODE else ""


def _on(case: CasePlan, placed: Mapping[str, str], order: list[str]) -> CasePlan:
    test = placement.test_node(case.spares["test"], placed, case.test.service or None)
    used = {*placed.values(), test}
    return replace(
        case,
        nodes=tuple([node for node in order if node in used] + sorted(used - set(order))),
        services=tuple(replace(service, node=placed[service.name]) for service in case.services),
        test=replace(case.test, node=test),
    )
