# SPDX-License-Identifier: MIT
"""The parser of server-sent events: same events however the bytes are cut."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload import sse
from hypothesis import given
from hypothesis import strategies as st


def events_of(pieces: list[bytes]) -> list[tuple[str, str]]:
    parser = sse.SseParser()
    found = [event for piece in pieces for event in parser.feed(piece)]
    return [(event.type, event.data) for event in [*found, *parser.close()]]


CASES = {
    "one": (b"data: a\n\n", [("message", "a")]),
    "crlf": (b"data: a\r\n\r\ndata: b\r\n\r\n", [("message", "a"), ("message", "b")]),
    "cr": (b"data: a\r\rdata: b\r\r", [("message", "a"), ("message", "b")]),
    "mixed_ends": (b"data: a\r\n\ndata: b\n\r\n", [("message", "a"), ("message", "b")]),
    "no_space": (b"data:a\n\n", [("message", "a")]),
    "two_spaces": (b"data:  a\n\n", [("message", " a")]),
    "many_lines": (b"data: a\ndata: b\n\n", [("message", "a\nb")]),
    "comment": (b": ping\n\ndata: a\n\n", [("message", "a")]),
    "typed": (b"event: error\ndata: a\n\ndata: b\n\n", [("error", "a"), ("message", "b")]),
    "error_field": (b'error: {"code":500}\n\n', [("error", '{"code":500}')]),
    "other_fields": (b"id: 7\nretry: 10\nfoo: x\nbar\ndata: a\n\n", [("message", "a")]),
    "type_without_data": (b"event: error\n\ndata: a\n\n", [("message", "a")]),
    "byte_order_mark": (b"\xef\xbb\xbfdata: a\n\n", [("message", "a")]),
    "no_blank_line_at_the_end": (b"data: a\n", [("message", "a")]),
    "no_line_end_at_the_end": (b"data: [DONE]", [("message", "[DONE]")]),
    "utf8": ("data: häß 漢字 🚀\n\n".encode(), [("message", "häß 漢字 🚀")]),
    "bad_utf8": (b"data: \xff\n\n", [("message", "�")]),
    "colon_in_data": (b"data: a: b\n\n", [("message", "a: b")]),
    "empty_data": (b"data\n\ndata:\n\n", [("message", ""), ("message", "")]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("stream", "expected"), CASES.values(), ids=CASES)
def test_stream_gives_its_events(stream: bytes, expected: list[tuple[str, str]]) -> None:
    assert events_of([stream]) == expected


@pytest.mark.parametrize(("stream", "expected"), CASES.values(), ids=CASES)
def test_single_bytes_give_the_same_events(stream: bytes, expected: list[tuple[str, str]]) -> None:
    assert events_of([stream[place : place + 1] for place in range(len(stream))]) == expected


LINES = st.sampled_from(
    [b"data: a", b"data: \xc3\xa4\xf0\x9f\x9a\x80", b": c", b"event: error", b"error: x", b"id: 1", b"", b""]
)
STREAMS = st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r", b"\r\n"])), max_size=12).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 200), max_size=8))
def test_any_split_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in zip(places, places[1:], strict=False)]
    assert events_of(pieces) == events_of([stream])


@pytest.mark.parametrize("line", [b"data: " + b"x" * 1024, b"data: x\n" * 128], ids=["one_line", "many_lines"])
def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch, line: bytes) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    with pytest.raises(sse.SseError, match="longer than 100 bytes"):
        sse.SseParser().feed(line)
