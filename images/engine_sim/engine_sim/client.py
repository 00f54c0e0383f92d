# SPDX-License-Identifier: MIT
"""HTTP/1.1 as a client sees it: one request a connection, the answer read whole or as it comes."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar
from urllib.parse import urlsplit

from engine_sim.wire import MAX_HEAD_BYTES, WireError, parse_headers, read_chunk_size

T = TypeVar("T")


class ClientError(Exception):
    """A request got no whole answer; kind: http_refused http_reset http_timeout dns_failure response_invalid."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Reply:
    """The answer to a request: its status and headers, and its body still to be read."""

    def __init__(self, reader: asyncio.StreamReader, status: int, headers: dict[str, str], timeout_s: float) -> None:
        self._reader = reader
        self._timeout_s = timeout_s
        self.status = status
        self.headers = headers

    async def read(self) -> bytes:
        """Return the whole body."""
        return b"".join([piece async for piece in self.pieces()])

    async def json(self) -> dict[str, object]:
        """Return the body as a JSON object."""
        body = await self.read()
        try:
            value = json.loads(body)
        except ValueError:
            raise ClientError("response_invalid", f"the answer is not JSON: {body[:80]!r}") from None
        if not isinstance(value, dict):
            raise ClientError("response_invalid", f"the answer is not a JSON object: {body[:80]!r}")
        return value

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; an answer cut short raises ClientError."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            source = self._chunks()
        elif "content-length" in self.headers:
            source = self._counted(int(self.headers["content-length"]))
        else:
            source = self._until_closed()
        async for piece in source:
            yield piece

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            size = await _answer(read_chunk_size(self._reader), self._timeout_s)
            data = await _answer(self._reader.readexactly(size + 2), self._timeout_s)
            if size == 0:
                return
            yield data[:-2]

    async def _counted(self, length: int) -> AsyncIterator[bytes]:
        if length:
            yield await _answer(self._reader.readexactly(length), self._timeout_s)

    async def _until_closed(self) -> AsyncIterator[bytes]:
        while True:
            data = await _answer(self._reader.read(65536), self._timeout_s)
            if not data:
                return
            yield data


@asynccontextmanager
async def request(
    method: str,
    url: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    timeout_s: float,
) -> AsyncIterator[Reply]:
    """Send one request and give its answer; timeout_s bounds the connection and each wait for bytes."""
    parts = urlsplit(url)
    port = parts.port or 80
    reader, writer = await _connect(parts.hostname or "", port, timeout_s)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        wanted = {
            "host": f"{parts.hostname}:{port}",
            "content-length": str(len(body)),
            "connection": "close",
            **(headers or {}),
        }
        head = "\r\n".join([f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in wanted.items())])
        writer.write(head.encode("latin-1") + b"\r\n\r\n" + body)
        await _answer(writer.drain(), timeout_s)
        status, answered = _parse_status(await _answer(reader.readuntil(b"\r\n\r\n"), timeout_s))
        yield Reply(reader, status, answered, timeout_s)
    finally:
        writer.transport.abort()


async def _connect(host: str, port: int, timeout_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return an open connection, or raise ClientError with the reason."""
    try:
        return await asyncio.wait_for(asyncio.open_connection(host, port, limit=MAX_HEAD_BYTES), timeout_s)
    except socket.gaierror as error:
        raise ClientError("dns_failure", f"{host}: {error.strerror}") from None
    except asyncio.TimeoutError:
        raise ClientError("http_timeout", f"no connection to {host}:{port} within {timeout_s:g} s") from None
    except OSError as error:
        raise ClientError("http_refused", f"{host}:{port}: {error.strerror or error}") from None


async def _answer(waited: Awaitable[T], timeout_s: float) -> T:
    """Return what the peer gives, or raise ClientError when it resets, cuts, garbles or waits too long."""
    try:
        return await asyncio.wait_for(waited, timeout_s)
    except asyncio.TimeoutError:
        raise ClientError("http_timeout", f"no bytes within {timeout_s:g} s") from None
    except asyncio.IncompleteReadError:
        raise ClientError("http_reset", "the peer closed the connection inside the answer") from None
    except (WireError, asyncio.LimitOverrunError) as error:
        raise ClientError("response_invalid", str(error)) from None
    except OSError as error:
        raise ClientError("http_reset", error.strerror or str(error)) from None


def _parse_status(head: bytes) -> tuple[int, dict[str, str]]:
    """Return status and headers of an answer's head."""
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
        raise ClientError("response_invalid", f"not an HTTP status line: {lines[0][:80]!r}")
    return int(parts[1]), parse_headers(lines[1:])
