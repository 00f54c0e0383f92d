# SPDX-License-Identifier: MIT
from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest


def raw(url: str, data: bytes) -> bytes:
    """Send bytes, and return all bytes until the server closes."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as sock:
        sock.sendall(data)
        received = b""
        while piece := sock.recv(65536):
            received += piece
        return received


BODY = b'{"prompt": "a b", "max_tokens": 2}'


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", b"400"),
        (b"GET /health HTTP/2.0\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\nno colon\r\nconnection: close\r\n\r\n", b"400"),
        (b"GET /health HTTP/1.1\r\nx: " + b"a" * 70_000 + b"\r\n\r\n", b"431"),
        (b"POST /v1/completions HTTP/1.1\r\ncontent-length: many\r\n\r\n", b"400"),
        (b"POST /v1/completions HTTP/1.1\r\ncontent-length: 999999999999\r\n\r\n", b"413"),
        (b"POST /v1/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"GET /nowhere HTTP/1.1\r\nconnection: close\r\n\r\n", b"404"),
        (b"GET /v1/completions HTTP/1.1\r\nconnection: close\r\n\r\n", b"405"),
        (b"GET /health?verbose=1 HTTP/1.1\r\nconnection: close\r\n\r\n", b"200"),
        (b"GET /health HTTP/1.0\r\n\r\n", b"200"),
    ],
)
def test_each_request_gets_its_status(sims: Any, sent: bytes, status: bytes) -> None:
    assert raw(sims.start().url, sent).startswith(b"HTTP/1.1 " + status)


def test_a_chunked_body_is_read(sims: Any) -> None:
    head = b"POST /v1/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    chunks = b"%x\r\n%s\r\n%x;x=y\r\n%s\r\n0\r\n\r\n" % (10, BODY[:10], len(BODY) - 10, BODY[10:])
    assert b'"completion_tokens": 2' in raw(sims.start().url, head + chunks)


def test_a_client_that_waits_for_100_is_told_to_go_on(sims: Any) -> None:
    head = b"POST /v1/completions HTTP/1.1\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    assert raw(sims.start().url, head % len(BODY) + BODY).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


def test_two_requests_go_over_one_connection(sims: Any) -> None:
    answer = raw(sims.start().url, b"GET /version HTTP/1.1\r\n\r\nGET /health HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_a_stream_to_an_old_client_ends_with_the_connection(sims: Any) -> None:
    body = BODY.replace(b"}", b', "stream": true}')
    head = b"POST /v1/completions HTTP/1.0\r\nconnection: keep-alive\r\ncontent-length: %d\r\n\r\n" % len(body)
    answer = raw(sims.start().url, head + body)
    assert b"transfer-encoding" not in answer
    assert answer.endswith(b"data: [DONE]\n\n")
