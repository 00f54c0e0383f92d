# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk on which an engine keeps images and containers: when it is full, services fail by it and seldom say so."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TypeVar

from . import room
from .engine import Engine
from .errors import CellError
from .objects import Death
from .readiness import State

End = TypeVar("End", Death, State)


def blamed(engine: Engine, end: End) -> End:
    """Return how a service ended; an exit with an error, where the engine's disk takes nothing more, is the disk's."""
    if end.error_kind != "container_exited" or not end.exit_code:
        return end
    fault = _fault(engine)
    if fault is None:
        return end
    return replace(end, error_kind=fault.kind, detail=f"{end.detail}; the disk of its engine {fault.what}")


def _fault(engine: Engine) -> room.Fault | None:
    """Return what is wrong with the disk, None for one that takes data or that is not of this machine."""
    try:
        return room.judged(os.statvfs(engine.info()["DockerRootDir"]))
    except (CellError, OSError, KeyError):
        return None
