# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container as faults look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..engine import Engine
from ..errors import CellError
from .fault import Aim, Gone, Place

CALL_S = 30.0


@dataclass(frozen=True)
class Box:
    """How a container stands. pid: of its first process on the node, 0 where it does not run; started: the engine's stamp."""

    name: str
    running: bool
    paused: bool
    pid: int
    started: str
    exit_code: int


def look(engine: Engine, container: str) -> Box | None:
    """Return how a container stands, None where it does not exist any more."""
    try:
        record = engine.inspect(container, CALL_S)
    except CellError as exc:
        if exc.kind != "container_gone":
            raise
        return None
    state = record.get("State") or {}
    return Box(
        name=str(record.get("Name") or "").lstrip("/"),
        running=bool(state.get("Running")),
        paused=bool(state.get("Paused")),
        pid=int(state.get("Pid") or 0),
        started=str(state.get("StartedAt") or ""),
        exit_code=int(state.get("ExitCode") or 0),
    )


class OfBox:
    """What all faults have in common that the engine itself does to a container."""

    def lacking(self, place: Place, params: Mapping[str, Any]) -> str:
        """Return "": an engine is all that is needed."""
        place.engine.version()
        return ""

    def prepare(self, place: Place, aim: Aim) -> dict[str, Any]:
        """Return which container it is, and which start of it the fault is for: a later one is not ours."""
        box = look(place.engine, aim.container)
        if box is None or not box.running:
            raise Gone(f"container {aim.container[:12]} does not run")
        return {"container": aim.container, "started": box.started}
