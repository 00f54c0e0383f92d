# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of samples: whole lines only, written as they come, never over its cap.

When it is full every second line goes, by a new file that takes its place, and the interval doubles: a file that was begun
by the second tells of the whole soak, however long that is.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress

from ..beneath import FILE_FLAGS
from ..durable import WRITE_FLAGS, write_all

NAME, TEMP = "samples.jsonl", ".samples.tmp"
APPEND_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
BLOCK_BYTES = 1 << 20
AGAIN_AFTER = 30
_INTERVAL = re.compile(rb'"i":([0-9.]+)')


class Lines:
    """The open file. interval_s: from one line to the next; it doubles with each halving. lines, size: what it holds."""

    def __init__(self, folder_fd: int, cap_bytes: int, interval_s: float) -> None:
        self.interval_s = interval_s
        self.lines = self.size = 0
        self._folder, self._cap = folder_fd, cap_bytes
        self._swap = threading.Lock()
        self._refused = 0
        self._fd = self._opened()
        self.lines = sum(1 for _ in self._kept())

    def _opened(self) -> int:
        fd = os.open(NAME, APPEND_FLAGS, 0o600, dir_fd=self._folder)
        self.size = os.fstat(fd).st_size
        return fd

    def add(self, line: bytes) -> None:
        """Append a line, its newline included, whole or not at all; raise OSError where that is not possible."""
        if self.size + len(line) > self._cap:
            self._make_room()
            line = _doubled(line)
        if self.size + len(line) > self._cap:
            raise OSError(errno.EFBIG, f"a line of {len(line)} bytes has no room below {self._cap} bytes")
        try:
            write_all(self._fd, line)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._fd, self.size)  # a full disk takes a part of a line
            raise
        self.size += len(line)
        self.lines += 1

    def sync(self) -> None:
        """Put what was written on the disk; another thread may add lines meanwhile."""
        with self._swap:
            fd = os.dup(self._fd)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Close the file, on the disk as far as that takes it."""
        with suppress(OSError):
            self.sync()
        os.close(self._fd)

    def _make_room(self) -> None:
        """Halve the file; where that failed it is tried again some lines later, since it moves all that is there."""
        self._refused = (self._refused + 1) % AGAIN_AFTER
        if self._refused != 1:
            raise OSError(errno.ENOSPC, "the file of samples is full, and there was no room to halve it")
        self._halve()
        self._refused = 0

    def _halve(self) -> None:
        """Put a file with every second line in place, each with twice its interval; the line that comes next is one more."""
        odd = self.lines % 2
        fd = os.open(TEMP, WRITE_FLAGS, 0o600, dir_fd=self._folder)
        try:
            with os.fdopen(os.dup(fd), "wb", BLOCK_BYTES) as out:
                for number, line in enumerate(self._kept()):
                    if number % 2 == odd:
                        out.write(_doubled(line))
            os.fsync(fd)
            os.rename(TEMP, NAME, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError:
            with suppress(OSError):
                os.unlink(TEMP, dir_fd=self._folder)
            raise
        finally:
            os.close(fd)
        with self._swap:
            os.close(self._fd)
            self._fd = self._opened()
        self.lines //= 2
        self.interval_s *= 2

    def _kept(self) -> Iterator[bytes]:
        with os.fdopen(os.open(NAME, FILE_FLAGS, dir_fd=self._folder), "rb", BLOCK_BYTES) as source:
            yield from source


def _doubled(line: bytes) -> bytes:
    return _INTERVAL.sub(lambda found: b'"i":' + repr(2 * float(found.group(1))).encode(), line, count=1)
