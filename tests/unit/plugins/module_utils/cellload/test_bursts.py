# SPDX-License-Identifier: MIT
"""When bursts are."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellload.bursts import Burst

BURST = Burst(every_s=60.0, length_s=5.0, concurrency=4)


@pytest.mark.parametrize(
    ("end_s", "spans"),
    [
        (59.0, []),
        (60.0, []),
        (61.0, [(60.0, 61.0)]),
        (150.0, [(60.0, 65.0), (120.0, 125.0)]),
    ],
)
def test_bursts_begin_after_the_steady_load_was_seen_alone(end_s: float, spans: list[tuple[float, float]]) -> None:
    assert list(BURST.spans(end_s)) == spans


@pytest.mark.parametrize(
    ("began_s", "ended_s", "touches"),
    [
        (0.0, 10.0, False),
        (50.0, 60.0, False),
        (50.0, 60.04, False),
        (50.0, 60.1, True),
        (0.0, 120.0, True),
        (60.01, 60.02, True),
        (60.0, 70.0, True),
        (64.9, 70.0, True),
        (64.96, 70.0, False),
        (65.0, 70.0, False),
        (70.0, 80.0, False),
        (0.0, 100.0, True),
        (110.0, 120.0, False),
        (120.0, 130.0, True),
        (126.0, 126.0, False),
    ],
)
def test_a_window_knows_whether_a_burst_was_in_it(began_s: float, ended_s: float, touches: bool) -> None:
    assert BURST.touches(began_s, ended_s) is touches
