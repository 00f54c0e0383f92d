# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import moments
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import case_board

ORDER = {"t": 1003.0, "runnable_at": 1002.0, "try": 1, "clean_first": False}
NOTE = {"state": "running", "t": 1004.0, "try": 1, "started_at": 1003.1, "runnable_at": 1002.0, "running_at": 1004.0}
READY = {**NOTE, "state": "ready", "t": 1006.5}
FAILED = {**NOTE, "state": "failed", "t": 1005.0, "error_kind": "container_exited", "detail": "exited with 3"}
AGAIN = {**FAILED, "service": "a", "ordered_at": 1003.0}


def start(runnable=None, started=None, running=None, ready=None, failed=None):
    return {
        "runnable_s": runnable,
        "started_s": started,
        "running_s": running,
        "ready_s": ready,
        "failed_s": failed,
    }


FIRST = {**start(2.0, 3.0, 4.0, None, 5.0), "why": "container_exited: exited with 3"}


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        pytest.param({}, {**start(), "tries": 0, "earlier": []}, id="never-ordered"),
        pytest.param({"order.a": ORDER}, {**start(2.0, 3.0), "tries": 1, "earlier": []}, id="ordered"),
        pytest.param(
            {"order.a": ORDER, "service.a": NOTE}, {**start(2.0, 3.0, 4.0), "tries": 1, "earlier": []}, id="running"
        ),
        pytest.param(
            {"order.a": ORDER, "service.a": READY},
            {**start(2.0, 3.0, 4.0, 6.5), "tries": 1, "earlier": []},
            id="ready-since-its-last-state",
        ),
        pytest.param(
            {"order.a": ORDER, "service.a": FAILED},
            {**start(2.0, 3.0, 4.0, None, 5.0), "tries": 1, "earlier": []},
            id="failed-is-not-ready",
        ),
        pytest.param(
            {"order.a": ORDER, "service.a": FAILED, "again.a.1": AGAIN},
            {**start(2.0, 3.0, 4.0, None, 5.0), "tries": 1, "earlier": []},
            id="failed-and-cut-short-before-it-was-ordered-again",
        ),
        pytest.param(
            {
                "order.a": {**ORDER, "t": 1009.0, "runnable_at": 1008.0, "try": 2},
                "service.a": FAILED,
                "again.a.1": AGAIN,
            },
            {**start(8.0, 9.0), "tries": 2, "earlier": [FIRST]},
            id="what-an-earlier-start-left-says-nothing-of-this-one",
        ),
        pytest.param(
            {
                "order.a": {**ORDER, "t": 1009.0, "runnable_at": 1008.0, "try": 2},
                "service.a": {**READY, "try": 2, "running_at": 1010.0, "t": 1011.0},
                "again.a.1": AGAIN,
                "again.a.b.1": {**AGAIN, "service": "a.b"},
            },
            {**start(8.0, 9.0, 10.0, 11.0), "tries": 2, "earlier": [FIRST]},
            id="ready-at-its-second-start-beside-one-with-a-like-name",
        ),
    ],
)
def test_the_moments_of_a_service_are_those_of_its_last_start(tmp_path, notes, expected):
    board = case_board(tmp_path, 0)
    for name, note in notes.items():
        board.post(name, note)
    assert moments.of_service(board, "a", 1000.0) == expected


def test_starts_are_in_order_even_beyond_nine(tmp_path):
    board = case_board(tmp_path, 0)
    board.post("order.a", {**ORDER, "try": 12})
    for number in range(1, 12):
        board.post(f"again.a.{number}", {**AGAIN, "try": number, "t": 1000.0 + number})
    found = moments.of_service(board, "a", 1000.0)
    assert [one["failed_s"] for one in found["earlier"]] == [float(number) for number in range(1, 12)]


def service(name, *starts, why="container_exited: exited with 3"):
    return {"name": name, **starts[-1], "tries": len(starts), "earlier": [{**one, "why": why} for one in starts[:-1]]}


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (service("a", start(0, 0, 1, 2)), []),
        (
            service("a", start(0, 0, 1, None, 2), start(3, 3, 4, 5)),
            ["service a needed 2 starts: container_exited: exited with 3"],
        ),
        (
            service("a", start(0, 0, 1, None, 2), start(3, 3, 4, None, 5), start(6, 6, 7, None, 8)),
            ["service a is not ready after 3 starts: container_exited: exited with 3"],
        ),
        ({"name": "a", **start(3, 3, 4, 5), "tries": 2, "earlier": []}, ["service a needed 2 starts"]),
    ],
    ids=["one-start", "second-start", "not-even-the-third", "nobody-kept-the-first"],
)
def test_each_service_that_needed_more_than_one_start_is_a_warning(found, lines):
    assert moments.retries([found]) == lines


def test_recoveries_are_read_from_the_journal():
    event = {
        "phase": "event",
        "t": 1012.5,
        "service": "a",
        "state": "recovered",
        "message": "a died; started again (1)",
    }
    entries = [{"phase": "begin", "t": 1000.0}, event, {**event, "state": "died"}, {**event, "t": 1014.0}]
    at = [{"at_s": 12.5, "what": event["message"]}, {"at_s": 14.0, "what": event["message"]}]
    assert moments.recoveries(entries, 1000.0) == {"a": at}


LIMITS = {"services": 2, "services_per_node": 0, "health_checks": 0}
NOTHING_LOST = {"lost_to_limits_s": 0.0, "lost_on_critical_path_s": 0.0}


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        pytest.param(
            {},
            {"critical_path": [], "seconds": 0.0, "slack_s": {}, **NOTHING_LOST},
            id="never-ordered",
        ),
        pytest.param(
            {"a": [start(1, 1, 2, 5)], "b": [start(1, 3, 4, 4.5)], "c": [start(5, 5.5, 6, 7)]},
            {
                "critical_path": ["a", "c"],
                "seconds": 6.0,
                "slack_s": {"a": 0.0, "b": 0.5, "c": 0.0},
                "lost_to_limits_s": 2.5,
                "lost_on_critical_path_s": 0.5,
            },
            id="two-waited-for-a-slot",
        ),
        pytest.param(
            {"a": [start(1, 1.5, 2, None, 3), start(6, 6, 7, 8)], "b": [start(1, 1, 2, 3)], "c": [start(8, 8, 8.5, 9)]},
            {
                "critical_path": ["a", "c"],
                "seconds": 8.0,
                "slack_s": {"a": 0.0, "b": 5.0, "c": 0.0},
                "lost_to_limits_s": 0.5,
                "lost_on_critical_path_s": 0.5,
            },
            id="the-path-began-with-a-start-that-failed",
        ),
        pytest.param(
            {"a": [start(1, 1, 2, 5)], "b": [start(1, 1, 2, None, 3)]},
            {"critical_path": ["a"], "seconds": 4.0, "slack_s": {"a": 0.0}, **NOTHING_LOST},
            id="one-failed-and-its-dependant-never-started",
        ),
    ],
)
def test_what_a_deployment_waited_for_is_recorded_beside_what_was_expected(build, starts, expected):
    names = {"a": (), "b": (), "c": ("a", "b")}
    estimates = {"a": 1.0, "b": 3.0, "c": 1.5}
    planned = [build.service(name, needs=needs, estimate_s=estimates[name]) for name, needs in names.items()]
    found = [service(name, *starts.get(name, [start()])) for name in names]
    assert moments.deployment(build.case(services=planned, limits=LIMITS), found) == {
        "estimated_critical_path": ["b", "c"],
        "estimated_seconds": 4.5,
        "limits": LIMITS,
        **expected,
    }
