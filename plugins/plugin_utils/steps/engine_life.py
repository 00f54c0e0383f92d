# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers that ended because the node's Docker engine did: it ends them when it goes, or when it comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..node.errors import NodeError
from .cell import Cell, StepFailure

ENDS = frozenset({"container_exited", "container_gone", "service_died"})
# An engine that is started again is back within seconds.
PATIENCE_S, AGAIN_S = 10.0, 0.5


@dataclass(frozen=True)
class Fault:
    """What became of the Docker engine of a node. words: a sentence."""

    kind: str
    words: str


def fault(cell: Cell, kind: str) -> Fault | None:
    """Return what became of the Docker engine where a service failed with kind, None when it is not to blame."""
    before = cell.facts.get("engine", {}).get("life")
    if kind not in ENDS or not before:
        return None
    try:
        engine = _engine(cell)
    except NodeError:
        return None
    if not engine["ok"]:
        return Fault(engine["error_kind"], f"the Docker engine of {cell.node} does not answer: {engine['error']}")
    if engine["life"] not in ("", before):
        return Fault("docker_daemon_down", f"the Docker engine of {cell.node} went away and was started again")
    return None


def _engine(cell: Cell) -> dict[str, Any]:
    """Return the facts of the engine; one that is away is waited for a moment, so that the node can be cleaned."""
    until = cell.clock() + PATIENCE_S
    while True:
        engine: dict[str, Any] = cell.client.call("facts", paths=[], deep=False)["engine"]
        if engine["ok"] or engine["error_kind"] != "docker_daemon_down" or cell.clock() >= until:
            return engine
        cell.sleep(AGAIN_S)


def blamed(cell: Cell, failure: StepFailure) -> StepFailure:
    """Return a failure of a service, or that of the Docker engine which has ended it."""
    found = fault(cell, failure.kind)
    if found is None:
        return failure
    return StepFailure(
        found.kind, f"{found.words}; with it ended {failure}", service=failure.service, evidence=failure.evidence
    )
