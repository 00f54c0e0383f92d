# SPDX-License-Identifier: MIT

"""What a test script writes, read from the copy of its log on this machine while that grows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.escape import log_line

MAX_READ = 1 << 20
# Of a line no more is kept, and a screen shows less of it.
MAX_LINE = 4096
# Nobody can follow what comes faster than this between two looks; then the screen says how much it leaves out.
MAX_BEHIND = 8 << 20


class ScriptLog:
    """Gives each line of a log once, in order, as a screen shows it. Nobody but its writer changes the file, at its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""
        self._told = 0  # where the line begins that has not ended yet

    def pieces(self, *, ended: bool) -> Iterator[list[str]]:
        """Yield the new whole lines, some at a time; ended: what stands behind the last of them, too."""
        try:
            with self._path.open("rb") as stream:
                yield from self._new(stream)
        except (OSError, ValueError):  # no log came so far, it cannot be read, or that is no path
            pass
        if ended and self._rest:
            yield [_shown(self._rest)]
            self._rest = b""

    def _new(self, stream: BinaryIO) -> Iterator[list[str]]:
        size = os.fstat(stream.fileno()).st_size
        stream.seek(self._offset)
        if size - self._offset > MAX_BEHIND:
            yield [self._skip(stream, size - MAX_READ)]
        while content := stream.read(min(MAX_READ, max(0, size - self._offset))):
            self._offset += len(content)
            *whole, rest = (self._rest + content).split(b"\n")
            self._rest = _meant(rest)
            if whole:
                self._told = self._offset - len(rest)
                yield [_shown(_meant(line)) for line in whole]

    def _skip(self, stream: BinaryIO, to: int) -> str:
        """Go on with the first line that begins behind an offset, and return what is said in place of what is left out."""
        stream.seek(to)
        stream.readline(MAX_READ)
        before, self._offset, self._rest = self._told, stream.tell(), b""
        self._told = self._offset
        return f"[testcell: {self._offset - before} bytes of output are not shown here; they are in {self._path}]"


def _meant(line: bytes) -> bytes:
    """Return what a line, ended or not, comes to on a screen: what stands behind its last carriage return, within bounds."""
    kept = line[line.rstrip().rfind(b"\r") + 1 :]
    # The last byte may be a carriage return, after which the line begins once more.
    return kept if len(kept) <= MAX_LINE else kept[:MAX_LINE] + kept[-1:]


def _shown(line: bytes) -> str:
    return log_line(line.decode("utf-8", "replace"))
