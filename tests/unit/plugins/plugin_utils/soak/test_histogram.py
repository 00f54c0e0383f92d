# SPDX-License-Identifier: MIT
"""Histograms: near enough to the percentiles of all data, exact in adding up, and never counting what is no sample."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import histogram
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.histogram import Histogram, HistogramError
from hypothesis import given
from hypothesis import strategies as st

BOUND = 0.002
FLOAT = np.finfo(np.float32)
PERCENTS = st.sampled_from([0.0, 1.0, 50.0, 95.0, 99.0, 99.9, 100.0])
SAMPLES = st.lists(st.floats(float(FLOAT.smallest_normal), float(FLOAT.max), width=32), min_size=1, max_size=300)
ANYTHING = st.lists(st.floats(width=32, allow_subnormal=True), max_size=300)


def of(values, kind=np.float32):
    found = Histogram()
    found.add(np.array(values, dtype=kind))
    return found


def nearest_rank(values, percent):
    rank = max(1, math.ceil(len(values) * round(percent * 10) / 1000))
    return float(np.partition(np.array(values, dtype=np.float32), rank - 1)[rank - 1])


@given(SAMPLES, PERCENTS)
def test_a_percentile_is_within_a_fifth_of_a_percent_of_the_sample_of_that_rank(values, percent):
    true = nearest_rank(values, percent)
    assert abs(of(values).percentile(percent) - true) <= BOUND * true


@given(ANYTHING, ANYTHING)
def test_merging_is_the_same_as_counting_all(first, second):
    merged = of(first)
    merged.merge(of(second))
    both = of(first + second)
    assert (merged.counts == both.counts).all()
    assert (merged.not_finite, merged.negative) == (both.not_finite, both.negative)


@given(ANYTHING)
def test_every_value_is_counted_once_and_only_samples_in_bins(values):
    """G02: NaN, infinite and negative values are counted apart."""
    found = of(values)
    samples = [value for value in values if math.isfinite(value) and value >= 0]
    assert found.total == len(samples)
    assert found.negative == sum(math.isfinite(value) and value < 0 for value in values)
    assert found.refused == len(values) - len(samples)
    assert (found.counts == of(samples).counts).all()


@pytest.mark.parametrize(
    ("value", "counted", "not_finite", "negative"),
    [
        pytest.param(0.0, 1, 0, 0, id="zero"),
        pytest.param(-0.0, 1, 0, 0, id="zero with a sign"),
        pytest.param(1e-50, 1, 0, 0, id="less than float32 can hold"),
        pytest.param(-1e-50, 0, 0, 1, id="negative, and less than float32 can hold"),
        pytest.param(3.4e38, 1, 0, 0, id="the largest"),
        pytest.param(1e39, 0, 1, 0, id="more than float32 can hold"),
        pytest.param(math.nan, 0, 1, 0, id="NaN"),
        pytest.param(-math.nan, 0, 1, 0, id="NaN with a sign"),
        pytest.param(math.inf, 0, 1, 0, id="inf"),
        pytest.param(-math.inf, 0, 1, 0, id="-inf"),
        pytest.param(-3.0, 0, 0, 1, id="negative"),
    ],
)
def test_values_at_the_edges(value, counted, not_finite, negative):
    found = of([value], np.float64)
    assert (found.total, found.not_finite, found.negative) == (counted, not_finite, negative)


def test_blocks_do_not_show_in_the_counts():
    chance = np.random.default_rng(3)
    values = chance.lognormal(3, 1, 2 * histogram.BLOCK + 17).astype(np.float32)
    values[histogram.BLOCK] = np.nan
    by_one = sum(
        np.bincount(v.view(np.uint32) >> 15, minlength=histogram.BINS)
        for v in np.array_split(np.delete(values, histogram.BLOCK), 5)
    )
    found = of(values)
    assert (found.counts == by_one).all()
    assert found.not_finite == 1


def test_large_numbers_of_samples_are_near_a_partition_of_all():
    values = np.random.default_rng(4).lognormal(3, 1, 1_000_000).astype(np.float32)
    found = of(values)
    for percent in (1.0, 50.0, 95.0, 99.0, 99.9, 99.99):
        rank = math.ceil(len(values) * round(percent * 100) / 10_000) - 1
        true = float(np.partition(values, rank)[rank])
        assert abs(found.percentile(percent) - true) <= BOUND * true


def test_values_out_of_order_in_memory_are_counted():
    values = np.arange(1, 11, dtype=np.float32)
    found = Histogram()
    found.add(values[::-2])
    assert (found.counts == of([2, 4, 6, 8, 10]).counts).all()


def test_a_rank_is_as_the_percent_is_written():
    assert of([1.0] * 999 + [1000.0]).percentile(99.9) == pytest.approx(1.0, rel=BOUND)


def test_without_samples_there_is_no_percentile():
    assert Histogram().percentile(50) is None
    assert of([math.nan, -1.0]).percentile(50) is None


def test_pairs_add_up():
    found = Histogram.of([(5, 2), (5, 1), (0, 4)])
    assert (found.counts[5], found.counts[0], found.total) == (3, 4, 7)
    assert found.percentile(50) == 0.0


@given(ANYTHING, ANYTHING, PERCENTS)
def test_a_histogram_with_few_bins_counts_as_one_with_all(first, second, percent):
    whole = of(first)
    held = np.flatnonzero(whole.counts).tolist()
    few = Histogram.of([(index, int(whole.counts[index])) for index in held])
    assert len(few.counts) == (held[-1] + 1 - held[0] if held else 0)
    assert (few.total, few.zeros, few.percentile(percent)) == (whole.total, whole.zeros, whole.percentile(percent))
    for adding in (lambda one: one.merge(of(second)), lambda one: one.add(np.array(second, dtype=np.float32))):
        grown, right = Histogram(few.counts, first=few.first), of(first)
        adding(grown)
        adding(right)
        assert (grown.counts == right.counts).all()
    right = of(second)
    right.merge(whole)
    merged = of(second)
    merged.merge(few)
    assert (merged.counts == right.counts).all()


@pytest.mark.parametrize("pair", [(-1, 1), (histogram.FINITE, 1), (1 << 17, 1), (3, -1)])
def test_a_pair_that_no_histogram_has_is_refused(pair):
    with pytest.raises(HistogramError, match=rf"bin {pair[0]} with count {pair[1]}; expected"):
        Histogram.of([pair])


def test_the_state_is_fixed():
    found = of(np.ones(100_000, dtype=np.float32))
    assert found.counts.nbytes == 512 << 10
