# SPDX-License-Identifier: MIT

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import gantt, spans

Make = Callable[..., dict[str, Any]]


def test_services_are_starting_until_ready_and_serving_until_stopped(make_case: Make) -> None:
    found = [(s.kind, s.start_s, s.seconds) for s in spans.of_case(make_case()) if s.name == "router"]
    assert found == [("starting", 2.0, 2.5), ("serving", 4.5, 32.5)]


def test_service_that_never_came_up_is_a_failed_span_to_the_end(make_case: Make) -> None:
    record = make_case(services=[{"name": "d-1", "node": "n", "started_s": 2.0, "ready_s": None}])
    (span,) = [s for s in spans.of_case(record) if s.name == "d-1"]
    assert (span.kind, span.ok, span.seconds) == ("starting", False, 35.0)


def test_time_that_goes_backwards_makes_no_negative_span(make_case: Make) -> None:
    record = make_case(
        steps=[{"step": "test", "node": "n", "started_s": -3.0, "seconds": -1.0}],
        services=[{"name": "a", "started_s": 9.0, "ready_s": 4.0}],
        seconds=5.0,
    )
    assert all(span.start_s >= 0 and (span.seconds or 0) >= 0 for span in spans.of_case(record))


@pytest.mark.parametrize("broken", [[{"step": "test"}], [None, 3, "x"], None, "text"])
def test_steps_without_a_start_are_left_out(make_case: Make, broken: object) -> None:
    assert spans.of_case(make_case(steps=broken, services=broken)) == ()


def test_every_bar_lies_inside_the_drawing(make_case: Make) -> None:
    drawing = gantt.draw(spans.of_case(make_case()))
    assert drawing is not None
    assert {lane.label for lane in drawing.lanes} == {"deploy", "test", "stop", "router"}
    for bar in drawing.bars:
        assert bar.x >= gantt.LABEL_WIDTH and bar.x + bar.width <= drawing.width
        assert bar.y > 0 and bar.y + bar.height <= drawing.height
    assert drawing.ticks[0].label == "0 s" and len(drawing.ticks) <= 9


def test_nodes_share_a_lane_without_overlap(make_case: Make) -> None:
    steps = [{"step": "prep", "node": f"n{i}", "started_s": 0.0, "seconds": 1.0} for i in range(3)]
    drawing = gantt.draw(spans.of_case(make_case(steps=steps, services=[])))
    assert drawing is not None and len(drawing.lanes) == 1
    tops = sorted((bar.y, bar.height) for bar in drawing.bars)
    assert all(first[0] + first[1] <= second[0] for first, second in zip(tops, tops[1:], strict=False))


def test_too_many_lanes_are_counted_not_drawn(make_case: Make) -> None:
    services = [{"name": f"s{i}", "node": "n", "started_s": 0.0, "ready_s": 1.0} for i in range(300)]
    drawing = gantt.draw(spans.of_case(make_case(services=services)))
    assert drawing is not None and len(drawing.lanes) == gantt.MAX_LANES
    assert drawing.hidden == 303 - gantt.MAX_LANES


def test_nothing_to_draw_is_no_drawing() -> None:
    assert gantt.draw(()) is None
