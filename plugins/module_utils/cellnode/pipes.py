# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The room of a pipe: with more of it, the two ends wait less for each other."""

from __future__ import annotations

import fcntl
from contextlib import suppress

F_SETPIPE_SZ = 1031
PIPE_BYTES = 1 << 20  # what the kernel gives anybody


def widen(fd: int) -> None:
    """Give the pipe behind a descriptor its largest room; what is no pipe, or is not allowed to, stays as it is."""
    with suppress(OSError):
        fcntl.fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES)
