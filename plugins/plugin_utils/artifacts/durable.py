# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A folder made durable as a whole: all that is in it is on the disk, or an error says that it is not."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any

# From so many files on, one call for all of the file system is cheaper than one for each file.
MANY = 32


def sync(folder_fd: int, files: int) -> None:
    """Make the files and folders below an open folder durable. files: about how many there are."""
    syncfs = _syncfs()
    if files < MANY or syncfs is None:
        _each(folder_fd)
    elif syncfs(folder_fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@cache
def _syncfs() -> Any:
    """Return the C library's syncfs, None where it has none."""
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


def _each(folder_fd: int) -> None:
    for _, _, names, fd in os.fwalk(".", dir_fd=folder_fd):
        for name in names:
            _flush(name, fd)
        os.fsync(fd)


def _flush(name: str, folder_fd: int) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder_fd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
