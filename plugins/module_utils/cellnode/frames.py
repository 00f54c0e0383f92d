# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of a stream of files: how they look on the wire, and a way out that writes them.

A stream is MAGIC, then frames: a header (kind, flags, length of the payload) and the payload. Kinds, in their order:

| kind | payload |
| --- | --- |
| PLAN | {files, bytes, algorithm, same}: what will come, counted by names alone. bytes: contents still to come |
| SAME | entries that the receiver has already |
| BUNDLE | length of the head, the head (entries), then the contents of these files one after the other |
| BEGIN | [path, size, mode, mtime_ns, ctime_ns, offset] of a larger file, whose contents follow as DATA |
| DATA | the next bytes of the file begun last |
| FILE_END | {digest}: of the whole file, from its first byte; or {changed: why}, and it is dropped |
| REFUSED | [{path, kind, why}] |
| MISSING | patterns without a match |
| ERROR | {kind, message, detail}: nothing comes after it |
| END | {files, bytes, manifest, more, sent, raw, seconds, check}: nothing comes after it |

An entry is [path, size, mode, mtime_ns, ctime_ns, digest]; digest is hex, "" where none is made. manifest is the digest
of the lines of all entries in the order sent; check that of the payloads of PLAN, REFUSED and MISSING and of END itself
without it. JSON is ASCII with lone surrogates for bytes that are not UTF-8.

END with more may come within a file: what came of it is gone on with by `partial`. Contents are plain or ZLIB. A bundle
that is PLACED has none, whatever the size of its files: the sender has put them in place itself, on the same machine.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Union

MAGIC = b"TCS1\n"
HEADER = struct.Struct(">cBI")
HEAD_LENGTH = struct.Struct(">I")
PLAN, SAME, BUNDLE, BEGIN, DATA, FILE_END = b"P", b"S", b"B", b"F", b"D", b"E"
REFUSED, MISSING, ERROR, END = b"R", b"M", b"X", b"Z"
ZLIB, PLACED = 1, 2
NO_DIGEST = "none"
FIELDS = ("path", "size", "mode", "mtime_ns", "ctime_ns", "digest")
MAX_PAYLOAD_BYTES = 2 << 20
BLOCK_BYTES = 1 << 20  # of contents in one frame
HEAD_BYTES = BLOCK_BYTES - (1 << 16)  # of entries in one frame: a payload then holds a head and its contents
SMALL_BYTES = 256 << 10  # files up to here travel in bundles

Bytes = Union[bytes, bytearray, memoryview]
Entry = Sequence[Any]


def packed(value: Any) -> bytes:
    """Return a value as the JSON of a payload."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def lines_of(entries: Iterable[Entry]) -> bytes:
    """Return the lines that the digest of the manifest is made of."""
    text = "".join(
        [f"{path}\0{size}\0{mode}\0{mtime}\0{ctime}\0{digest}\n" for path, size, mode, mtime, ctime, digest in entries]
    )
    return text.encode("utf-8", "surrogateescape")


def _groups(texts: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield texts in their order, as many at a time as have room in one frame."""
    group: list[bytes] = []
    held = 0
    for text in texts:
        if group and held + len(text) > HEAD_BYTES:
            yield group
            group, held = [], 0
        group.append(text)
        held += len(text) + 1
    if group:
        yield group


class Lost(Exception):
    """A stream that nobody reads any more."""


class Outlet:
    """Writes frames. sent: bytes so far; blocked_s: how long writing them has taken.

    write: takes bytes-like pieces, one frame each after the magic, and does not keep them.
    """

    def __init__(self, write: Callable[[Bytes], object], clock: Callable[[], float] = time.perf_counter) -> None:
        self.sent = 0
        self.blocked_s = 0.0
        self._write, self._clock = write, clock
        self._out(MAGIC)

    def value(self, kind: bytes, value: Any) -> bytes:
        """Write a frame of JSON and return its payload."""
        payload = packed(value)
        self.frame(kind, payload)
        return payload

    def values(self, kind: bytes, values: Iterable[Any]) -> list[bytes]:
        """Write a list as one frame or more, none for an empty list; return their payloads."""
        payloads = [b"[" + b",".join(group) + b"]" for group in _groups(map(packed, values))]
        for payload in payloads:
            self.frame(kind, payload)
        return payloads

    def frame(self, kind: bytes, payload: Bytes, flags: int = 0) -> None:
        """Write one frame."""
        self._out(b"".join((HEADER.pack(kind, flags, len(payload)), payload)))

    def bundle(self, head: bytes, contents: Sequence[bytes], flags: int = 0) -> None:
        """Write one bundle. contents: pieces that stand behind the head."""
        length = HEAD_LENGTH.size + len(head) + sum(map(len, contents))
        self._out(b"".join((HEADER.pack(BUNDLE, flags, length), HEAD_LENGTH.pack(len(head)), head, *contents)))

    def data(self, room: memoryview, length: int) -> None:
        """Write plain data without a copy: room has a header's room, then length bytes of contents."""
        HEADER.pack_into(room, 0, DATA, 0, length)
        self._out(room[: HEADER.size + length])

    def _out(self, piece: Bytes) -> None:
        begin = self._clock()
        try:
            self._write(piece)
        except OSError as exc:
            raise Lost(f"nobody reads the stream any more: {exc.strerror}") from exc
        self.blocked_s += self._clock() - begin
        self.sent += len(piece)
