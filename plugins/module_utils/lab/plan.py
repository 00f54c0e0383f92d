# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must be done so that a lab is as wanted: one action a node, decided from what there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .model import Node
from .observe import Container, Observed

CREATE, RECREATE, START, UNPAUSE, ATTACH, KEEP = "create", "recreate", "start", "unpause", "attach", "keep"


@dataclass(frozen=True)
class Step:
    """What is done with one node."""

    action: str
    node: Node


def node_steps(nodes: Sequence[Node], observed: Observed) -> tuple[Step, ...]:
    """Return one step a node in the order of the nodes."""
    return tuple(Step(_action(node, observed.containers.get(node.container)), node) for node in nodes)


def surplus(nodes: Sequence[Node], observed: Observed) -> tuple[str, ...]:
    """Return the names of the lab's containers that are no node any more."""
    wanted = {node.container for node in nodes}
    return tuple(sorted(set(observed.containers) - wanted))


def _action(node: Node, container: Container | None) -> str:
    if container is None:
        return CREATE
    if container.digest != node.digest:
        return RECREATE
    if not container.running:
        return START
    if container.paused:
        return UNPAUSE
    return KEEP if container.address == node.address else ATTACH
