# SPDX-License-Identifier: MIT

from __future__ import annotations

import math

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import values


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "ms", "-"),
        (math.nan, "ms", "-"),
        (math.inf, "ms", "-"),
        (0, "requests", "0 requests"),
        (12700, "", "12 700"),
        (412.345, "ms", "412 ms"),
        (38.14, "ms", "38.1 ms"),
        (0.00213, "s", "0.00213 s"),
        (1234567.8, "", "1 234 568"),
        ("text", "", "text"),
        (True, "", "True"),
    ],
)
def test_figures_keep_three_digits_and_absent_is_never_zero(value: object, unit: str, text: str) -> None:
    assert values.shown(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"files": 3, "missing": [], "signal": None, "clean": True}, "files: 3; clean: yes"),
        ({"ready": {"a": 0.5, "b": 1.25}}, "ready: a: 0.5; b: 1.25"),
        (["x", 2], "x, 2"),
        (None, ""),
        ("text", "text"),
    ],
)
def test_words_leave_out_what_is_empty(value: object, text: str) -> None:
    assert values.words(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (185, "3 min 05 s"),
        (7620, "2 h 07 min"),
        (math.nan, "-"),
    ],
)
def test_duration_is_readable(seconds: object, text: str) -> None:
    assert values.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(None, "-"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 * 1024**4, "5.0 TiB")]
)
def test_size_is_in_binary_units(count: object, text: str) -> None:
    assert values.size(count) == text


def test_finite_makes_any_record_fit_for_json() -> None:
    record = {"a": math.nan, "b": [math.inf, 1, {"c": (-math.inf, "x")}], 3: {1}, "d": object}
    found = values.finite(record)
    assert found["a"] is None and found["b"] == [None, 1, {"c": [None, "x"]}]
    assert found["3"] == [1] and isinstance(found["d"], str)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "1970-01-01 00:00:00 UTC"), ("2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05+00:00"), (None, "")],
)
def test_clock_reads_numbers_as_seconds_since_1970(value: object, text: str) -> None:
    assert values.clock(value) == text
