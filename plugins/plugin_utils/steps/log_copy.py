# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The test's log on the controller: its beginning as it comes, of the rest a sample now and then, at the end all that the node kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...module_utils.cellnode.logfile import marker
from ..run import atomic

CHUNK_BYTES = 1 << 20
SAMPLE_BYTES = 64 << 10
SAMPLE_PAUSE_S = 0.2


class LogCopy:
    """A file that ends up as the node tells the log, which is without its secrets. Offsets count the bytes that the test wrote.

    Nothing but what the node has cleaned is ever on this machine, so that no crash can leave a secret here.

    The node keeps the first half of cap_bytes in any case, so that much is written while the test runs. What comes after is
    asked for in samples, for the screen: a test that writes without end must keep neither the link nor the disk busy.
    """

    def __init__(self, path: Path, cap_bytes: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._stream = path, path.open("wb")
        self._head = cap_bytes // 2
        self._written = self._seen = 0
        self._sample = (0, b"")
        self._ended = self._stopped = False
        self.complete = False

    @property
    def sampling(self) -> bool:
        """Return whether the beginning is here and the test still runs."""
        return (self._written >= self._head or self._stopped) and not self._ended

    def wanted(self) -> dict[str, Any]:
        """Return the part of the log to ask for next: {offset, max_bytes}, with sample where it may begin within a line."""
        if self.sampling:
            return {"offset": self._seen, "max_bytes": SAMPLE_BYTES, "sample": True}
        left = CHUNK_BYTES if self._ended else min(CHUNK_BYTES, self._head - self._written)
        return {"offset": self._written, "max_bytes": left}

    def take(self, chunk: bytes, offset: int, total: int, ended: bool) -> None:
        """Take what was asked for. offset: where it ends; total: how much the test has written; ended: no more will come."""
        if self.sampling:
            self._sample = (self._seen, chunk)
            self._seen = max(offset, total - SAMPLE_BYTES)
        else:
            with atomic.naming(self._path):
                self._stream.write(chunk)
                self._stream.flush()
            self._written = self._seen = offset
            # of the last line before what was dropped a part is gone, so that it never comes
            self._stopped = not chunk and total > self._head
            self.complete = ended and not chunk
        self._ended = ended

    def close(self) -> None:
        """Close the file; when the end was never heard of, the last sample is the last that is known."""
        with atomic.naming(self._path), self._stream as stream:
            start, chunk = self._sample
            if chunk and not self.complete and start >= self._written:
                stream.write(marker(start - self._written) if start > self._written else b"")
                stream.write(chunk)
