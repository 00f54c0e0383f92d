# SPDX-License-Identifier: MIT
"""Slopes: what grows is found with its rate, what only moves is not, and what cannot be told is not told."""

from __future__ import annotations

import numpy as np
import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import fit
from hypothesis import given, settings
from hypothesis import strategies as st

HOUR = 3600.0
THREE_HOURS = np.arange(60.0, 3 * HOUR, 5.0)
TWENTY_MINUTES = np.arange(60.0, 1200.0, 1.0)


def noise(chance, times, size, memory_s):
    """Noise of a standard deviation that remembers itself for some seconds."""
    step = times[1] - times[0]
    keep = np.exp(-step / memory_s)
    found = np.zeros(len(times))
    for index, news in enumerate(chance.normal(0, size * np.sqrt(1 - keep**2), len(times))):
        found[index] = keep * found[index - 1] + news
    return found


# name, times, what is added to 500 units and noise of 1 unit, growth an hour, restarts
FLAT = [
    pytest.param(THREE_HOURS, lambda t: 0 * t, id="noise alone"),
    pytest.param(THREE_HOURS, lambda t: 300 * (1 - np.exp(-t / 540)), id="a warm-up that flattens"),
    pytest.param(THREE_HOURS, lambda t: 100.0 * (t > 0.3 * t[-1]), id="a step"),
    pytest.param(THREE_HOURS, lambda t: 100.0 * (t > 0.97 * t[-1]), id="a step at the end"),
    pytest.param(THREE_HOURS, lambda t: 1000.0 * (np.arange(len(t)) % 37 == 0), id="spikes"),
    pytest.param(THREE_HOURS, lambda t: 20 * (t / 90 % 1), id="a collector's teeth, as long as a block"),
    pytest.param(THREE_HOURS, lambda t: 20 * (t / 30 % 1), id="a collector's teeth, shorter than a block"),
    pytest.param(TWENTY_MINUTES, lambda t: 0 * t, id="twenty minutes"),
]
LIMIT = {len(THREE_HOURS): 2.0, len(TWENTY_MINUTES): 32.0}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("times", "shape"), FLAT)
def test_what_does_not_grow_is_no_leak(times, shape, seed):
    chance = np.random.default_rng(seed)
    found = fit.slope(times, 500 + shape(times) + noise(chance, times, 1.0, 20.0))
    assert found is not None
    assert found.low <= LIMIT[len(times)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("times", "shape"), FLAT)
def test_what_grows_beneath_it_is_found(times, shape, seed):
    chance, rate = np.random.default_rng(seed), 60 * LIMIT[len(times)]
    found = fit.slope(times, 500 + shape(times) + noise(chance, times, 1.0, 20.0) + rate * times / HOUR)
    assert found is None or found.high > 0.8 * rate
    if shape(times).max() == 0:
        assert found.low > LIMIT[len(times)]


def test_a_leak_of_one_an_hour_under_noise_of_two_is_found_in_three_hours():
    """G2: its interval is above half of it, and without the leak below."""
    for seed in range(10):
        values = 800 + noise(np.random.default_rng(seed), THREE_HOURS, 2.0, 10.0)
        leaking, steady = fit.slope(THREE_HOURS, values + THREE_HOURS / HOUR), fit.slope(THREE_HOURS, values)
        assert leaking.low > 0.5 > steady.high


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    held, tries = 0, 200
    for seed in range(tries):
        times = np.arange(0.0, HOUR, 10.0)
        found = fit.slope(times, noise(np.random.default_rng(seed), times, 1.0, 60.0) + 5 * times / HOUR)
        held += found is None or found.low <= 5 <= found.high
    assert held >= 0.88 * tries


def test_a_restart_resets_nothing_that_counts():
    """Memory that a death gave back is no fall: within each life it grows."""
    restarts = [HOUR, 2 * HOUR]
    values = 500 + 30 * (THREE_HOURS % HOUR) / HOUR + np.random.default_rng(1).normal(0, 1, len(THREE_HOURS))
    found = fit.slope(THREE_HOURS, values, restarts)
    assert found.low > 25 and found.high < 35
    alone = fit.slope(THREE_HOURS, values)
    assert alone is None or not alone.low > 25


