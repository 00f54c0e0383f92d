# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The frames of a stream of files, taken out of its bytes as they come; the format is in cellnode/frames.py."""

from __future__ import annotations

import json
import mmap
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ...module_utils.cellnode import frames
from .errors import ArtifactError, SaidByNode, corrupt

KINDS = frozenset(
    (
        *(frames.PLAN, frames.SAME, frames.BUNDLE, frames.BEGIN, frames.DATA, frames.FILE_END, frames.REFUSED),
        *(frames.MISSING, frames.ERROR, frames.END),
    )
)
LONGEST = 1 << 63
HEX, MOST_DIGITS = "0123456789abcdef", 128
ALLOWED = {
    frames.BUNDLE: (0, frames.ZLIB, frames.PLACED),
    frames.DATA: (0, frames.ZLIB),
}


class Entry(NamedTuple):
    """One file of a stream. mode: permission bits; times in nanoseconds; digest: hex, "" where none was made."""

    path: str
    size: int
    mode: int
    mtime_ns: int
    ctime_ns: int
    digest: str


class Reader:
    """Takes frames out of pieces of a stream.

    handle: called with kind, flags and payload, which holds until the frame after the next one comes.
    """

    def __init__(self, handle: Callable[[bytes, int, memoryview], None]) -> None:
        self.received = 0
        self._handle = handle
        # Whole pages, as a disk takes them without a copy.
        self._buffers = [memoryview(mmap.mmap(-1, frames.MAX_PAYLOAD_BYTES)) for _ in range(2)]
        self._begin = bytearray(len(frames.MAGIC))
        self._wanted = memoryview(self._begin)  # where the bytes go that come next
        self._at = 0
        self._header: tuple[bytes, int] | None = None
        self._greeted = False

    def space(self) -> memoryview:
        """Return where the bytes that come next go; `filled` says how many there were."""
        return self._wanted[self._at :]

    def filled(self, count: int) -> None:
        """Take count bytes that were put into the space."""
        self._at += count
        self.received += count
        while self._at == len(self._wanted):
            self._step()

    def _step(self) -> None:
        """Go on behind what is complete now: the magic, a header, or a payload."""
        if self._header is not None:
            kind, flags = self._header
            payload, self._header = self._wanted, None
            self._next(bytearray(frames.HEADER.size))
            self._handle(kind, flags, payload)
        elif not self._greeted:
            if self._begin != frames.MAGIC:
                raise corrupt(f"the stream begins with {bytes(self._begin)!r}, not with {frames.MAGIC!r}")
            self._greeted = True
            self._next(bytearray(frames.HEADER.size))
        else:
            self._header = self._checked(self._wanted)

    def _next(self, room: bytearray | memoryview) -> None:
        self._wanted, self._at = memoryview(room), 0

    def _checked(self, raw: memoryview) -> tuple[bytes, int]:
        """Return kind and flags of a header whose payload comes next."""
        kind, flags, length = frames.HEADER.unpack(raw)
        if kind not in KINDS or flags not in ALLOWED.get(kind, (0,)):
            raise corrupt(f"a frame of kind {kind!r} with flags {flags} is none of this stream")
        if length > frames.MAX_PAYLOAD_BYTES:
            raise corrupt(f"a frame {kind!r} has {length} bytes, over the limit of {frames.MAX_PAYLOAD_BYTES}")
        self._buffers.reverse()
        self._next(self._buffers[0][:length])
        return kind, flags


def unpacked(data: memoryview) -> bytes:
    """Return the contents that are one zlib stream; those that are over the limit are never unpacked further."""
    machine = zlib.decompressobj()
    try:
        content = machine.decompress(data, frames.BLOCK_BYTES + 1)
    except zlib.error as exc:
        raise corrupt(f"contents cannot be unpacked: {exc}") from None
    if len(content) > frames.BLOCK_BYTES:
        raise corrupt(f"contents unpack to more than {frames.BLOCK_BYTES} bytes")
    if not machine.eof or machine.unused_data:
        raise corrupt("contents are not one whole zlib stream")
    return content


def decoded(payload: memoryview, kind: type | tuple[type, ...]) -> Any:
    """Return the JSON of a payload, which must be of this type."""
    try:
        value = json.loads(bytes(payload))
    except (ValueError, RecursionError) as exc:
        raise corrupt(f"a frame is not JSON: {type(exc).__name__}") from None
    if not isinstance(value, kind):
        raise corrupt(f"a frame holds a {type(value).__name__} where another type belongs")
    return value


def entry(row: Any) -> Entry:
    """Return an entry as it came, checked for its types; its path is checked where it is used."""
    if not isinstance(row, list) or len(row) != 6:
        raise corrupt(f"an entry is {row!r:.200}; it has six fields")
    path, size, mode, mtime_ns, ctime_ns, digest = row
    if not (
        type(path) is str
        and type(size) is type(mode) is type(mtime_ns) is type(ctime_ns) is int
        and 0 <= size < LONGEST
        and 0 <= mode < LONGEST
        and -LONGEST < mtime_ns < LONGEST
        and -LONGEST < ctime_ns < LONGEST
        and type(digest) is str
        and len(digest) <= MOST_DIGITS
        and not digest.strip(HEX)  # a pattern takes as long as to make the file
    ):
        raise corrupt(f"an entry is {row!r:.200}; its fields have other types")
    return Entry(path, size, mode, mtime_ns, ctime_ns, digest)


def whole(*values: Any) -> bool:
    """Return whether all values are whole numbers from 0 to what a file can have."""
    return all(type(value) is int and 0 <= value < LONGEST for value in values)


def failure(payload: memoryview) -> ArtifactError:
    """Return what the node says that made it fail."""
    said = decoded(payload, dict)
    return SaidByNode(str(said.get("kind")), f"the node says: {said.get('message')}", [])


def rows(payload: memoryview) -> Sequence[Any]:
    """Return the JSON list of a payload."""
    found: list[Any] = decoded(payload, list)
    return found


def refusals(payload: memoryview) -> list[dict[str, str]]:
    """Return what a node refuses to send, {path, kind, why} each."""
    found = []
    for one in rows(payload):
        if not isinstance(one, dict) or not all(isinstance(one.get(key), str) for key in ("path", "kind", "why")):
            raise corrupt("what the node refused has another form")
        found.append({key: one[key] for key in ("path", "kind", "why")})
    return found


def patterns(payload: memoryview) -> list[str]:
    """Return the patterns without a match."""
    found = list(rows(payload))
    if not all(isinstance(one, str) for one in found):
        raise corrupt("what is missing has another form")
    return found
