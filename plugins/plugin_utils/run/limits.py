# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the controller's own system refuses: memory, descriptors, processes, a disk that may not be written."""

from __future__ import annotations

import errno

RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS})
NO_THREAD = "can't start new thread"


def kind_of(exc: BaseException) -> str:
    """Return the error kind of an exception that a limit or the disk of this machine caused, "" for any other."""
    if isinstance(exc, MemoryError) or (isinstance(exc, RuntimeError) and NO_THREAD in str(exc)):
        return "resource_limit"
    if not isinstance(exc, OSError):
        return ""
    kinds = {errno.ENOSPC: "disk_full", errno.EDQUOT: "disk_full", errno.EROFS: "fs_readonly", errno.EIO: "io_error"}
    return "resource_limit" if exc.errno in RESOURCES else kinds.get(exc.errno or 0, "")
