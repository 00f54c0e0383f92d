# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds `kill` (its first process is killed at once) and `restart` (it is stopped as an operator would): a container that is down.

Both are undone by starting the same container again, so that Compose goes on knowing it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from ..engine import Engine
from ..errors import CellError
from ..params import integer
from . import boxes
from .fault import Aim, Effect, Gone, Place

START_S = 60.0
GRACE_S, MOST_GRACE_S = 10, 20  # the beginning of a fault has a limit of time of its own


class Ending(boxes.OfBox, ABC):
    """A container that is ended, and started again as the undo."""

    kind = ""

    def inject(self, place: Place, aim: Aim, undo: dict[str, Any]) -> None:
        """End the container."""
        try:
            self._end(place.engine, aim)
        except CellError as exc:
            box = boxes.look(place.engine, aim.container)
            if box is None or not box.running:
                raise Gone(f"container {aim.container[:12]} had ended by itself: {exc}") from exc
            raise

    @abstractmethod
    def _end(self, engine: Engine, aim: Aim) -> None:
        """End the container."""

    def effect(self, place: Place, aim: Aim, undo: dict[str, Any]) -> Effect:
        """Measure whether its first process is gone."""
        box = boxes.look(place.engine, aim.container)
        if box is None:
            return Effect(True, {"running": 0}, "the container is gone")
        measured = {"running": int(box.running), **({} if box.running else {"exit_code": box.exit_code})}
        return Effect(not box.running, measured, f"container {box.name} runs" if box.running else "")

    def undo(self, place: Place, undo: dict[str, Any]) -> None:
        """Start the container again, unless it was meanwhile.

        Where its end was half begun it is ended now: the engine goes on with what it was asked for, and a signal that was
        sent may be acted on later than this.
        """
        if place.half and _is(place.engine, undo, running=True):
            place.engine.stop(undo["container"], 0)
        if _is(place.engine, undo, running=False):
            place.engine.start(undo["container"], START_S)

    def left(self, place: Place, undo: dict[str, Any]) -> list[str]:
        """Return that it has not been started since; one that has ended again by itself has been."""
        down = _is(place.engine, undo, running=False)
        return [f"container {undo['container'][:12]} has not been started again"] if down else []


def _is(engine: Engine, undo: dict[str, Any], *, running: bool) -> bool:
    """Return whether a container has not been started since the fault was prepared, and runs or does not."""
    box = boxes.look(engine, undo["container"])
    return box is not None and box.running is running and box.started == undo["started"]


class Kill(Ending):
    """SIGKILL to the container's first process: its other processes go with it."""

    kind = "kill"

    def _end(self, engine: Engine, aim: Aim) -> None:
        engine.kill(aim.container)


class Restart(Ending):
    """TERM, and KILL after params.grace_s (10 s): a stop as an operator does it."""

    kind = "restart"

    def lacking(self, place: Place, params: Mapping[str, Any]) -> str:
        """Return "" where the parameters are right."""
        _grace(params)
        return super().lacking(place, params)

    def _end(self, engine: Engine, aim: Aim) -> None:
        engine.stop(aim.container, _grace(aim.params))


def _grace(params: Mapping[str, Any]) -> int:
    return integer(params, "grace_s", GRACE_S, 0, MOST_GRACE_S)


KINDS = {"kill": Kill(), "restart": Restart()}
