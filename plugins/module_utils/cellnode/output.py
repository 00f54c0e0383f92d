# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pipe between a command and its log: emptied at any speed, whatever the log does with the bytes."""

from __future__ import annotations

import os
import select
import time

from . import pipes
from .logfile import CappedLog

READ_BYTES = 1 << 20
READS = 8  # reads in a row before limits and requests are looked at again


class Output:
    """The reading end; fd is -1 once every writer is gone."""

    def __init__(self, log: CappedLog) -> None:
        self.log = log
        self.fd = -1

    def open(self) -> int:
        """Make the pipe and return its writing end."""
        self.fd, writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.fd, False)
        pipes.widen(self.fd)
        return writer

    def take(self) -> None:
        """Move what is in the pipe to the log, a bounded amount at a time."""
        for _ in range(READS):
            try:
                data = os.read(self.fd, READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                os.close(self.fd)
                self.fd = -1
                return
            self.log.write(data)

    def drain(self, limit_s: float) -> None:
        """Take what is left without waiting for a writer that still holds the other end."""
        deadline = time.monotonic() + limit_s
        while self.fd >= 0 and time.monotonic() < deadline and select.select([self.fd], [], [], 0.0)[0]:
            self.take()
