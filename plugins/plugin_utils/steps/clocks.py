# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lets the clock of a service jump: a library of its node, which its container loads from the start."""

from __future__ import annotations

import importlib
from typing import Any

from ..soak import schedule
from .cell import Cell

KIND = "clock_jump"
# Below the case's folder on the node: a folder for each service, which holds how far its clock is off.
FOLDER = "clock"
# Notes of a case: the library of a node, `clock.<node>`.
LIBRARY = "clock."


def services(cell: Cell) -> list[str]:
    """Return the services of this node whose clock the plan sets, in the order of their names."""
    planned = schedule.of_data(cell.case.soak.get("schedule", ()))
    return sorted({one.service for one in planned if one.kind == KIND and one.node == cell.node})


def keep(cell: Cell, library: str) -> None:
    """Note the library that the node has found, a path there; it is needed when the containers are made."""
    cell.board.post(f"{LIBRARY}{cell.node}", {"path": library})


def folders(cell: Cell) -> list[str]:
    """Return the folders that must be there before the containers are made, relative to the case's folder on the node."""
    return [f"{FOLDER}/{service}" for service in services(cell)]


def preloads(cell: Cell, case_folder: str) -> dict[str, dict[str, Any]]:
    """Return service -> {environment, volumes} that its container needs. case_folder: path of the case on the node."""
    wanted = services(cell)
    if not wanted:
        return {}
    library = (cell.board.read(f"{LIBRARY}{cell.node}") or {})["path"]
    # Few cases need it, and each step runs in a process of its own, to which it would be new.
    clock = importlib.import_module("...module_utils.cellnode.chaos.clock", __package__)
    return {service: clock.preload(library, f"{case_folder}/{FOLDER}/{service}") for service in wanted}