def test_a_leak_that_begins_late_is_judged_by_the_end():
    values = 500 + np.maximum(THREE_HOURS - 2.2 * HOUR, 0) / HOUR * 100
    found = fit.slope(THREE_HOURS, values + np.random.default_rng(1).normal(0, 1, len(THREE_HOURS)))
    assert found.low > 50
    assert found.began_s > HOUR


def test_two_teeth_are_not_told_from_a_trend():
    values = 300 * (TWENTY_MINUTES / 570 % 1) + np.random.default_rng(1).normal(0, 1, len(TWENTY_MINUTES))
    found = fit.slope(TWENTY_MINUTES, values)
    assert found is None or (found.low < 0 < found.high)


@pytest.mark.parametrize("count", [0, 1, 2, 20, 45])
def test_few_samples_tell_nothing_even_if_they_agree(count):
    assert fit.slope(list(range(count)), [5.0] * count) is None


def test_what_never_changes_grows_by_nothing():
    found = fit.slope(THREE_HOURS, np.full(len(THREE_HOURS), 7.0))
    assert (found.per_hour, found.low, found.high) == (0.0, 0.0, 0.0)
    assert (found.samples, found.began_s, found.ended_s) == (len(THREE_HOURS), THREE_HOURS[0], THREE_HOURS[-1])


@pytest.mark.parametrize(
    ("values", "most"),
    [
        pytest.param(0 * TWENTY_MINUTES, 0.0, id="nothing moves"),
        pytest.param(1.0 * (TWENTY_MINUTES > 300), 1 * HOUR / 1139, id="a step at first"),
        pytest.param(1.0 * (TWENTY_MINUTES > 800), 1 * HOUR / 569, id="a step in the last half"),
        pytest.param(-1.0 * (TWENTY_MINUTES > 1100), 1 * HOUR / 284, id="a step in the last quarter, downwards"),
        pytest.param(1000.0 * (np.arange(1140) % 37 == 0), 0.0, id="spikes"),
        pytest.param(5 * TWENTY_MINUTES / HOUR, 5.0, id="a line"),
    ],
)
def test_a_series_grows_at_most_by_how_far_it_is_apart(values, most):
    assert fit.most(TWENTY_MINUTES, values) == pytest.approx(most, rel=0.02)


@pytest.mark.parametrize(
    ("times", "restarts", "known"),
    [
        pytest.param([], [], False, id="no samples"),
        pytest.param(range(45), [], False, id="few samples"),
        pytest.param(range(100), [], True, id="enough"),
        pytest.param(range(100), [0.0], True, id="a restart before it"),
        pytest.param(range(100), [50.0], False, id="a restart within it"),
        pytest.param(range(100), [99.0], False, id="a restart at its end"),
        pytest.param(range(100), [99.5], True, id="a restart after it"),
    ],
)
def test_the_most_is_told_of_enough_of_one_life(times, restarts, known):
    assert (fit.most(list(times), [5.0] * len(times), restarts) is not None) is known


def test_lives_that_are_all_too_short_tell_nothing():
    assert fit.slope(THREE_HOURS, np.random.default_rng(1).normal(0, 1, len(THREE_HOURS)), THREE_HOURS) is None


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(-1e9, 1e9), st.integers(0, 2**32 - 1))
def test_a_line_is_found_as_it_is_wherever_it_lies(rate, base, seed):
    times = np.sort(np.random.default_rng(seed).uniform(0, HOUR, 400))
    found = fit.slope(times, base + rate * times / HOUR)
    assert found is not None
    assert found.low - 1e-3 <= rate <= found.high + 1e-3
    assert found.per_hour == pytest.approx(rate, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.001, 1000.0), st.floats(-1e6, 1e6), st.integers(0, 1000))
def test_units_and_levels_do_not_matter(scale, level, seed):
    times = np.arange(0.0, HOUR, 10.0)
    values = noise(np.random.default_rng(seed), times, 1.0, 60.0) + 20 * times / HOUR
    one, other = fit.slope(times, values), fit.slope(times, level + scale * values)
    assert (one is None) == (other is None)
    if one and other:
        assert other.per_hour == pytest.approx(scale * one.per_hour, rel=1e-4, abs=1e-4)
        assert other.low == pytest.approx(scale * one.low, rel=1e-3, abs=1e-3 * scale)
