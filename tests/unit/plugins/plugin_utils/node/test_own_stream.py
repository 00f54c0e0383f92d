# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import time

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.own_stream import (
    StreamEnd,
    hand_over,
    read_stream,
)
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import owner

# Far above what a loaded machine needs to start a shell.
PATIENCE_S = 60.0


def shell(text):
    return ["/bin/sh", "-c", text]


class Taken:
    """Takes all until it is enough bytes, None for whatever comes."""

    def __init__(self, enough):
        self.found, self._enough = bytearray(), enough
        self._room = memoryview(bytearray(1000))

    def space(self):
        return self._room

    def filled(self, count):
        self.found += self._room[:count]
        return self._enough is not None and len(self.found) >= self._enough


def taken(argv, stdin=b"", enough=None, silence_s=PATIENCE_S):
    """Return what was taken until it was enough bytes, and how the stream ended before."""
    sink = Taken(enough)
    try:
        read_stream(argv, stdin, sink, silence_s)
    except StreamEnd as exc:
        return bytes(sink.found), exc
    return bytes(sink.found), None


@pytest.mark.parametrize(
    ("size", "enough", "taken", "left"),
    [
        (0, 1, 0, None),
        (2500, 3000, 2500, None),
        (2500, 2500, 2500, 0),
        (2500, 2000, 2000, 500),
        (2500, None, 2500, None),
    ],
)
def test_bytes_at_hand_go_to_the_sink_until_it_has_all(size, enough, taken, left):
    content, sink = os.urandom(size), Taken(enough)
    rest = hand_over(memoryview(content), sink)
    assert bytes(sink.found) == content[:taken]
    assert (None if rest is None else bytes(rest)) == (None if left is None else content[size - left :])


def test_bytes_of_any_number_come_as_they_were_written():
    content = os.urandom(3_000_000)
    assert taken(["cat"], content, enough=len(content)) == (content, None)


def test_the_command_is_gone_when_enough_has_come(tmp_path):
    pids = tmp_path / "pids"
    found, end = taken(shell(f"echo $$ >{pids}; sleep 1000 & echo $! >>{pids}; echo all; wait"), enough=4)
    assert (found, end) == (b"all\n", None)
    for pid in pids.read_text().split():
        deadline = time.monotonic() + PATIENCE_S
        while owner.lives(int(pid)) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not owner.lives(int(pid))


def test_an_end_that_comes_early_tells_status_and_last_words():
    found, end = taken(shell("printf abc; echo first >&2; echo last >&2; exit 7"))
    assert (found, str(end), end.code, end.said, end.silent) == (b"abc", "last", 7, "first\nlast", False)


def test_an_end_without_a_word_is_told_as_such():
    assert "the stream ended early (exit status 0)" in str(taken(["true"])[1])


def test_a_command_that_falls_silent_is_broken_off_and_killed(tmp_path):
    pid = tmp_path / "pid"
    found, end = taken(shell(f"echo $$ >{pid}; printf abc; exec sleep 1000"), silence_s=0.3)
    assert (found, str(end), end.silent) == (b"abc", "nothing came from the node for 0.3 s", True)
    assert not owner.lives(int(pid.read_text()))
