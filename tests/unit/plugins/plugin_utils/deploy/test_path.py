# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy import graph, schedule
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy.path import Course, Moments, course
from hypothesis import given
from hypothesis import strategies as st

SHOP = {
    "redis": Moments((), 2.0, 2.0, 3.0),
    "mysql": Moments((), 2.0, 2.5, 7.0),
    "user": Moments(("redis", "mysql"), 7.0, 7.0, 9.0),
    "order": Moments(("redis", "mysql"), 7.0, 8.0, 12.0),
    "gateway": Moments(("user", "order"), 12.0, 12.0, 13.0),
}
NOTHING = Course((), 0.0, {}, {}, 0.0)


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ({}, NOTHING),
        ({"a": Moments((), 1.0)}, NOTHING),
        ({"a": Moments((), 1.0, 1.5, 4.0)}, Course(("a",), 3.0, {"a": 0.0}, {"a": 0.5}, 0.5)),
        (
            SHOP,
            Course(
                ("mysql", "order", "gateway"),
                11.0,
                {"redis": 4.0, "mysql": 0.0, "user": 3.0, "order": 0.0, "gateway": 0.0},
                {"redis": 0.0, "mysql": 0.5, "user": 0.0, "order": 1.0, "gateway": 0.0},
                1.5,
            ),
        ),
        (
            {"a": Moments((), 0.0, 0.0, 5.0), "b": Moments(("a",), 5.0, 5.0, None), "c": Moments(("b",))},
            Course(("a",), 5.0, {"a": 0.0}, {"a": 0.0, "b": 0.0}, 0.0),
        ),
        (
            {"a": Moments((), None, 1.0, 2.0), "b": Moments(("a", "ghost"), None, 2.0, 4.0)},
            Course(("a", "b"), 3.0, {"a": 0.0, "b": 0.0}, {}, 0.0),
        ),
        (
            {"a": Moments((), 1.0, 0.999, 2.0)},
            Course(("a",), 1.0, {"a": 0.0}, {"a": 0.0}, 0.0),
        ),
    ],
    ids=[
        "nothing",
        "nothing became ready",
        "one held back",
        "the need that was ready last is followed",
        "what failed and what never started is left out",
        "a need that is no service, and nobody noted when it could start",
        "a clock that went back loses nothing",
    ],
)
def test_the_course_of_a_deployment_names_what_it_waited_for(moments, expected):
    assert course(moments) == expected


def test_services_that_wait_for_each_other_are_named():
    with pytest.raises(graph.CycleError, match="wait for each other"):
        course({"a": Moments(("b",), 0.0, 0.0, 1.0), "b": Moments(("a",), 0.0, 0.0, 1.0)})


@given(st.lists(st.tuples(st.integers(1, 9), st.sets(st.integers(0, 11), max_size=3)), max_size=12))
def test_without_limits_the_real_path_is_the_planned_one_with_the_real_times(services):
    needs = {f"s{n}": [f"s{m}" for m in sorted(wants) if m < n] for n, (_, wants) in enumerate(services)}
    times = {f"s{n}": float(seconds) for n, (seconds, _) in enumerate(services)}
    moments: dict[str, Moments] = {}
    for name, wants in needs.items():
        start = max((moments[want].ready_s for want in wants), default=0.0)
        moments[name] = Moments(tuple(wants), start, start, start + times[name])
    found = course(moments)
    assert found.seconds == schedule.critical_path(needs, times).seconds == sum(times[name] for name in found.names)
    assert found.slack_s == schedule.slack(needs, times)
    assert not any(found.lost_s.values())
