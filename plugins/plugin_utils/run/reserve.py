# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Room on the controller's disk: what a run sets aside to finish with, and what is said when there is no more."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from . import atomic

NAME = ".reserve"
# Journal, notes and reports of one case are far below this; it is given up whole as soon as the disk is full.
BYTES = 4 << 20
# Of that, what files from the nodes may not take, so that a report can still be written.
TO_FINISH_BYTES = BYTES // 2
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
T = TypeVar("T")


def free_bytes(folder: Path) -> int:
    """Return how much this user can still write below the folder or, while that is not there, the nearest one above."""
    place = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
    seen = os.statvfs(place)
    return (seen.f_bfree if os.geteuid() == 0 else seen.f_bavail) * seen.f_frsize


def has_room(run_dir: Path) -> bool:
    """Return whether the run has its reserve, which is set aside here where it is missing."""
    path = run_dir / NAME
    with suppress(FileNotFoundError):
        return path.stat().st_size == BYTES
    try:
        atomic.write_bytes(path, os.urandom(1 << 16) * (BYTES >> 16), durable=False)
    except OSError as exc:
        if exc.errno in FULL:
            return False
        raise
    return True


def give_up(run_dir: Path) -> None:
    """Free the reserve, when the disk is full and what is left has to be written."""
    (run_dir / NAME).unlink(missing_ok=True)


def with_reserve(run_dir: Path, work: Callable[[], T]) -> T:
    """Return what work returns; on a full disk the reserve is given up and the work done once more."""
    try:
        return work()
    except OSError as exc:
        if exc.errno not in FULL:
            raise
    give_up(run_dir)
    return work()


def shortage(folder: Path, needed: int) -> str:
    """Return the words for a folder whose disk lacks room. needed: bytes."""
    return f"the disk of {folder} is full: {needed} bytes are needed there, {free_bytes(folder)} are free"
