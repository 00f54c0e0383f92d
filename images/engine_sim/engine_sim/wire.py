# SPDX-License-Identifier: MIT
"""HTTP/1.1 as the server sees it: one request read, one answer written, whole or in pieces."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 256 * 1024 * 1024

Headers = Mapping[str, str]


class WireError(Exception):
    """What the peer sent is not a request this server reads; `status` is the answer it gets."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """One request: header names in lower case, the path without its query."""

    method: str
    path: str
    query: str
    version: str
    headers: Headers
    body: bytes

    @property
    def keep_alive(self) -> bool:
        """Say whether the connection stays open after the answer."""
        wish = self.headers.get("connection", "").lower()
        return wish == "keep-alive" if self.version == "HTTP/1.0" else wish != "close"


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """Return the next request of a connection; None when the peer closed it between two requests."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial.strip():
            raise WireError(400, "the request ends inside its headers") from None
        return None
    except asyncio.LimitOverrunError:
        raise WireError(431, f"request headers are over {MAX_HEAD_BYTES} bytes") from None
    method, target, version, headers = _parse_head(head)
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await _read_body(reader, headers)
    path, _, query = target.partition("?")
    return Request(method, path, query, version, headers, body)


def _parse_head(head: bytes) -> tuple[str, str, str, dict[str, str]]:
    """Return method, target, version and headers of a request head."""
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise WireError(400, f"not an HTTP/1.x request line: {lines[0][:80]!r}")
    return parts[0], parts[1], parts[2], parse_headers(lines[1:])


def parse_headers(lines: list[str]) -> dict[str, str]:
    """Return header lines as a mapping with lower-case names; empty lines are passed over."""
    headers: dict[str, str] = {}
    for line in filter(None, lines):
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise WireError(400, f"not a header line: {line[:80]!r}")
        headers[name.strip().lower()] = value.strip()
    return headers


async def _read_body(reader: asyncio.StreamReader, headers: Headers) -> bytes:
    """Return the request's body by its declared length or its chunks."""
    try:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return await _read_chunks(reader)
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            raise WireError(413 if length.isdigit() else 400, f"content-length {length[:40]!r} is not accepted")
        return await reader.readexactly(int(length))
    except asyncio.IncompleteReadError:
        raise WireError(400, "the request ends inside its body") from None


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    """Return the joined chunks of a chunked body."""
    body = bytearray()
    while True:
        size = await read_chunk_size(reader)
        if len(body) + size > MAX_BODY_BYTES:
            raise WireError(413, f"the body is over {MAX_BODY_BYTES} bytes")
        body += await reader.readexactly(size)
        await reader.readexactly(2)
        if size == 0:
            return bytes(body)


async def read_chunk_size(reader: asyncio.StreamReader) -> int:
    """Return the size that a chunk's first line declares."""
    line = await reader.readuntil(b"\n")
    try:
        return int(line.split(b";")[0].strip(), 16)
    except ValueError:
        raise WireError(400, f"not a chunk size: {line[:40]!r}") from None


class Responder:
    """The answer to one request: sent whole, or opened as a stream and sent in chunks.

    finished: it was sent to its end; broken: that end is an error, or no end at all.
    """

    def __init__(self, writer: asyncio.StreamWriter, *, keep_alive: bool = False, chunked: bool = True) -> None:
        self._writer = writer
        self._chunked = chunked
        self.keep_alive = keep_alive
        self.status: int | None = None
        self.finished = False
        self.broken = False

    async def send(self, status: int, body: bytes, content_type: str, headers: Headers | None = None) -> None:
        """Send a whole answer."""
        self._head(status, {"content-type": content_type, "content-length": str(len(body)), **(headers or {})})
        self._writer.write(body)
        self.finished = True
        await self._writer.drain()

    async def json(self, status: int, value: object, headers: Headers | None = None) -> None:
        """Send a value as a JSON answer."""
        await self.send(status, json.dumps(value).encode(), "application/json", headers)

    async def open_stream(self, status: int, content_type: str, headers: Headers | None = None) -> None:
        """Send the head of a streamed answer."""
        framing = {"transfer-encoding": "chunked"} if self._chunked else {}
        self.keep_alive = self.keep_alive and self._chunked
        self._head(status, {"content-type": content_type, "cache-control": "no-cache", **framing, **(headers or {})})
        await self._writer.drain()

    async def chunk(self, data: bytes) -> None:
        """Send one piece of a streamed answer."""
        self._writer.write(b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data)
        await self._writer.drain()

    async def close_stream(self) -> None:
        """End a streamed answer as complete."""
        self.finished = True
        if self._chunked:
            self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()

    def reset(self) -> None:
        """Drop the connection with a TCP reset, whatever was sent before."""
        sock = self._writer.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.keep_alive = False
        self.broken = True
        self._writer.transport.abort()

    def _head(self, status: int, headers: Headers) -> None:
        """Write the status line and the headers."""
        self.status = status
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "server: engine-sim"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append("connection: keep-alive" if self.keep_alive else "connection: close")
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
