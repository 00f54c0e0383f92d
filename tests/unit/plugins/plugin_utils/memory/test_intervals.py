# SPDX-License-Identifier: MIT
from __future__ import annotations

import math

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import intervals
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.intervals import Rate
from hypothesis import given
from hypothesis import strategies as st

# Wilson's interval by the book: count, of, low, high.
WILSON = [
    (0, 0, 0.0, 1.0),
    (0, 1, 0.0, 0.7935),
    (1, 2, 0.0945, 0.9055),
    (5, 10, 0.2366, 0.7634),
    (81, 263, 0.2553, 0.3662),
]


@pytest.mark.parametrize(("count", "of", "low", "high"), WILSON)
def test_the_interval_is_wilsons(count, of, low, high):
    assert intervals.wilson(count, of) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(0, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_lies_within_0_and_1(pair):
    count, of = pair
    low, high = intervals.wilson(count, of)
    assert 0.0 <= low <= (count / of if of else 0.5) <= high <= 1.0


@pytest.mark.parametrize(
    ("count", "of", "limit", "above"),
    [
        pytest.param(1, 2, 0.3, "suspected", id="1 of 2 is not 50 % failing"),
        pytest.param(1, 1, 0.3, "suspected", id="one case"),
        pytest.param(10, 20, 0.3, "suspected", id="the interval begins below"),
        pytest.param(50, 100, 0.3, "certain", id="half of many"),
        pytest.param(30, 100, 0.3, "", id="exactly the limit is not above it"),
        pytest.param(0, 0, 0.3, "", id="nothing at all"),
    ],
)
def test_a_rate_is_above_for_certain_only_with_its_whole_interval(count, of, limit, above):
    assert Rate(count, of).above(limit) == above


@pytest.mark.parametrize(
    ("count", "of", "below"), [(1, 2, "suspected"), (40, 100, "certain"), (80, 100, ""), (0, 0, "")]
)
def test_a_rate_is_below_for_certain_only_with_its_whole_interval(count, of, below):
    assert Rate(count, of).below(0.8) == below


@pytest.mark.parametrize(
    ("worse", "better", "p", "trend"),
    [(0, 0, 1.0, "steady"), (5, 0, 0.0625, "steady"), (6, 0, 0.03125, "worse"), (0, 6, 0.03125, "better"),
     (10, 4, 0.1796, "steady"), (400, 200, 0.0, "worse")],
)  # fmt: skip
def test_the_trend_is_tested_on_cases_that_changed(worse, better, p, trend):
    assert intervals.mcnemar(worse, better) == pytest.approx(p, abs=1e-4)
    assert intervals.trend(worse, better) == trend


def test_pass_at_k_is_the_chance_that_one_of_k_draws_passes():
    assert intervals.pass_at(1, [(3, 4), (0, 2)]) == pytest.approx((0.75 + 0.0) / 2)
    assert intervals.pass_at(3, [(1, 4)]) == pytest.approx(1 - math.comb(3, 3) / math.comb(4, 3))
    assert intervals.pass_at(3, [(1, 2), (0, 0)]) == 1.0
    assert intervals.pass_at(3, []) is None
