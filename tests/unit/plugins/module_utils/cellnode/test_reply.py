# SPDX-License-Identifier: MIT
"""Answers of an engine are read in every form and every cut, and one that is not whole is never taken for a whole one."""

from __future__ import annotations

import socket
import threading

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import reply

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def answer():
    """Return the Reply to an engine that says some bytes, and then hangs up unless it stays."""
    ours, engines = socket.socketpair()
    ours.settimeout(5)
    made: list[reply.Reply] = []

    def said(*parts: bytes, stays: bool = False) -> reply.Reply:
        for part in parts:
            engines.sendall(part)
        if not stays:
            engines.shutdown(socket.SHUT_WR)
        made.append(reply.Reply(ours))
        return made[-1]

    with ours, engines:
        yield said
        for one in made:
            one.close()


WHOLE = [
    pytest.param(OK + b"Content-Length: 5\r\n\r\nhello", b"hello", id="length"),
    pytest.param(OK + b"content-length:5\r\n\r\nhello and more", b"hello", id="length-ends-it"),
    pytest.param(OK + b"Content-Length: 0\r\n\r\n", b"", id="empty"),
    pytest.param(OK + b"\r\nhello", b"hello", id="until-the-end"),
    pytest.param(CHUNKED + b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", b"hello", id="chunks"),
    pytest.param(CHUNKED + b"A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", b"0123456789", id="trailer"),
    pytest.param(CHUNKED + b"0\r\n\r\n", b"", id="no-chunk"),
    pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi", b"hi", id="continue"),
]
TELLING = [case for case in WHOLE if case.id != "until-the-end"]


@pytest.mark.parametrize(("wire", "body"), WHOLE)
def test_a_body_is_read_to_its_end(answer, wire, body):
    found = answer(wire)
    assert (found.status, found.read(), found.read()) == (200, body, b"")


@pytest.mark.parametrize(("wire", "body"), TELLING)
def test_a_body_that_tells_its_end_does_not_wait_for_the_connection_s(answer, wire, body):
    assert answer(wire, stays=True).read() == body


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_without_a_body_does_not_wait_for_one(answer, status):
    assert answer(b"HTTP/1.1 " + status + b"\r\n\r\n", stays=True).read() == b""


@pytest.mark.parametrize(("wire", "body"), TELLING)
def test_f29_an_answer_that_is_cut_anywhere_is_an_error(wire, body):
    for end in range(len(wire)):
        ours, engines = socket.socketpair()
        with ours, engines:
            engines.sendall(wire[:end])
            engines.shutdown(socket.SHUT_WR)
            try:
                with reply.Reply(ours) as found:
                    read = found.read()
            except ConnectionError:
                continue
            assert read == body


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        pytest.param(b"", "closed without an answer", id="nothing"),
        pytest.param(b"garbage\r\n\r\n", "'garbage'", id="no-http"),
        pytest.param(b"HTTP/1.1 twohundred\r\n\r\n", "twohundred", id="no-status"),
        pytest.param(b"HTTP/2 200\r\n\r\n", "HTTP/2", id="another-version"),
        pytest.param(OK + b"Content-Length: -1\r\n\r\n", "'-1'", id="length"),
        pytest.param(OK + b"X: y\r\n" * 101 + b"\r\n", "more than 100 headers", id="headers"),
        pytest.param(OK + b"X: " + b"y" * reply.MAX_LINE + b"\r\n\r\n", "within a line", id="long-line"),
    ],
)
def test_what_is_no_answer_is_an_error(answer, wire, said):
    with pytest.raises(ConnectionError, match=said):
        answer(wire)


def test_a_size_that_is_no_number_is_an_error(answer):
    with pytest.raises(ConnectionError, match="'zz'"):
        answer(CHUNKED + b"zz\r\n").read()


def test_what_has_come_is_given_before_the_rest_comes(answer):
    found = answer(CHUNKED + b"3\r\none\r\n", stays=True)
    assert found.read1(1 << 16) == b"one"


def test_a_line_over_many_chunks_comes_whole(answer):
    found = answer(CHUNKED + b"2\r\non\r\n2\r\ne\n\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert list(found) == [b"one\n", b"two"]


def test_headers_are_found_by_any_case(answer):
    found = answer(OK + b"API-Version:  1.41 \r\n\r\n")
    assert (found.header("Api-Version"), found.header("Absent")) == ("1.41", "")


def test_an_answer_that_stays_away_is_a_timeout():
    ours, engines = socket.socketpair()
    with ours, engines:
        ours.settimeout(0.05)
        engines.sendall(OK + b"Content-Length: 5\r\n\r\nhe")
        with reply.Reply(ours) as found, pytest.raises(TimeoutError):
            found.read()


def test_a_large_body_comes_whole(answer):
    body = bytes(range(256)) * 8192
    ours, engines = socket.socketpair()
    with ours, engines:
        wire = CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        sender = threading.Thread(target=engines.sendall, args=(wire,))
        sender.start()
        with reply.Reply(ours) as found:
            assert found.read() == body
        sender.join()
