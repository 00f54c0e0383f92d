# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP/1.1 answers out of bytes that arrive in pieces of any size, and requests as bytes. No sockets here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

MAX_HEAD_BYTES = 64 * 1024
MAX_CHUNK_LINE_BYTES = 1024
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: .*)?")
HEX = re.compile(rb"[0-9A-Fa-f]{1,15}")
DIGITS = re.compile(r"\d{1,15}")


class HttpError(Exception):
    """An answer that is not HTTP/1.1 as it should be."""


@dataclass(frozen=True)
class Head:
    """Status and headers of an answer; header names are lower case, the last value of a repeated one wins."""

    status: int
    headers: Mapping[str, str]
    keep_alive: bool


class Body(Protocol):
    """A way to find the end of a body. complete: all of it was seen; needs_close: it ends with the connection."""

    complete: bool
    needs_close: bool

    def feed(self, piece: bytes) -> bytes:
        """Return the payload within piece."""


class LengthBody:
    """A body of a length given in advance."""

    needs_close = False

    def __init__(self, length: int) -> None:
        self._left = length
        self.complete = length == 0

    def feed(self, piece: bytes) -> bytes:
        """Return the payload within piece; what lies beyond the length is dropped."""
        payload = piece[: self._left]
        self._left -= len(payload)
        self.complete = self._left == 0
        return payload


class CloseBody:
    """A body that lasts until the server closes the connection."""

    needs_close = True
    complete = False

    def feed(self, piece: bytes) -> bytes:
        """Return piece: all of it is payload."""
        return piece


class ChunkedBody:
    """A body in chunks, each led by its size in hexadecimal; trailers are read and dropped."""

    needs_close = False

    def __init__(self) -> None:
        self.complete = False
        self._buffer = b""
        self._left = 0
        self._state = "size"

    def feed(self, piece: bytes) -> bytes:
        """Return the payload within piece; raise HttpError where the chunks are malformed."""
        self._buffer += piece
        payload = []
        while not self.complete:
            step = self._data() if self._state == "data" else self._line()
            if step is None:
                break
            payload.append(step)
        return b"".join(payload)

    def _data(self) -> bytes | None:
        if not self._buffer:
            return None
        part, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
        self._left -= len(part)
        self._state = "data" if self._left else "gap"
        return part

    def _line(self) -> bytes | None:
        line, found, rest = self._buffer.partition(b"\n")
        if not found:
            if len(self._buffer) > MAX_CHUNK_LINE_BYTES:
                raise HttpError("a chunk's size line is longer than 1024 bytes")
            return None
        self._buffer = rest
        self._advance(line.rstrip(b"\r"))
        return b""

    def _advance(self, line: bytes) -> None:
        if self._state == "gap":
            if line:
                raise HttpError(f"a chunk is longer than its size says: found {line[:40]!r} where a line end belongs")
            self._state = "size"
        elif self._state == "trailer":
            self.complete = not line
        else:
            digits = line.partition(b";")[0].strip()
            if not HEX.fullmatch(digits):
                raise HttpError(f"a chunk's size is {digits[:40]!r}; it must be hexadecimal digits")
            self._left = int(digits, 16)
            self._state = "data" if self._left else "trailer"


class AnswerParser:
    """Parse one answer: feed() gives body bytes, `head` and `complete` tell how far it is; 1xx answers are skipped."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self._body: Body | None = None
        self._buffer = b""

    @property
    def complete(self) -> bool:
        """Tell whether the whole answer was seen."""
        return self._body is not None and self._body.complete

    @property
    def ends_with_connection(self) -> bool:
        """Tell whether the closing of the connection is the proper end of this answer."""
        return self._body is not None and self._body.needs_close

    def feed(self, piece: bytes) -> bytes:
        """Return the body bytes within piece; raise HttpError where it is no HTTP answer."""
        while self._body is None:
            self._buffer += piece
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                self._check_unfinished()
                return b""
            raw, piece, self._buffer = self._buffer[:end], self._buffer[end + 4 :], b""
            self._take_head(raw)
        return self._body.feed(piece) if piece else b""

    def _check_unfinished(self) -> None:
        if len(self._buffer) > MAX_HEAD_BYTES:
            raise HttpError(f"the answer's headers are longer than {MAX_HEAD_BYTES} bytes")
        if not self._buffer.startswith(b"HTTP/1."[: len(self._buffer)]):
            raise HttpError(f"the answer is not HTTP/1.x: it starts with {self._buffer[:40]!r}")

    def _take_head(self, raw: bytes) -> None:
        head = parse_head(raw)
        if head.status == 101:
            raise HttpError("the server switched protocols (HTTP 101), which was not asked for")
        if head.status >= 200:
            self.head = head
            self._body = body_of(head)


def parse_head(raw: bytes) -> Head:
    """Return the head made of a status line and header lines; raise HttpError when it is malformed."""
    status_line, *lines = raw.split(b"\r\n")
    match = STATUS_LINE.fullmatch(status_line)
    if not match:
        raise HttpError(f"the answer's first line is {status_line[:60]!r}; it must be like 'HTTP/1.1 200 OK'")
    headers = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not name or name != name.strip():
            raise HttpError(f"malformed header line {line[:60]!r}")
        headers[name.lower()] = value.strip()
    connection = headers.get("connection", "").lower()
    keep = "close" not in connection if match[1] == b"1" else "keep-alive" in connection
    return Head(int(match[2]), headers, keep)


def body_of(head: Head) -> Body:
    """Return the decoder for the body that this head announces; raise HttpError for an encoding we did not ask for."""
    coding = head.headers.get("content-encoding", "identity").lower()
    if coding not in ("", "identity"):
        raise HttpError(f"the body is encoded as {coding!r} although only 'identity' was accepted")
    transfer = head.headers.get("transfer-encoding", "").lower()
    if head.status in (204, 304):
        return LengthBody(0)
    if transfer == "chunked":
        return ChunkedBody()
    if transfer not in ("", "identity"):
        raise HttpError(f"transfer encoding {transfer!r} is not known; known: chunked")
    length = head.headers.get("content-length")
    if length is None:
        return CloseBody()
    if not DIGITS.fullmatch(length):
        raise HttpError(f"the content length is {length[:40]!r}; it must be a whole number")
    return LengthBody(int(length))


def request_bytes(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return a request as it goes over the wire, with its content length."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
