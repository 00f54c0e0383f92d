# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A folder made durable as a whole: all that is in it is on the disk, or an error says that it is not."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

from ...module_utils.cellnode.walk import Folders
from .tree import stop

# From so many files on, one call for all of the file system is cheaper than one for each file.
MANY = 32


def sync(folder_fd: int, files: int) -> None:
    """Make the files and folders below an open folder durable. files: about how many there are."""
    if not at_once(folder_fd, files):
        _each(folder_fd)


def sync_names(folder_fd: int, paths: Collection[str]) -> None:
    """Make the names of durable files durable that were moved below an open folder; what else is there is left alone."""
    if at_once(folder_fd, len(paths)):
        return
    folders = Folders(folder_fd)
    try:
        for prefix in sorted(_on_the_way(paths)):
            os.fsync(folders.at(prefix))
    finally:
        folders.close()


def _on_the_way(paths: Iterable[str]) -> set[str]:
    """Return the folders that paths lead through, with a slash behind; "" for the one that they start at."""
    found = {""}
    for path in paths:
        prefix = path[: path.rfind("/") + 1]
        while prefix not in found:
            found.add(prefix)
            prefix = prefix[: prefix.rfind("/", 0, -1) + 1]
    return found


def at_once(folder_fd: int, files: int) -> bool:
    """Make all of the file system durable where that is cheaper, and return whether that was done."""
    syncfs = _syncfs()
    if files < MANY or syncfs is None:
        return False
    if syncfs(folder_fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return True


@cache
def _syncfs() -> Any:
    """Return the C library's syncfs, None where it has none."""
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


def _each(folder_fd: int) -> None:
    for _, _, names, fd in os.fwalk(".", dir_fd=folder_fd, onerror=stop):
        for name in names:
            _flush(name, fd)
        os.fsync(fd)


def _flush(name: str, folder_fd: int) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder_fd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
