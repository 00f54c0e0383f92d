# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stop, clean and verify steps: by label and lease, never a wildcard; then proof that the node is as it was."""

from __future__ import annotations

from typing import Any

from ..verdict import kinds
from . import lease
from .cell import Cell, StepFailure
from .record import failures

STOP_TIMEOUT_S = 10


def stop(cell: Cell) -> dict[str, Any]:
    """Stop this run's containers and processes on the node."""
    _spare_unused_engine(cell)
    result = cell.client.call("stop", timeout_s=STOP_TIMEOUT_S)
    if result["errors"]:
        raise StepFailure("cleanup_failed", f"could not stop everything on {cell.node}: {_join(result['errors'])}")
    return {"stopped": len(result["stopped"])}


def clean(cell: Cell) -> dict[str, Any]:
    """Remove this run's containers, networks, volumes, processes and files from the node; once more where it failed."""
    _spare_unused_engine(cell)
    result = cell.client.call("clean")
    if result["errors"]:
        cell.event(f"cleaning {cell.node} again: {_join(result['errors'])}", level="warning")
        again = cell.client.call("clean")
        result = {
            "removed": {k: v + again["removed"][k] for k, v in result["removed"].items()},
            "errors": again["errors"],
            "second_try": True,
        }
    cell.board.post(f"cleaned.{cell.node}", result)
    if result["errors"]:
        raise StepFailure("cleanup_failed", f"{cell.node} could not be cleaned: {_join(result['errors'])}")
    return dict(result["removed"])


def verify(cell: Cell) -> dict[str, Any]:
    """Compare the node with its snapshot; StepFailure cleanup_failed lists what is left, with owner and age."""
    before = cell.board.read(f"snapshot.{cell.node}")
    if before is None:
        return {"clean": True, "untouched": True}
    result = cell.client.call("verify", before=before)
    cell.board.post(f"verified.{cell.node}", result)
    if not result["clean"]:
        left = describe(result)
        told = cell.client.call(
            "quarantine", action="set", kind="cleanup_failed", reason=f"it is not as it was: {left}"
        )
        raise StepFailure("cleanup_failed", f"{cell.node} is not as it was: {left}{_until(told)}")
    return {"clean": True, "foreign": len(result["foreign"])}


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
    left = [
        f"{i['type']} {i.get('name') or i['id']} ({i.get('owner') or 'owner unknown'}, {i.get('age_s', '?')} s old)"
        for i in result["leftovers"]
    ]
    return "; ".join([*left, *(str(error) for error in result["errors"])])


def _spare_unused_engine(cell: Cell) -> None:
    """Let the node be cleaned without an engine where prep took no snapshot: nothing of this case was given to one."""
    if cell.board.read(f"snapshot.{cell.node}") is None:
        cell.client.engine = False


def _join(errors: list[Any]) -> str:
    return "; ".join(
        error.get("message") or error.get("error") or str(error) if isinstance(error, dict) else str(error)
        for error in errors
    )
