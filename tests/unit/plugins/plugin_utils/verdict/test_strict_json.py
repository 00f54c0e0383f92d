# SPDX-License-Identifier: MIT
"""JSON that lies: each fault by line and key (bad-inputs row 89)."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict.strict_json import parse

FAULTS = {
    "89_truncated": (b'{"a": 1,\n "b": [1, 2', ["f:2: is not JSON: Expecting ',' delimiter (column 12)"]),
    "89_nan": (b'{"a": {\n "p50": NaN}}', ["f:2: a.p50: NaN is not a number that JSON has"]),
    "89_infinity_in_list": (b'{"itl": [1,\n-Infinity, Infinity]}', [
        "f:2: itl[1]: -Infinity is not a number that JSON has",
        "f:2: itl[2]: Infinity is not a number that JSON has",
    ]),
    "89_duplicate": (b'{"a": 1,\n"b": {"c": 1, "c": 2}}', ["f:2: b.c: the key is given twice"]),
    "89_duplicate_at_the_top": (b'{"a": 1,\n\n"a": 2}', ["f:3: a: the key is given twice"]),
    "89_duplicate_in_a_list_of_objects": (b'[{"x": 1}, {"x": 1, "x": 2}]', ["f:1: [1].x: the key is given twice"]),
    "89_duplicate_before_broken_rest": (b'{"a": {"b": 1, "b": 2}]]]}', ["f:1: a.b: the key is given twice"]),
    "89_duplicate_by_escape": (b'{"a": 1, "\\u0061": 2}', ["f:1: a key is given twice"]),
    "89_deep": (b'{"a":' + b"[" * 100_000, ["f:1: is nested too deeply"]),
    "89_encoding": (b'{"a":\n"\xff"}', ["f:2: is not UTF-8: byte 0xff"]),
    "89_utf16": ('{"a": 1}'.encode("utf-16"), ["f:1: is not UTF-8: byte 0xff"]),
    "89_list": (b"[1]", ["f:1: holds a list; expected an object"]),
    "89_number": (b"5", ["f:1: holds a int; expected an object"]),
    "89_huge_number": (b'{"a": ' + b"9" * 5000 + b"}", ["f:1: Exceeds the limit (4300 digits) for integer string conversion"]),
    "empty": (b" \n", ["f:1: is empty"]),
    "two_objects": (b"{}{}", ["f:1: is not JSON: Extra data (column 3)"]),
}  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), FAULTS.values(), ids=FAULTS)
def test_fault_is_named_by_line_and_key(content: bytes, expected: list[str]) -> None:
    data, problems = parse(content, "f")
    assert data is None
    assert [problem.render()[: len(line)] for problem, line in zip(problems, expected, strict=True)] == expected


def test_a_line_of_a_larger_file_keeps_its_number() -> None:
    assert parse(b'{"a": NaN}', "f", 17)[1][0].render() == "f:17: a: NaN is not a number that JSON has"


def test_words_inside_strings_are_no_fault() -> None:
    assert parse(b'{"a": "NaN", "b": "{\\"a\\": 1", "c": {"a": "Infinity"}}', "f")[1] == ()
