# SPDX-License-Identifier: MIT
"""The parser of HTTP answers: same body however the bytes are cut, and a name for each malformed one."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.http1 import (
    AnswerParser,
    HttpError,
    request_bytes,
)
from hypothesis import given
from hypothesis import strategies as st

OK = b"HTTP/1.1 200 OK\r\n"


def parse(*pieces: bytes) -> tuple[AnswerParser, bytes]:
    parser = AnswerParser()
    return parser, b"".join([parser.feed(piece) for piece in pieces])


COMPLETE = {
    "length": (OK + b"Content-Length: 3\r\n\r\nabc", b"abc"),
    "no_body": (OK + b"Content-Length: 0\r\n\r\n", b""),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", b"abcd"),
    "chunk_extension": (OK + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n", b"abc"),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n", b"a"),
    "upper_case_size": (OK + b"Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    "empty_lines_in_chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    "continue_first": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\na", b"a"),
    "early_hints_first": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\na", b"a"),
    "no_content": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "no_reason": (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", b"a"),
}


@pytest.mark.parametrize(("answer", "body"), COMPLETE.values(), ids=COMPLETE)
def test_answer_gives_its_body(answer: bytes, body: bytes) -> None:
    parser, found = parse(answer)
    assert (found, parser.complete) == (body, True)


@pytest.mark.parametrize(("answer", "body"), COMPLETE.values(), ids=COMPLETE)
def test_answer_cut_short_is_not_complete(answer: bytes, body: bytes) -> None:
    parser, found = parse(answer[:-1])
    assert not parser.complete
    assert body.startswith(found)


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    cuts=st.lists(st.integers(0, 400), max_size=10),
)
def test_any_split_gives_the_same_body(chunks: list[bytes], cuts: list[int]) -> None:
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    answer = OK + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"
    places = [0, *sorted(min(cut, len(answer)) for cut in cuts), len(answer)]
    parser, found = parse(*(answer[start:end] for start, end in zip(places, places[1:], strict=False)))
    assert (found, parser.complete) == (b"".join(chunks), True)


def test_body_without_length_ends_with_the_connection() -> None:
    parser, found = parse(OK + b"\r\nabc")
    assert (found, parser.complete, parser.ends_with_connection) == (b"abc", False, True)


def test_bytes_beyond_the_length_are_dropped() -> None:
    assert parse(OK + b"Content-Length: 2\r\n\r\nabcdef")[1] == b"ab"


@pytest.mark.parametrize(
    ("version", "header", "kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive\r\n", True),
    ],
)
def test_keep_alive_follows_version_and_header(version: bytes, header: bytes, kept: bool) -> None:
    parser, _ = parse(b"HTTP/" + version + b" 200 OK\r\nContent-Length: 0\r\n" + header + b"\r\n")
    assert parser.head is not None
    assert parser.head.keep_alive is kept


MALFORMED = {
    "another_protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP/1.x"),
    "http2": (b"HTTP/2 200\r\n\r\n", "not HTTP/1.x|first line"),
    "status": (b"HTTP/1.1 20x OK\r\n\r\n", "first line"),
    "header": (OK + b"no colon\r\n\r\n", "malformed header"),
    "space_in_header_name": (OK + b"Content-Length : 3\r\n\r\n", "malformed header"),
    "length": (OK + b"Content-Length: -1\r\n\r\n", "content length"),
    "transfer_encoding": (OK + b"Transfer-Encoding: gzip\r\n\r\n", "transfer encoding 'gzip'"),
    "content_encoding": (OK + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\na", "'gzip' although only"),
    "chunk_size": (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk's size"),
    "negative_chunk_size": (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", "chunk's size"),
    "chunk_overflow": (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "longer than its size"),
    "chunk_line_without_end": (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 2000, "1024 bytes"),
    "head_without_end": (OK + b"X: " + b"y" * 70_000, "longer than 65536"),
    "switching_protocols": (b"HTTP/1.1 101 Switching\r\n\r\n", "switched protocols"),
}


@pytest.mark.parametrize(("answer", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_answer_is_named(answer: bytes, message: str) -> None:
    with pytest.raises(HttpError, match=message):
        parse(answer)


def test_request_has_its_length() -> None:
    assert (
        request_bytes("POST", "/v1", {"Host": "h"}, b"ab")
        == b"POST /v1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"
    )
