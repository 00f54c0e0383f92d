# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from engine_sim.client import ClientError, request

OK = b"HTTP/1.1 200 OK\r\n"


async def exchange(answer: bytes, read: str = "read", *, hold: bool = False) -> object:
    """Return what the client makes of an answer; hold keeps the connection open after it."""
    released = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if hold:
            await released.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with request("GET", f"http://127.0.0.1:{port}/x", timeout_s=0.2 if hold else 5) as reply:
            return await getattr(reply, read)()
    finally:
        released.set()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK + b"content-length: 3\r\n\r\nabc", b"abc"),
        (OK + b"content-length: 0\r\n\r\n", b""),
        (OK + b"transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"abc"),
        (OK + b"\r\nabc", b"abc"),
    ],
)
def test_each_framing_is_read(answer: bytes, body: bytes) -> None:
    assert asyncio.run(exchange(answer)) == body


@pytest.mark.parametrize(
    ("answer", "read", "hold", "kind"),
    [
        (b"", "read", False, "http_reset"),
        (OK + b"content-length: 9\r\n\r\nabc", "read", False, "http_reset"),
        (OK + b"transfer-encoding: chunked\r\n\r\n5\r\nab", "read", False, "http_reset"),
        (OK + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n", "read", False, "http_reset"),
        (OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n", "read", False, "response_invalid"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "read", False, "response_invalid"),
        (OK + b"content-length: 2\r\n\r\n[]", "json", False, "response_invalid"),
        (OK + b"content-length: 2\r\n\r\nno", "json", False, "response_invalid"),
        (b"", "read", True, "http_timeout"),
        (OK + b"content-length: 9\r\n\r\nabc", "read", True, "http_timeout"),
    ],
)
def test_an_answer_that_is_not_whole_has_a_kind(answer: bytes, read: str, hold: bool, kind: str) -> None:
    with pytest.raises(ClientError) as caught:
        asyncio.run(exchange(answer, read, hold=hold))
    assert caught.value.kind == kind


def test_a_closed_port_is_refused(closed_port: Callable[[], int]) -> None:
    async def run() -> None:
        async with request("GET", f"http://127.0.0.1:{closed_port()}/", timeout_s=5):
            raise AssertionError("nobody listens there")

    with pytest.raises(ClientError) as caught:
        asyncio.run(run())
    assert caught.value.kind == "http_refused"
