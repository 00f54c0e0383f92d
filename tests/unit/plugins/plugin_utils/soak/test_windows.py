# SPDX-License-Identifier: MIT
"""What the load client told while it loaded: counts and histograms by window, and each line that is none."""

from __future__ import annotations

import json

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.windows import WindowError, load_windows

TTFT = {"n": 3, "min": 1.0, "max": 9.0, "h": [[32640, 2], [32700, 1]]}
WINDOW = {"t0": 1.0, "t1": 2.0, "b0": 100.0, "b1": 110.0, "sent": 7, "completed": 5, "failed": 2, "without_tokens": 1}


@pytest.fixture
def load(tmp_path):
    def write(*lines, end="\n", **more):
        path = tmp_path / "soak_windows.jsonl"
        path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + end)
        return load_windows(path, **more)

    return write


def test_windows_count_from_the_begin_of_the_load(load):
    second = {**WINDOW, "b0": 110.0, "b1": 112.5, "errors": {"http_reset": 2}, "ttft_ms": TTFT}
    found = load(WINDOW, second, began_b=95.0)
    assert [(one.began_s, one.ended_s) for one in found] == [(5.0, 15.0), (15.0, 17.5)]
    first, second = found
    assert (first.sent, first.completed, first.failed, first.without_tokens) == (7, 5, 2, 1)
    assert (first.errors, first.latencies) == ({}, {})
    assert (second.errors, second.latencies["ttft_ms"].total) == ({"http_reset": 2}, 3)
    found = second.latencies["ttft_ms"]
    assert {index: int(found.counts[index - found.first]) for index in (32640, 32700)} == {32640: 2, 32700: 1}


def test_without_a_begin_the_first_window_is_it(load):
    assert load({**WINDOW, "b0": 50.0}, WINDOW)[0].began_s == 0.0


def test_f62_the_wall_clock_moves_no_window(load):
    """F62"""
    assert load({**WINDOW, "t0": 9.0, "t1": 3.0}, began_b=100.0)[0].ended_s == 10.0


@pytest.mark.parametrize("cut", [json.dumps(WINDOW)[:40], json.dumps(WINDOW), ""])
def test_a_last_line_without_its_end_is_left_out(load, cut):
    assert len(load(WINDOW, cut, end="")) == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "Expecting property name"),
        ("[]", "list indices"),
        ({}, "'b0' is missing"),
        ({**WINDOW, "b1": 90.0}, "b1 is 90.0; expected a time after b0, which is 100.0"),
        ({**WINDOW, "b1": float("nan")}, "b1 is nan"),
        ({**WINDOW, "sent": -1}, "sent is -1; expected a whole number from 0"),
        ({**WINDOW, "sent": 1.5}, "sent is 1.5"),
        ({**WINDOW, "failed": True}, "failed is True"),
        ({**WINDOW, "errors": {"x": "1"}}, "errors.x is '1'"),
        ({**WINDOW, "ttft_ms": {**TTFT, "n": 4}}, "ttft_ms.n is 4, and its histogram holds 3"),
        ({**WINDOW, "ttft_ms": {**TTFT, "h": [[-1, 3]]}}, "ttft_ms.h is -1"),
        ({**WINDOW, "ttft_ms": {**TTFT, "h": [[70000, 3]]}}, "70000"),
    ],
)
def test_g02_another_line_that_is_none_is_named(load, line, said):
    """G02"""
    with pytest.raises(WindowError) as caught:
        load(WINDOW, line, WINDOW)
    assert str(caught.value).startswith("soak_windows.jsonl:2: ") and said in str(caught.value)
