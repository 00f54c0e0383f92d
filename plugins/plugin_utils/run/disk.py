# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The disk that holds the results: how much room it has, and when that is worth a warning."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..scenario.run_settings import DiskLimits
from . import reserve

NEXT = "`testcell results prune` removes old runs"


@dataclass(frozen=True)
class Disk:
    """A disk in bytes. free: what this user can still write."""

    total: int
    free: int


def look(folder: Path) -> Disk:
    """Return the disk of a folder or, while that is not there, of the nearest one above it."""
    place = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    seen = os.statvfs(place)
    return Disk(seen.f_blocks * seen.f_frsize, reserve.free_bytes(place))


def low(folder: Path, disk: Disk, limits: DiskLimits) -> list[str]:
    """Return the warning for a disk with little room left, nothing for one with enough."""
    percent = 100 * disk.free / max(disk.total, 1)
    if percent >= limits.warn_free_percent:
        return []
    room = f"{disk.free} bytes free ({percent:.1f} %), under results.warn_free_percent {limits.warn_free_percent} %"
    return [f"the disk of {folder} has {room}; {NEXT}"]


def large(folder: Path, used: int, disk: Disk, limits: DiskLimits) -> list[str]:
    """Return the warning for results that take much of their disk, nothing for others. used: bytes."""
    percent = 100 * used / max(disk.total, 1)
    if percent <= limits.warn_share_percent:
        return []
    share = f"{percent:.1f} % of its disk, over results.warn_share_percent {limits.warn_share_percent} %"
    return [f"{folder} holds {used} bytes, {share}; {NEXT}"]
