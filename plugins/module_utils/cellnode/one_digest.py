# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The digest of one file, provided that it stays what it is."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass

from .beneath import open_regular
from .errors import CellError
from .walk import same

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Digested:
    """A file that was read. mode: permission bits; sha256: hex."""

    size: int
    mode: int
    sha256: str


def digested(folder_fd: int, name: str, path: str) -> Digested:
    """Return what a file is, read through one descriptor; raise artifact_changed when it was written meanwhile."""
    fd = open_regular(folder_fd, name, path)
    try:
        before, total, sha256 = os.fstat(fd), 0, hashlib.sha256()
        while total < before.st_size:
            block = os.pread(fd, min(BLOCK_BYTES, before.st_size - total), total)
            if not block:
                break
            sha256.update(block)
            total += len(block)
        after = os.fstat(fd)
    finally:
        os.close(fd)
    if total != before.st_size or not same(before, after):
        why = f"{path!r} changed while it was read ({before.st_size} bytes before, {after.st_size} after)"
        raise CellError("artifact_changed", why, path=path)
    return Digested(total, stat.S_IMODE(before.st_mode), sha256.hexdigest())
