# SPDX-License-Identifier: MIT
from __future__ import annotations

import re

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify import digits, rules
from hypothesis import given, settings
from hypothesis import strategies as st

LOOSE = {
    "failed": "failed",
    r"\d+ of \d{3} failed .{0,40}": r"\d+ of \d{3} failed .{0,40}",
    "errno 28": r"errno \d\d",
    "p2p x509": r"p\dp x\d\d\d",
    "[45]xx[0-9a-f]{8}": r"(?:[45]|\d)xx[0-9a-f]{8}",
    "(?P<a_1>a{2})": "(?P<a_1>a{2})",
    r"(?<![A-Za-z])5(?!\d)": r"(?<![A-Za-z])\d(?!\d)",
    r"code (?!0\b)\d+": r"code \d+",
    r"code (?!(?:a|b))\d+": r"code (?!(?:a|b))\d+",
    r"code (?!(?:0|1)\b)\d+": digits.ANYTHING,
    r"(\d+) is not \1": digits.ANYTHING,
    r"(?P<a>\d) is not (?P=a)": digits.ANYTHING,
    "(?>a+)": digits.ANYTHING,
    "[^5]*+5": digits.ANYTHING,
    r"\d{2}+5": digits.ANYTHING,
    r"\x35": digits.ANYTHING,
    "[]5]": digits.ANYTHING,
    r"\[5\] \++": r"\[\d\] \++",
}


@pytest.mark.parametrize(("pattern", "loose"), LOOSE.items(), ids=LOOSE)
def test_a_pattern_is_loosened(pattern, loose):
    assert digits.loosened(pattern) == loose


PARTS = st.sampled_from(
    ["a", "5", "28", r"\d", r"\d+", r"\b", "[45]", "[^5]", "[3-7]?", "(?:1|a)", ".{0,3}", ".{0,4}?", r"\w{2}", "1{2}",
     "(?!5)", r"(?<!1)", "(?=[2-4])", " "]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=6).map("".join), st.text("01235a ", max_size=10), st.data())
def test_what_matches_with_some_digits_matches_loosely_with_all(pattern, line, data):
    other = re.sub(r"\d", lambda _: data.draw(st.sampled_from("0123456789")), line)
    assert digits.masked(other.encode()) == digits.masked(line.encode())
    loose = re.compile(digits.loosened(pattern))
    assert bool(loose.search(line)) == bool(loose.search(other))
    assert loose.search(other) or not re.search(pattern, line)


def test_few_patterns_of_ours_cannot_be_loosened():
    unread = [unit.pattern for unit in rules.own().units if unit.loose and unit.loose.pattern == digits.ANYTHING]
    assert len(unread) <= 5


def test_what_is_remembered_of_lines_has_an_end():
    known = digits.Known()
    entry = b"%08d" + b"x" * 1000
    for number in range(10_000):
        known.remember(entry % number, number)
        assert known[entry % number] == number
        assert sum(map(len, known)) <= digits.MOST_BYTES
    assert len(known) > 100
    known.remember(b"x" * (digits.LONGEST_BYTES + 1), 0)
    assert all(len(mask) <= digits.LONGEST_BYTES for mask in known)
