# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Containers that ended because the node's Docker engine did: it ends them when it goes, or when it comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..node.errors import NodeError
from .cell import Cell, StepFailure

ENDS = frozenset({"container_exited", "container_gone", "service_died"})
# How long an engine is waited for, in all, in one case: one that is started again is back within seconds, one that is frozen
# may be within a minute. Until then there is neither evidence nor cleaning.
PATIENCE_S = {"docker_daemon_down": 10.0, "docker_timeout": 60.0}
AGAIN_S = 0.5
# Notes of a case of how long the engine of a node was waited for: `awaited.<node>`.
AWAITED = "awaited."
T = TypeVar("T")


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
        engine = _awaited(cell, ("docker_daemon_down",))
    except NodeError:
        return None
    if not engine["ok"]:
        return Fault(engine["error_kind"], f"the Docker engine of {cell.node} does not answer: {engine['error']}")
    if engine["life"] not in ("", before):
        return Fault("docker_daemon_down", f"the Docker engine of {cell.node} went away and was started again")
    return None


def now(cell: Cell) -> str:
    """Return the word for the life of the engine as it is now, "" where that cannot be told."""
    return str(_engine(cell)["life"])


def wait(cell: Cell) -> bool:
    """Wait for an engine that does not answer, as long as this case still may; return whether it answers."""
    return bool(_awaited(cell, tuple(PATIENCE_S))["ok"])


def with_engine(cell: Cell, work: Callable[[], T], refused: Callable[[T], bool] = lambda _result: False) -> T:
    """Return what work gives; where the engine does not answer it is waited for, and the work is done once more.

    refused: whether a result lacks what the engine did not answer.
    """
    try:
        result = work()
    except NodeError as exc:
        if exc.kind not in PATIENCE_S or not wait(cell):
            raise
        return work()
    return work() if refused(result) and wait(cell) else result


def _awaited(cell: Cell, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Return the facts of the engine; one that is away in one of these ways is waited for."""
    engine = _engine(cell)
    if engine["ok"] or engine["error_kind"] not in kinds:
        return engine
    cell.event(f"the Docker engine of {cell.node} does not answer: {engine['error']}", level="warning")
    began, before_s = cell.clock(), (cell.board.read(f"{AWAITED}{cell.node}") or {"seconds": 0.0})["seconds"]
    spent_s = before_s
    while not engine["ok"] and engine["error_kind"] in kinds and spent_s < _patience_s(cell, engine["error_kind"]):
        cell.sleep(AGAIN_S)
        engine = _engine(cell)
        spent_s = before_s + cell.clock() - began
    _tell(cell, spent_s)
    return engine


def _tell(cell: Cell, seconds: float) -> None:
    """Note for how long the engine was waited for, and tell the reader of the result."""
    cell.board.post(f"{AWAITED}{cell.node}", {"seconds": seconds})
    message = f"the Docker engine of {cell.node} did not answer and was waited for, {seconds:.0f} s in all"
    cell.board.post(f"warning.{AWAITED}{cell.node}", {"message": message})


def _patience_s(cell: Cell, kind: str) -> float:
    """Return how long an engine is waited for; the leases of the other nodes, which wait as well, must last longer."""
    return min(PATIENCE_S[kind], cell.plan.lease_ttl_s / 2)


def _engine(cell: Cell) -> dict[str, Any]:
    engine: dict[str, Any] = cell.client.call("facts", paths=[], deep=False)["engine"]
    return engine


def blamed(cell: Cell, failure: StepFailure) -> StepFailure:
    """Return a failure of a service, or that of the Docker engine which has ended it."""
    found = fault(cell, failure.kind)
    if found is None:
        return failure
    return StepFailure(
        found.kind, f"{found.words}; with it ended {failure}", service=failure.service, evidence=failure.evidence
    )
