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
CHUNK = 1 << 16
MAX_LINE = 2000
Read = Callable[[int], bytes]


def payload(read: Read) -> Iterator[bytes]:
    """Yield the content of a multiplexed log, its streams together in their order; a cut frame yields what is there.

    read: gives at least one and at most so many bytes, or none at the end.
    """
    pending, missing = b"", 0
    while True:
        data = read(CHUNK)
        if not data:
            return
        content, pending, missing = _unwrapped(pending + data, missing)
        if content:
            yield content


def _unwrapped(data: bytes, missing: int) -> tuple[bytes, bytes, int]:
    """Return (content, bytes of a header that is not whole yet, bytes that the last frame still lacks)."""
    parts: list[bytes] = []
    position, end = 0, len(data)
    while position < end:
        if missing:
            parts.append(data[position : position + missing])
            position += len(parts[-1])
            missing -= len(parts[-1])
        elif end - position >= _HEADER.size:
            stream, missing = _HEADER.unpack_from(data, position)
            if stream not in _STREAMS:
                raise ValueError(f"not a multiplexed log stream: frame header {data[position : position + 8]!r}")
            position += _HEADER.size
        else:
            break
    return b"".join(parts), data[position:], missing


def plain(read: Read) -> Iterator[bytes]:
    """Yield the content of the log of a container with a terminal, which is not multiplexed."""
    while True:
        data = read(CHUNK)
        if not data:
            return
        yield data


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

    @property
    def head(self) -> bytes:
        """Return the first part."""
        return bytes(self._head)

    @property
    def tail(self) -> bytes:
        """Return the last part, which follows the first one where nothing was dropped."""
        tail = b"".join(self._tail)
        return tail[-self.tail_cap :] if self._tail_size > self.tail_cap else tail

    def parts(self) -> Iterator[bytes]:
        """Yield what is kept, with a marker line where bytes were left out."""
        yield self.head
        if self.dropped:
            yield left_out(self.dropped)
        yield self.tail


def left_out(count: int) -> bytes:
    """Return the line that stands for bytes that are not kept."""
    return b"\n[testcell: %d bytes left out here]\n" % count
