# SPDX-License-Identifier: MIT
"""The engine's log frames, and what is kept of long streams."""

from __future__ import annotations

import io
import struct

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.stream import (
    HeadTail,
    last_lines,
    payload,
    plain,
)
from hypothesis import given
from hypothesis import strategies as st


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


def dribble(data: bytes, step: int):
    """Return a read function that gives at most step bytes a call, like a socket does."""
    source = io.BytesIO(data)
    return lambda size: source.read(min(size, step))


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300)), max_size=20), st.integers(1, 64))
def test_the_content_is_what_was_sent_however_it_is_cut(sent, step):
    wire = b"".join(frame(stream, data) for stream, data in sent)
    assert b"".join(payload(dribble(wire, step))) == b"".join(data for _, data in sent)


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_stream_cut_in_a_frame_gives_what_is_there(cut):
    wire = frame(1, b"whole") + frame(2, b"part")
    got = b"".join(payload(dribble(wire[:-cut], 3)))
    assert b"wholepart".startswith(got)
    assert got.startswith(b"whole")


def test_a_stream_that_is_not_multiplexed_is_refused():
    with pytest.raises(ValueError, match="not a multiplexed log stream"):
        list(payload(dribble(b"plain text of a terminal", 8)))


def test_the_log_of_a_terminal_is_taken_as_it_is():
    assert b"".join(plain(dribble(b"any bytes \x09", 3))) == b"any bytes \x09"


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        pytest.param([b"a\nb\nc\n"], ["b", "c"], id="last-two"),
        pytest.param([b"a\nb", b"b\nc"], ["bb", "c"], id="cut-between-chunks"),
        pytest.param([b"\xff\xfe\n", b"ok\r\n"], ["\ufffd\ufffd", "ok"], id="B84-not-utf8"),
        pytest.param([], [], id="empty"),
        pytest.param([b"x" * 5000], ["x" * 2000], id="long-line"),
    ],
)
def test_last_lines_are_text_of_bounded_size(chunks, lines):
    assert last_lines(chunks, 2) == lines


@given(st.binary(max_size=2000), st.integers(2, 300), st.integers(1, 97))
def test_head_and_tail_are_byte_exact(data, cap, step):
    kept = HeadTail(cap)
    for start in range(0, len(data), step):
        kept.feed(data[start : start + step])
    out = b"".join(kept.parts())
    if len(data) <= cap:
        assert out == data
        assert kept.dropped == 0
    else:
        assert out.startswith(data[: cap // 2])
        assert out.endswith(data[-(cap - cap // 2) :])
        assert kept.dropped == len(data) - cap
        assert b"[testcell: %d bytes left out here]" % kept.dropped in out
