# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds `stop` (SIGSTOP to every process of a container) and `pause` (the engine freezes it): there, but it does nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from .. import procs
from ..errors import CellError
from ..procs import STOPPED, Proc
from . import boxes
from .fault import Aim, Effect, Gone, Place

LOOKS = 50  # processes that fork while they are stopped are found by the next look


class Stop:
    """Every process of a container is stopped; one that was stopped before stays so at the end."""

    kind = "stop"

    def lacking(self, place: Place, params: Mapping[str, Any]) -> str:
        """Return that only root may stop the processes of containers."""
        return "" if os.geteuid() == 0 else "only root may stop the processes of containers"

    def prepare(self, place: Place, aim: Aim) -> dict[str, Any]:
        """Return which processes of the container were stopped already; a frozen one would stop after everything is over."""
        box = boxes.look(place.engine, aim.container)
        if box is not None and box.paused:
            why = f"container {box.name} is paused: its processes cannot be stopped until it goes on"
            raise CellError("chaos_unsupported", why)
        if procs.container_of(aim.pid) != aim.container:
            raise Gone(f"no process of container {aim.container[:12]} is seen from the node")
        stopped = [[proc.pid, proc.start] for proc, state in _inside(aim.container) if state in STOPPED]
        return {"container": aim.container, "before": stopped}

    def inject(self, place: Place, aim: Aim, undo: dict[str, Any]) -> None:
        """Stop one process after the other until a look finds none that runs."""
        for _ in range(LOOKS):
            running = [proc for proc, state in _inside(aim.container) if state not in STOPPED]
            if not running:
                return
            for proc in running:
                procs.send(proc, signal.SIGSTOP)
        why = "forks faster than it can be stopped, or is frozen"
        raise CellError("chaos_unsupported", f"container {aim.container[:12]} {why}")

    def effect(self, place: Place, aim: Aim, undo: dict[str, Any]) -> Effect:
        """Measure how many of the container's processes are stopped."""
        found = _inside(aim.container)
        stopped = sum(state in STOPPED for _, state in found)
        applied = bool(found) and stopped == len(found)
        why = "" if applied else f"{stopped} of {len(found)} processes are stopped"
        return Effect(applied, {"processes": len(found), "stopped": stopped}, why)

    def undo(self, place: Place, undo: dict[str, Any]) -> None:
        """Let them go on, but for those that were stopped before; a stop that they have not taken yet is taken back by that."""
        for proc in _still(undo):
            procs.send(proc, signal.SIGCONT)

    def left(self, place: Place, undo: dict[str, Any]) -> list[str]:
        """Return the processes that are stopped and were not before."""
        return [f"process {proc.pid} ({procs.cmdline(proc.pid)}) is stopped, or will be" for proc in _still(undo)]


def _inside(container: str) -> list[tuple[Proc, str]]:
    """Return the living processes of a container, each with the letter of its state."""
    found = []
    for pid in procs.pids():
        if procs.container_of(pid) == container:
            stat = procs.read_stat(pid)
            if stat is not None and not stat.gone:
                found.append((Proc(pid, stat.start), stat.state))
    return found


def _still(undo: dict[str, Any]) -> list[Proc]:
    before = {Proc(pid, start) for pid, start in undo["before"]}
    found = _inside(undo["container"])
    stopped = (proc for proc, state in found if state in STOPPED or procs.stop_pending(proc.pid))
    return [proc for proc in stopped if proc not in before]


class Pause(boxes.OfBox):
    """The engine's own freezer."""

    kind = "pause"

    def inject(self, place: Place, aim: Aim, undo: dict[str, Any]) -> None:
        """Freeze it."""
        try:
            place.engine.pause(aim.container)
        except CellError as exc:
            box = boxes.look(place.engine, aim.container)
            if box is None or not box.running:
                raise Gone(f"container {aim.container[:12]} had ended by itself: {exc}") from exc
            raise

    def effect(self, place: Place, aim: Aim, undo: dict[str, Any]) -> Effect:
        """Measure whether it is frozen."""
        box = boxes.look(place.engine, aim.container)
        applied = box is not None and box.paused
        why = "" if applied else "the container is gone" if box is None else f"container {box.name} is not paused"
        return Effect(applied, {"paused": int(applied)}, why)

    def undo(self, place: Place, undo: dict[str, Any]) -> None:
        """Let it go on."""
        if self.left(place, undo):
            with suppress(CellError):  # it may end at this moment: what is left is asked afterwards
                place.engine.unpause(undo["container"])

    def left(self, place: Place, undo: dict[str, Any]) -> list[str]:
        """Return that it is still frozen."""
        box = boxes.look(place.engine, undo["container"])
        frozen = box is not None and box.paused and box.started == undo["started"]
        return [f"container {box.name} is paused"] if box and frozen else []


KINDS = {"stop": Stop(), "pause": Pause()}
