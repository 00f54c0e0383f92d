# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a file system still takes anything."""

from __future__ import annotations

import os
from dataclasses import dataclass

FULL_BELOW_BYTES = 64 << 10  # what a full file system may have left in blocks that nobody gets


@dataclass(frozen=True)
class Fault:
    """Why nothing more can be written. kind: an error kind; what: words that follow `the file system`."""

    kind: str
    what: str


def fault(folder_fd: int) -> Fault | None:
    """Return what is wrong with the file system of an open folder, None for one that takes data."""
    return judged(os.fstatvfs(folder_fd))


def judged(seen: os.statvfs_result) -> Fault | None:
    """Return what is wrong with a file system, by its figures."""
    blocks = seen.f_bfree if os.geteuid() == 0 else seen.f_bavail
    if seen.f_flag & os.ST_RDONLY:
        return Fault("fs_readonly", "is read-only")
    if seen.f_blocks and blocks * seen.f_frsize < FULL_BELOW_BYTES:
        return Fault("disk_full", f"is full ({blocks * seen.f_frsize} bytes are free)")
    if seen.f_files and not seen.f_ffree:
        return Fault("disk_full", "is full (no inode is free)")
    return None
