# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kind of fault is: how it is begun, felt, undone and proved to be gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..context import Context
from ..engine import Engine


@dataclass(frozen=True)
class Place:
    """Where a fault is worked on. The node, its engine, and a folder below the node root.

    folder: the event's own, for what a kind must keep; a kind makes it where it needs it, and it is removed once the fault is
    undone. id: the event's, "" where there is none yet (`lacking`). expires: when the fault must be over (seconds since boot); a
    process that a kind starts ends by itself then. half: whoever set about injecting the fault has not come to its end.
    """

    ctx: Context
    engine: Engine
    folder: Path
    id: str = ""
    expires: float = 0.0
    half: bool = False


@dataclass(frozen=True)
class Aim:
    """What a fault is aimed at. service and container (its full id) are "" and pid is 0 for the node itself.

    pid: that of the container's first process on the node, 0 where it does not run.
    """

    service: str
    container: str
    pid: int
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Effect:
    """What a measurement says. applied: whether the fault is felt now; measured: name (with its unit) -> number or text."""

    applied: bool
    measured: Mapping[str, Any]
    why: str = ""


class Gone(Exception):
    """The target of a fault is not there any more, and whatever was done to it has gone with it."""


class Fault(Protocol):
    """One kind of fault. Whatever cannot be done is raised as a CellError or OSError; a target that has gone as Gone.

    Nothing is kept in the object: undo and left are asked by other processes, too, and after the target is gone.
    """

    @property
    def kind(self) -> str:
        """Return the kind's name in a plan."""

    def lacking(self, place: Place, params: Mapping[str, Any]) -> str:
        """Return why this node cannot do it with these parameters, "" where it can; changes nothing."""

    def prepare(self, place: Place, aim: Aim) -> dict[str, Any]:
        """Return all that undo and left need, as plain JSON values; changes nothing."""

    def inject(self, place: Place, aim: Aim, undo: dict[str, Any]) -> None:
        """Begin the fault."""

    def effect(self, place: Place, aim: Aim, undo: dict[str, Any]) -> Effect:
        """Measure whether the fault is felt now; before it is injected, the answer is no."""

    def undo(self, place: Place, undo: dict[str, Any]) -> None:
        """End the fault, whether it was begun, half begun or ended already; touch nothing that is not ours."""

    def left(self, place: Place, undo: dict[str, Any]) -> list[str]:
        """Return what is still there of it, in words; an empty list is proof, so what cannot be looked at is raised."""
