# SPDX-License-Identifier: MIT
"""Histograms of the load client: the controller's bins, and percentiles within 0.2 % however many samples there are."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.histogram import (
    LARGEST,
    RELATIVE_ERROR,
    Histogram,
    indices,
    middle,
)
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.stats import distribution, lateness
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import histogram as controller
from hypothesis import given
from hypothesis import strategies as st

SAMPLES = st.lists(st.floats(0.001, 1e9), min_size=1, max_size=60)


def of(samples: list[float]) -> Histogram:
    histogram = Histogram()
    histogram.add(samples)
    return histogram


@given(samples=st.lists(st.floats(0, LARGEST, width=32), min_size=1, max_size=40))
def test_the_bins_are_the_controllers(samples: list[float]) -> None:
    known = controller.Histogram()
    known.add(np.array(samples, dtype=np.float32))
    mine = of(samples)
    assert {int(index): int(known.counts[index]) for index in np.flatnonzero(known.counts)} == mine.counts
    assert controller.Histogram.of(tuple(pair) for pair in mine.as_json()["h"]).total == len(samples)


@pytest.mark.parametrize(
    ("sample", "index"), [(0.0, 0), (-0.0, 0), (-3.5, 0), (1.0, 32512), (1.0039, 32512), (1.00391, 32513), (2.0, 32768)]
)
def test_the_bin_is_the_upper_part_of_the_pattern(sample: float, index: int) -> None:
    assert indices([sample]) == (index,)


@pytest.mark.parametrize("sample", [1e39, 1.7e308])
def test_what_is_too_great_for_the_bins_is_in_the_last(sample: float) -> None:
    assert indices([sample]) == indices([LARGEST])
    assert of([sample]).percentiles([50]) == [sample]


@given(sample=st.floats(1e-6, 1e30))
def test_the_middle_of_a_bin_is_off_by_at_most_the_promised_share(sample: float) -> None:
    assert middle(indices([sample])[0]) == pytest.approx(sample, rel=RELATIVE_ERROR)


@given(samples=SAMPLES)
def test_percentiles_are_within_the_promised_share_of_the_nearest_rank(samples: list[float]) -> None:
    ordered = sorted(samples)
    expected = [ordered[max(1, math.ceil(len(ordered) * percent / 100)) - 1] for percent in range(101)]
    found = of(samples).percentiles(range(101))
    assert found == pytest.approx(expected, rel=RELATIVE_ERROR)
    assert min(samples) <= found[0] <= found[-1] <= max(samples)


def test_the_figures_are_those_of_all_samples_within_the_promised_share() -> None:
    source = random.Random(7)
    samples = [source.lognormvariate(4, 1) for _ in range(20_000)]
    exact, found = distribution(samples), of(samples).distribution()
    assert exact is not None and found is not None
    assert list(found) == list(exact)
    assert found == pytest.approx(exact, rel=2 * RELATIVE_ERROR)
    assert [found[key] for key in ("mean", "min", "max", "count")] == [
        exact[key] for key in ("mean", "min", "max", "count")
    ]
    assert of(samples).lateness() == pytest.approx(lateness(samples), rel=2 * RELATIVE_ERROR)


@given(first=SAMPLES, second=SAMPLES)
def test_merging_is_counting_all(first: list[float], second: list[float]) -> None:
    merged, whole = of(first), of(first + second)
    merged.merge(of(second))
    assert (merged.counts, merged.total, merged.least, merged.most) == (
        whole.counts,
        whole.total,
        whole.least,
        whole.most,
    )
    assert merged.sum == pytest.approx(whole.sum)


def test_no_samples_give_nothing_and_never_zero() -> None:
    histogram = of([])
    assert (histogram.distribution(), histogram.lateness()) == (None, None)
    assert histogram.as_json() == {"n": 0, "min": None, "max": None, "h": []}


def test_a_histogram_is_told_as_pairs_in_order() -> None:
    assert of([2.0, 1.0, 2.001, 0.0]).as_json() == {
        "n": 4,
        "min": 0.0,
        "max": 2.001,
        "h": [[0, 1], [32512, 1], [32768, 2]],
    }


def test_its_size_follows_the_range_and_not_the_number_of_samples() -> None:
    histogram, source = Histogram(), random.Random(3)
    for _ in range(200):
        histogram.add([source.uniform(1.0, 1000.0) for _ in range(1000)])
    assert histogram.total == 200_000
    assert len(histogram.counts) <= 10 * 256  # ten doublings of 256 bins
