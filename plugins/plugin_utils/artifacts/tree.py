# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a folder holds, brought down to files that are known."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Set
from typing import NoReturn


def clear(base_fd: int, known: Set[str]) -> dict[str, tuple[int, int]]:
    """Remove all below an open folder but the regular files of known paths; return path -> (size, mtime_ns) of these."""
    kept: dict[str, tuple[int, int]] = {}
    for root, folders, names, fd in os.fwalk(".", topdown=False, onerror=stop, dir_fd=base_fd):
        prefix = "" if root == "." else root[2:] + "/"
        for name in names:
            info = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if prefix + name in known and stat.S_ISREG(info.st_mode):
                kept[prefix + name] = (info.st_size, info.st_mtime_ns)
            else:
                os.unlink(name, dir_fd=fd)
        for name in folders:
            _remove_empty(name, fd)
    return kept


def stop(exc: OSError) -> NoReturn:
    """Raise what keeps a walk out of a folder; it would leave the folder out by itself."""
    raise exc


def _remove_empty(name: str, folder_fd: int) -> None:
    """Remove a folder in which nothing is left, or a link to one."""
    if stat.S_ISLNK(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=folder_fd)
        return
    try:
        os.rmdir(name, dir_fd=folder_fd)
    except OSError as exc:
        if exc.errno != errno.ENOTEMPTY:
            raise
