# SPDX-License-Identifier: MIT
"""A clock that nobody sets: it begins with the time of the day and goes on with what has passed."""

from __future__ import annotations

import time

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import steady


@pytest.mark.parametrize("jump", [7200.0, -7200.0, 5.0, -5.0])
def test_f60_a_wall_clock_that_jumps_moves_no_moment(jump):
    """F60, F62"""
    wall, passed = [1_700_000_000.0], [50.0]
    clock = steady.clock(lambda: wall[0], lambda: passed[0])
    assert clock() == 1_700_000_000.0
    wall[0] += jump
    passed[0] += 3.0
    assert clock() == 1_700_000_003.0


def test_without_anybody_at_the_clock_it_is_the_time_of_the_day():
    clock = steady.clock()
    first = clock()
    assert abs(first - time.time()) < 5.0
    assert clock() >= first


def test_a_system_that_counts_no_sleep_has_what_it_counts(monkeypatch):
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    monkeypatch.setattr(time, "monotonic", lambda: 7.0)
    assert steady.since_boot() == 7.0
