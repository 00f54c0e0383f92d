# SPDX-License-Identifier: MIT
"""Lines that come in as they may, and signs of life to whoever sends a long one."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import intake


class Stream:
    """Gives one part at each read, `each_s` after the one before."""

    def __init__(self, parts, clock, each_s):
        self._parts, self._clock, self._each_s = list(parts), clock, each_s

    def read1(self, _size):
        self._clock[0] += self._each_s
        return self._parts.pop(0) if self._parts else b""


CASES = {
    "whole lines": ([b"a\n", b"b\n"], 0.1, [b"a", b"b"], 0),
    "many at once": ([b"a\nb\nc\n"], 0.1, [b"a", b"b", b"c"], 0),
    "cut anywhere": ([b"a", b"b\nc", b"d\n"], 0.1, [b"ab", b"cd"], 0),
    "a last one without an end": ([b"a\nb"], 0.1, [b"a", b"b"], 0),
    "empty lines": ([b"\n\na\n"], 0.1, [b"", b"", b"a"], 0),
    "nothing": ([], 0.1, [], 0),
    "a long one": ([b"x"] * 10 + [b"\n"], 0.1, [b"x" * 10], 0),
    "a slow one": ([b"x"] * 10 + [b"\n"], 1.0, [b"x" * 10], 10),
    "a slow one behind a whole one": ([b"a\nx", b"x", b"x\n"], 4.0, [b"a", b"xxx"], 2),
    "whole lines that come seldom": ([b"a\n", b"b\n"], 60.0, [b"a", b"b"], 0),
}


@pytest.mark.parametrize(("parts", "each_s", "lines", "signs"), CASES.values(), ids=CASES)
def test_lines_are_whole_and_a_slow_one_is_answered_meanwhile(monkeypatch, parts, each_s, lines, signs):
    clock, heard = [0.0], []
    monkeypatch.setattr(intake.time, "monotonic", lambda: clock[0])
    found = list(intake.lines(Stream(parts, clock, each_s), lambda: heard.append(1)))
    assert (found, len(heard)) == (lines, signs)
