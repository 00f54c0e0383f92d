# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's log stream: multiplexed frames to bytes, and bytes to the last lines of text."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Callable

_HEADER = struct.Struct(">BxxxL")
_STREAMS = (0, 1, 2, 3)
MAX_LINE = 2000


def frames(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield (stream, bytes) of a multiplexed log; a stream cut in mid-frame yields what is there and ends."""
    while True:
        header = _read_full(read, _HEADER.size)
        if len(header) < _HEADER.size:
            return
        stream, size = _HEADER.unpack(header)
        if stream not in _STREAMS:
            raise ValueError(f"not a multiplexed log stream: frame header {header!r}")
        while size > 0:
            chunk = read(min(size, 65536))
            if not chunk:
                return
            size -= len(chunk)
            yield stream, chunk


def plain_chunks(read: Callable[[int], bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield (1, bytes) of the log of a container with a terminal, which is not multiplexed."""
    while True:
        chunk = read(65536)
        if not chunk:
            return
        yield 1, chunk


def _read_full(read: Callable[[int], bytes], size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = read(size - len(data))
        if not chunk:
            break
        data += chunk
    return data


def last_lines(chunks: Iterable[bytes], count: int = 20, width: int = MAX_LINE) -> list[str]:
    """Return the last lines as text, at most count, each cut to width; bytes that are not UTF-8 are replaced."""
    tail: deque[bytes] = deque(maxlen=count)
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        tail.extend(lines)
        rest = rest[-64 * width :] if len(rest) > 128 * width else rest
    if rest:
        tail.append(rest)
    return [line.decode("utf-8", "replace").rstrip("\r")[:width] for line in tail]


class HeadTail:
    """Keep the first and the last part of a byte stream of any length, and say how much was left out between them."""

    def __init__(self, cap: int) -> None:
        self.head_cap = cap // 2
        self.tail_cap = cap - self.head_cap
        self.total = 0
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(chunk)
        room = self.head_cap - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if not chunk:
            return
        self._tail.append(chunk)
        self._tail_size += len(chunk)
        while self._tail_size - len(self._tail[0]) >= self.tail_cap:
            self._tail_size -= len(self._tail.popleft())

    @property
    def dropped(self) -> int:
        """Return how many bytes of the middle are not kept."""
        return max(0, self.total - len(self._head) - min(self._tail_size, self.tail_cap))

    def parts(self) -> Iterator[bytes]:
        """Yield what is kept, with a marker line where bytes were left out."""
        yield bytes(self._head)
        if self.dropped:
            yield b"\n[testcell: %d bytes left out here]\n" % self.dropped
        tail = b"".join(self._tail)
        yield tail[-self.tail_cap :] if self._tail_size > self.tail_cap else tail
