# SPDX-License-Identifier: MIT
"""What is drawn of a series: no spike is lost, and no gap is closed."""

from __future__ import annotations

import math

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.thinning import pieces
from hypothesis import given, settings
from hypothesis import strategies as st

SPAN = (0.0, 100.0)
VALUES = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True, width=32))


@settings(deadline=None, max_examples=150)
@given(st.lists(VALUES, max_size=400), st.integers(1, 60))
def test_smallest_and_largest_of_every_column_are_kept(values, columns):
    times = [place * 100.0 / max(len(values), 1) for place in range(len(values))]
    drawn = [point for piece in pieces(times, values, SPAN, columns) for point in piece]
    by_column = {}
    for at, value in zip(times, values, strict=True):
        if value is not None and math.isfinite(value):
            by_column.setdefault(min(int(at / 100.0 * columns), columns - 1), []).append(value)
    seen = {}
    for at, value in drawn:
        seen.setdefault(min(int(at / 100.0 * columns), columns - 1), []).append(value)
    assert {c: (min(v), max(v)) for c, v in seen.items()} == {c: (min(v), max(v)) for c, v in by_column.items()}
    assert len(drawn) <= 2 * columns
    assert [at for at, _ in drawn] == sorted(at for at, _ in drawn)


@pytest.mark.parametrize(
    ("times", "values", "expected"),
    [
        ((), (), ()),
        ((5.0,), (1.0,), (((5.0, 1.0),),)),
        ((5.0,), (None,), ()),
        ((1.0, 2.0, 3.0), (1.0, None, 2.0), (((1.0, 1.0),), ((3.0, 2.0),))),
        ((1.0, 2.0, 3.0), (1.0, math.nan, 2.0), (((1.0, 1.0),), ((3.0, 2.0),))),
        ((1.0, 2.0, 3.0, 30.0, 31.0), (1.0,) * 5, (((1.0, 1.0), (2.0, 1.0), (3.0, 1.0)), ((30.0, 1.0), (31.0, 1.0)))),
        ((3.0, 1.0, 2.0), (3.0, 1.0, 2.0), (((1.0, 1.0), (2.0, 2.0), (3.0, 3.0)),)),
        ((-1.0, 50.0, 101.0, math.nan), (1.0, 2.0, 3.0, 4.0), (((50.0, 2.0),),)),
    ],
)
def test_gaps_tear_a_series_and_what_is_no_number_or_outside_is_left_out(times, values, expected):
    assert pieces(times, values, SPAN) == expected
