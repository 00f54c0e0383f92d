# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files put into another folder of the same machine: sharing their blocks where the file system can, copied where not."""

from __future__ import annotations

import fcntl
import os

from .context import os_error_kind
from .errors import CellError
from .walk import Folders, Found

FICLONE = 0x40049409
FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Placing:
    """The folder that is filled. What is left there of an earlier transfer is replaced."""

    def __init__(self, base_fd: int) -> None:
        self._folders = Folders(base_fd, make=True)
        self._placed: set[tuple[int, int]] = set()

    def create(self, found: Found) -> int:
        """Return the descriptor of a new empty file; artifact_unsafe_path where another file of ours has its name."""
        try:
            fd = self._made(found)
        except OSError as exc:
            message = f"the copy of {found.path!r} cannot be made: {exc.strerror}"
            raise CellError(os_error_kind(exc), message, errno=exc.errno) from exc
        info = os.fstat(fd)
        self._placed.add((info.st_dev, info.st_ino))
        return fd

    def _made(self, found: Found) -> int:
        folder_fd = self._folders.at(found.prefix)
        try:
            return os.open(found.name, FLAGS, 0o600, dir_fd=folder_fd)
        except FileExistsError:
            there = os.stat(found.name, dir_fd=folder_fd, follow_symlinks=False)
            if (there.st_dev, there.st_ino) in self._placed:
                why = "the file system there holds its name for that of another file"
                raise CellError("artifact_unsafe_path", why, path=found.path) from None
        os.unlink(found.name, dir_fd=folder_fd)
        return os.open(found.name, FLAGS, 0o600, dir_fd=folder_fd)

    def remove(self, found: Found) -> None:
        """Remove a file that was created."""
        os.unlink(found.name, dir_fd=self._folders.at(found.prefix))

    def close(self) -> None:
        """Let go of the open folders."""
        self._folders.close()


def shared(source_fd: int, target_fd: int) -> bool:
    """Let target be the same blocks as source; return False where the file system cannot do that."""
    try:
        fcntl.ioctl(target_fd, FICLONE, source_fd)
    except OSError:
        return False
    return True
