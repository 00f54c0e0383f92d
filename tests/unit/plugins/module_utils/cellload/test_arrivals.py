# SPDX-License-Identifier: MIT
"""The times of an open loop."""

from __future__ import annotations

import statistics

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.arrivals import endless, schedule
from hypothesis import given
from hypothesis import strategies as st


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert schedule(4, 2.0, "constant", 1) == [0.0, 0.5, 1.0, 1.5]


@pytest.mark.parametrize("count", [0, 1])
def test_few_arrivals_begin_at_once(count: int) -> None:
    assert list(schedule(count, 5.0, "poisson", 1)) == [0.0] * count


@given(count=st.integers(2, 300), rate=st.floats(0.01, 1e4), seed=st.integers(0, 99))
def test_poisson_arrivals_ascend_and_reach_the_rate_exactly(count: int, rate: float, seed: int) -> None:
    times = schedule(count, rate, "poisson", seed)
    assert len(times) == count
    assert times[0] == 0
    assert all(before <= after for before, after in zip(times, times[1:], strict=False))
    assert times[-1] == pytest.approx((count - 1) / rate)


def test_the_seed_decides() -> None:
    assert schedule(50, 10, "poisson", 1) == schedule(50, 10, "poisson", 1)
    assert schedule(50, 10, "poisson", 1) != schedule(50, 10, "poisson", 2)


def test_poisson_gaps_spread_as_exponential_ones_do() -> None:
    times = schedule(20_001, 100, "poisson", 3)
    gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
    assert statistics.stdev(gaps) / statistics.mean(gaps) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("kind", ["constant", "poisson"])
def test_endless_arrivals_lie_within_their_bounds_at_their_rate(kind: str) -> None:
    times = list(endless(50, kind, 3, 100.0, 500.0))
    assert times[0] == 100.0
    assert times[-1] < 500.0
    assert all(before <= after for before, after in zip(times, times[1:], strict=False))
    assert len(times) == pytest.approx(20_000, rel=0.03)


def test_the_seed_decides_of_endless_arrivals_too() -> None:
    assert list(endless(50, "poisson", 1, 0.0, 5.0)) == list(endless(50, "poisson", 1, 0.0, 5.0))
    assert list(endless(50, "poisson", 1, 0.0, 5.0)) != list(endless(50, "poisson", 2, 0.0, 5.0))
