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


DIED: list[tuple[str, dict[str, Any], list[tuple[str, float, float, bool]]]] = [
    (
        "served-then-died",
        {"ready_s": 4.0, "ended_s": 20.0, "exit_code": 137},
        [("starting", 2.0, 2.0, True), ("serving", 4.0, 16.0, True), ("dead", 20.0, 17.0, False)],
    ),
    (
        "ended-with-0-and-should-not-have",
        {"ready_s": 4.0, "ended_s": 20.0, "exit_code": 0, "serves": True},
        [("starting", 2.0, 2.0, True), ("serving", 4.0, 16.0, True), ("dead", 20.0, 17.0, False)],
    ),
    (
        "died-while-it-started",
        {"ready_s": None, "ended_s": 3.0, "exit_code": 1},
        [("starting", 2.0, 1.0, False), ("dead", 3.0, 34.0, False)],
    ),
    (
        "ended-when-it-was-stopped",
        {"ready_s": 4.0, "ended_s": 37.5, "exit_code": 0},
        [("starting", 2.0, 2.0, True), ("serving", 4.0, 33.0, True)],
    ),
    (
        "job-that-completed",
        {"ready_s": 4.0, "ended_s": 3.9, "exit_code": 0, "serves": False},
        [("starting", 2.0, 2.0, True)],
    ),
    (
        "job-that-failed",
        {"ready_s": None, "ended_s": 3.0, "exit_code": 2, "serves": False},
        [("starting", 2.0, 1.0, False), ("dead", 3.0, 34.0, False)],
    ),
]


@pytest.mark.parametrize(("facts", "expected"), [row[1:] for row in DIED], ids=[row[0] for row in DIED])
def test_a_service_is_not_shown_as_serving_after_its_death(
    make_case: Make, facts: dict[str, Any], expected: list[tuple[str, float, float, bool]]
) -> None:
    record = make_case(services=[{"name": "d-1", "node": "n", "started_s": 2.0, **facts}])
    found = [(s.kind, s.start_s, s.seconds, s.ok) for s in spans.of_case(record) if s.name == "d-1"]
    assert found == expected
    drawing = gantt.draw(spans.of_case(record))
    assert drawing is not None
    styles = [bar.style for bar in drawing.bars if bar.title.startswith("d-1")]
    assert styles == ["failed" if kind == "dead" else kind for kind, _start, _seconds, _ok in expected]


STARTS: list[tuple[str, dict[str, Any], list[tuple[str, float, float, bool, int]]]] = [
    (
        "held-back-then-started",
        {"runnable_s": 2.0, "started_s": 3.0, "running_s": 4.0, "ready_s": 6.0},
        [
            ("waiting", 2.0, 1.0, True, 1),
            ("launching", 3.0, 1.0, True, 1),
            ("starting", 4.0, 2.0, True, 1),
            ("serving", 6.0, 31.0, True, 1),
        ],
    ),
    (
        "a-slot-was-free",
        {"runnable_s": 3.0, "started_s": 3.0, "running_s": 4.0, "ready_s": 6.0, "serves": False},
        [("launching", 3.0, 1.0, True, 1), ("starting", 4.0, 2.0, True, 1)],
    ),
    (
        "ready-before-anybody-saw-it-run",
        {"runnable_s": 3.0, "started_s": 3.0, "running_s": None, "ready_s": 6.0, "serves": False},
        [("starting", 3.0, 3.0, True, 1)],
    ),
    (
        "engine-could-not-start-it",
        {"runnable_s": 3.0, "started_s": 3.0, "running_s": None, "ready_s": None, "failed_s": 3.5},
        [("launching", 3.0, 0.5, False, 1), ("dead", 3.5, 33.5, False, 1)],
    ),
    (
        "never-ready-but-it-did-not-fail",
        {"runnable_s": 3.0, "started_s": 3.0, "running_s": 4.0, "ready_s": None},
        [("launching", 3.0, 1.0, True, 1), ("starting", 4.0, 33.0, False, 1)],
    ),
    (
        "unhealthy-while-its-container-runs",
        {"runnable_s": 3.0, "started_s": 3.0, "running_s": 4.0, "ready_s": None, "failed_s": 9.0},
        [("launching", 3.0, 1.0, True, 1), ("starting", 4.0, 5.0, False, 1), ("dead", 9.0, 28.0, False, 1)],
    ),
    (
        "second-start",
        {
            "earlier": [
                {"runnable_s": 1.0, "started_s": 2.0, "running_s": 3.0, "failed_s": 4.0, "why": "container_exited: 3"}
            ],
            "runnable_s": 6.0,
            "started_s": 6.0,
            "running_s": 7.0,
            "ready_s": 8.0,
        },
        [
            ("waiting", 1.0, 1.0, True, 1),
            ("launching", 2.0, 1.0, True, 1),
            ("starting", 3.0, 1.0, False, 1),
            ("dead", 4.0, 2.0, False, 1),
            ("launching", 6.0, 1.0, True, 2),
            ("starting", 7.0, 1.0, True, 2),
            ("serving", 8.0, 29.0, True, 2),
        ],
    ),
    (
        "started-again-with-another-that-failed",
        {
            "earlier": [{"started_s": 2.0, "running_s": 2.0, "ready_s": 3.0, "why": "all services"}],
            "started_s": 6.0,
            "running_s": 6.0,
            "ready_s": 8.0,
        },
        [
            ("starting", 2.0, 1.0, True, 1),
            ("serving", 3.0, 3.0, True, 1),
            ("starting", 6.0, 2.0, True, 2),
            ("serving", 8.0, 29.0, True, 2),
        ],
    ),
    (
        "second-start-never-came",
        {"earlier": [{"started_s": 2.0, "running_s": 2.0, "failed_s": 3.0}], "started_s": None},
        [("starting", 2.0, 1.0, False, 1), ("dead", 3.0, 34.0, False, 1)],
    ),
    (
        "recovered-while-the-test-ran",
        {"started_s": 2.0, "ready_s": 4.0, "recovered": [{"at_s": 20.0, "what": "died"}, {"what": "no moment"}]},
        [("starting", 2.0, 2.0, True, 1), ("serving", 4.0, 33.0, True, 1), ("recovered", 20.0, 0.0, True, 1)],
    ),
]


