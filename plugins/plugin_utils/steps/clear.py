# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stop, clean and verify steps: by label and lease, never a wildcard; then proof that the node is as it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..report import differences
from ..verdict import kinds
from . import engine_life, lease
from .cell import Cell, StepFailure
from .record import failures

STOP_TIMEOUT_S = 10


def stop(cell: Cell) -> dict[str, Any]:
    """Stop this run's containers and processes on the node."""
    _spare_unused_engine(cell)
    result = engine_life.with_engine(cell, lambda: cell.client.call("stop", timeout_s=STOP_TIMEOUT_S), _lacks_engine)
    if result["errors"]:
        kind = _kind(result["errors"])
        raise StepFailure(kind, f"could not stop everything on {cell.node}: {_join(result['errors'])}")
    return {"stopped": len(result["stopped"])}


def clean(cell: Cell) -> dict[str, Any]:
    """Remove this run's containers, networks, volumes, processes and files from the node.

    The node itself cleans once more by force where that failed; what remains then is a StepFailure.
    """
    _spare_unused_engine(cell)
    tries: list[dict[str, Any]] = []

    def once() -> dict[str, Any]:
        tries.append(cell.client.call("clean"))
        return tries[-1]

    engine_life.with_engine(cell, once, _lacks_engine)
    result = _in_all(tries)
    if result["emergency"]:
        cell.event(f"{cell.node} needed emergency cleaning: {_join(result['cause'])}", level="warning")
    cell.board.post(f"cleaned.{cell.node}", result)
    if result["errors"]:
        kind = _kind(result["errors"])
        raise StepFailure(kind, f"{cell.node} could not be cleaned: {_join(result['errors'])}")
    return {**result["removed"], "seconds": result["seconds"], "emergency": result["emergency"]}


def _in_all(tries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the tries of a cleaning have removed together, and what would not go at last."""
    removed = {kind: sum(one["removed"][kind] for one in tries) for kind in tries[-1]["removed"]}
    return {
        **tries[-1],
        "removed": removed,
        "seconds": sum(one["seconds"] for one in tries),
        "cause": [error for one in tries for error in one["cause"]],
        "emergency": any(one["emergency"] for one in tries),
    }


def verify(cell: Cell) -> dict[str, Any]:
    """Compare the node with its snapshot; a StepFailure lists what is left, with owner and age."""
    before = cell.board.read(f"snapshot.{cell.node}")
    if before is None:
        untouched = {"clean": True, "untouched": True}
        cell.board.post(f"verified.{cell.node}", untouched)
        return untouched
    result = engine_life.with_engine(cell, lambda: cell.client.call("verify", before=before), _lacks_engine)
    cell.board.post(f"verified.{cell.node}", result)
    for line in differences.told(result):
        cell.event(f"{cell.node}: {line}")
    if not result["clean"]:
        left = describe(result)
        kind = _kind(result["leftovers"])
        told = cell.client.call("quarantine", action="set", kind=kind, reason=f"it is not as it was: {left}")
        raise StepFailure(kind, f"{cell.node} is not as it was: {left}{_until(told)}")
    return {"clean": True, "foreign": len(result["foreign"])}


def _lacks_engine(result: dict[str, Any]) -> bool:
    """Return whether something failed since the engine did not answer."""
    return any(error.get("error_kind") in engine_life.PATIENCE_S for error in result["errors"])


def _kind(left: list[Any]) -> str:
    """Return chaos_not_reverted where a fault stays, process_leak where processes do, else cleanup_failed.

    left: errors of a cleaning, or leftovers.

    Where an engine that did not answer is all that was in the way, it is to blame.
    """
    if any(entry.get("error_kind") == "chaos_not_reverted" or entry.get("type") == "chaos" for entry in left):
        return "chaos_not_reverted"
    if any(entry.get("error_kind") == "process_leak" or entry.get("type") == "process" for entry in left):
        return "process_leak"
    found = {entry.get("error_kind") for entry in left}
    return str(next(iter(found))) if len(found) == 1 and found <= engine_life.PATIENCE_S.keys() else "cleanup_failed"


def close(cell: Cell) -> dict[str, Any]:
    """Verify the node, tell it of its faults, and give it back after its last case whatever became of that."""
    try:
        return verify(cell)
    finally:
        try:
            _blame(cell)
        finally:
            lease.release(cell)


def _blame(cell: Cell) -> None:
    """Tell the node that this run failed by a fault of it: the third such run of a day keeps all others away."""
    own = [note["error_kind"] for note in failures(cell.board) if note["node"] == cell.node]
    kind = next(filter(kinds.of_a_broken_node, own), "")
    if not kind:
        return
    told = cell.client.call("quarantine", action="blame", kind=kind)
    if told["quarantine"]:
        cell.event(f"{told['quarantine']['reason']}{_until(told)}", level="warning")


def _until(told: dict[str, Any]) -> str:
    """Return how long a quarantine keeps runs off the node, and how it is lifted."""
    held = told["quarantine"]
    hours = (held["until"] - held["since"]) / 3600
    return f"; no run gets it for {hours:g} h, until `testcell cleanup --all --lift`"


def describe(result: dict[str, Any]) -> str:
    """Return what verify found as a sentence part: each leftover with name, owner and age, then errors."""
    left = [differences.title(entry) for entry in result["leftovers"]]
    failed = [f"{error['what']} could not be listed {error['when']}: {error['error']}" for error in result["errors"]]
    return "; ".join([*left, *failed])


def _spare_unused_engine(cell: Cell) -> None:
    """Let the node be cleaned without an engine where prep took no snapshot: nothing of this case was given to one."""
    if cell.board.read(f"snapshot.{cell.node}") is None:
        cell.client.engine = False


def _join(errors: list[Any]) -> str:
    return "; ".join(
        error.get("message") or error.get("error") or str(error) if isinstance(error, dict) else str(error)
        for error in errors
    )
