# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk on which an engine keeps images and containers: when it is full, services fail by it and seldom say so."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TypeVar

from . import room
from .objects import Death
from .readiness import State

End = TypeVar("End", Death, State)


def blamed(folder: str, end: End) -> End:
    """Return how a service ended; an exit with an error, where the engine's disk takes nothing more, is the disk's.

    folder: the engine's own, "" where it is not known.
    """
    if not folder or end.error_kind != "container_exited" or not end.exit_code:
        return end
    fault = _fault(folder)
    if fault is None:
        return end
    return replace(end, error_kind=fault.kind, detail=f"{end.detail}; the disk of its engine {fault.what}")


def _fault(folder: str) -> room.Fault | None:
    """Return what is wrong with the disk, None for one that takes data or that is not of this machine."""
    try:
        return room.judged(os.statvfs(folder))
    except OSError:
        return None