@pytest.mark.parametrize(("facts", "expected"), [row[1:] for row in STARTS], ids=[row[0] for row in STARTS])
def test_each_part_of_each_start_is_a_span(
    make_case: Make, facts: dict[str, Any], expected: list[tuple[str, float, float, bool, int]]
) -> None:
    record = make_case(services=[{"name": "d-1", "node": "n", **facts}])
    found = [(s.kind, s.start_s, s.seconds, s.ok, s.nth) for s in spans.of_case(record) if s.name == "d-1"]
    assert found == expected


def test_a_service_that_was_not_ready_in_the_end_is_not_drawn_as_failed(make_case: Make) -> None:
    late = {"name": "d-1", "node": "n", "started_s": 3.0, "running_s": 4.0, "ready_s": None}
    drawing = gantt.draw_deployment(spans.of_case(make_case(services=[late])))
    assert drawing is not None and [bar.style for bar in drawing.bars] == ["launching", "starting"]


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


CHAIN = [
    {"name": "db", "node": "n1", "runnable_s": 10.0, "started_s": 10.0, "running_s": 11.0, "ready_s": 14.0},
    {"name": "web", "node": "n2", "runnable_s": 14.0, "started_s": 14.5, "running_s": 15.0, "ready_s": 18.0},
    {"name": "cache", "node": "n1", "runnable_s": 10.0, "started_s": 10.0, "running_s": 10.5, "ready_s": 12.0},
]


def test_the_deployment_is_drawn_by_itself_until_the_last_service_is_ready(make_case: Make) -> None:
    drawing = gantt.draw_deployment(spans.of_case(make_case(services=CHAIN)))
    assert drawing is not None
    assert [lane.label for lane in drawing.lanes] == ["cache", "db", "web"], "no steps"
    assert [tick.label for tick in drawing.ticks] == [f"{second} s" for second in range(10, 19, 2)]
    assert drawing.ticks[0].x == gantt.LABEL_WIDTH
    ends = {bar.x + bar.width for bar in drawing.bars if bar.style == "serving"}
    assert ends == {gantt.LABEL_WIDTH + gantt.PLOT_WIDTH}, "what goes on is cut at the edge"


def test_the_critical_path_is_framed_and_joined(make_case: Make) -> None:
    record = make_case(services=CHAIN, deployment={"critical_path": ["db", "web"]})
    for drawing in (gantt.draw(spans.of_case(record)), gantt.draw_deployment(spans.of_case(record))):
        assert drawing is not None
        frames = [bar for bar in drawing.bars if bar.style == "path"]
        assert [frame.title for frame in frames] == [f"{name} is on the critical path" for name in ("db", "web")]
        assert [lane.label for lane in drawing.lanes if lane.critical] == ["db", "web"]
        (points,) = drawing.links
        first, *_rest, last = [tuple(map(float, point.split(","))) for point in points.split()]
        assert first == (round(frames[0].x + frames[0].width, 2), frames[0].y + frames[0].height)
        assert last == (frames[1].x, frames[1].y + frames[1].height / 2)
        assert ("path", "critical path") in drawing.key


def test_the_key_explains_what_is_drawn_and_nothing_else(make_case: Make) -> None:
    drawing = gantt.draw_deployment(spans.of_case(make_case(services=CHAIN)))
    assert drawing is not None
    assert [style for style, _meaning in drawing.key] == ["waiting", "launching", "starting", "serving"]


@pytest.mark.parametrize("services", [[], [{"name": "a", "started_s": None, "ready_s": None}]])
def test_a_case_without_a_start_has_no_drawing_of_its_deployment(make_case: Make, services: list[Any]) -> None:
    assert gantt.draw_deployment(spans.of_case(make_case(services=services))) is None


def test_a_start_that_took_no_time_can_be_drawn(make_case: Make) -> None:
    service = {"name": "a", "node": "n", "started_s": 0.0, "running_s": 0.0, "ready_s": 0.0}
    assert gantt.draw_deployment(spans.of_case(make_case(services=[service], steps=[], seconds=0.0))) is not None
