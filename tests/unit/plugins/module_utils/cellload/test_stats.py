# SPDX-License-Identifier: MIT
"""Percentiles: linear interpolation, as numpy has it; nothing for no samples."""

from __future__ import annotations

import statistics

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.stats import (
    distribution,
    lateness,
    percentile,
)
from hypothesis import given
from hypothesis import strategies as st

SAMPLES = st.lists(st.floats(0, 1e6), min_size=2, max_size=60)


@pytest.mark.parametrize(
    ("samples", "percent", "expected"),
    [
        ([5.0], 99, 5.0),
        ([1.0, 2.0], 50, 1.5),
        ([1.0, 2.0, 3.0, 4.0], 50, 2.5),
        ([1.0, 2.0, 3.0, 4.0], 95, 3.85),  # numpy.percentile([1, 2, 3, 4], 95)
        ([1.0, 2.0, 3.0, 4.0, 5.0], 90, 4.6),
        ([1.0, 2.0, 3.0], 0, 1.0),
        ([1.0, 2.0, 3.0], 100, 3.0),
    ],
)
def test_percentile_interpolates_linearly(samples: list[float], percent: float, expected: float) -> None:
    assert percentile(samples, percent) == pytest.approx(expected)


@given(samples=SAMPLES)
def test_percentiles_equal_the_inclusive_method_of_the_library(samples: list[float]) -> None:
    ordered = sorted(samples)
    expected = statistics.quantiles(ordered, n=100, method="inclusive")
    assert [percentile(ordered, percent) for percent in range(1, 100)] == pytest.approx(expected)


@given(samples=SAMPLES)
def test_percentiles_grow_and_stay_between_least_and_most(samples: list[float]) -> None:
    ordered = sorted(samples)
    found = [percentile(ordered, percent) for percent in range(101)]
    assert (found[0], found[-1]) == (ordered[0], ordered[-1])
    assert all(low <= high + 1e-6 for low, high in zip(found, found[1:], strict=False))


def test_no_samples_give_nothing_and_never_zero() -> None:
    assert distribution([]) is None
    assert lateness([]) is None


def test_distribution_is_the_same_in_any_order() -> None:
    assert distribution([3.0, 1.0, 2.0]) == distribution([1.0, 2.0, 3.0])
    assert distribution([3.0, 1.0, 2.0]) == {
        "mean": 2.0, "p50": 2.0, "p90": 2.8, "p95": 2.9, "p99": 2.98, "min": 1.0, "max": 3.0, "count": 3,
    }  # fmt: skip


def test_lateness_names_median_tail_and_worst() -> None:
    assert lateness([0.0, 10.0]) == {"p50": 5.0, "p95": 9.5, "max": 10.0}
