# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of a soak, which stay within a limit and survive a full disk: a line is in them whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

MIB = 1024 * 1024
MOST_WAITING = 360  # an hour of windows


def line_of(value: Mapping[str, Any]) -> bytes:
    """Return a value as one line of JSON."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode() + b"\n"


class LineFile:
    """A new file of lines."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._digest = hashlib.sha256()
        self._lines = 0
        self.size = 0

    def put(self, line: bytes) -> bool:
        """Append a line and return whether that was possible; what was written of one that had no room is taken back."""
        written = 0
        try:
            while written < len(line):
                written += os.pwrite(self._descriptor, line[written:], self.size + written)
        except OSError:
            with suppress(OSError):  # the next line is written over it
                os.ftruncate(self._descriptor, self.size)
            return False
        self.size += len(line)
        self._lines += 1
        self._digest.update(line)
        return True

    def sync(self) -> None:
        """Bring what was written to the disk; one that cannot take it now is asked again after the next line."""
        with suppress(OSError):
            os.fsync(self._descriptor)

    def facts(self) -> dict[str, Any]:
        """Return what a reader needs to prove that it has the whole file."""
        return {"name": self._name, "lines": self._lines, "sha256": self._digest.hexdigest()}

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        os.close(self._descriptor)


class WaitingLines:
    """Lines that all matter: what the disk does not take now is written later, in order; lost counts those it never took."""

    def __init__(self, path: Path, most_waiting: int = MOST_WAITING) -> None:
        self.file = LineFile(path)
        self._most = most_waiting
        self._waiting: deque[bytes] = deque()
        self._dropped = 0

    @property
    def lost(self) -> int:
        """Return how many lines are not in the file."""
        return self._dropped + len(self._waiting)

    def append(self, value: Mapping[str, Any]) -> None:
        """Write a value as a line, after those that wait; when too many do, the oldest is dropped."""
        self._waiting.append(line_of(value))
        while self._waiting and self.file.put(self._waiting[0]):
            self._waiting.popleft()
        if len(self._waiting) > self._most:
            self._waiting.popleft()
            self._dropped += 1


class SomeRequests:
    """The requests of a soak in at most `most` bytes: the first, then all failures while there is room, then the last.

    7/16 of the room are for the first, 8/16 for failures after them, 1/16, kept in memory until the end, for the last.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._file = LineFile(path)
        self._first, self._failures, self._room_for_last = most * 7 // 16, most * 15 // 16, most // 16
        self._last: deque[tuple[bool, bytes]] = deque()
        self._last_size = 0
        self.left_out = {"completed": 0, "failed": 0}

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a record, keep it among the last, or leave it out."""
        line, failed = line_of(record), not record["ok"]
        if self._file.size + len(line) <= (self._failures if failed else self._first):
            self._count_out(failed, not self._file.put(line))
            return
        self._last.append((failed, line))
        self._last_size += len(line)
        while self._last_size > self._room_for_last:
            old_failed, old = self._last.popleft()
            self._last_size -= len(old)
            self._count_out(old_failed, True)

    def _count_out(self, failed: bool, is_out: bool) -> None:
        self.left_out["failed" if failed else "completed"] += is_out

    def facts(self) -> dict[str, Any]:
        """Return what a reader needs to prove that it has the whole file."""
        return self._file.facts()

    def close(self) -> None:
        """Write the last requests and close."""
        while self._last:
            failed, line = self._last.popleft()
            self._count_out(failed, not self._file.put(line))
        self._file.close()
