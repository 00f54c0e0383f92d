# SPDX-License-Identifier: MIT

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import case_page, course, html_page, tables

Make = Callable[..., dict[str, Any]]

DB = {
    "name": "db", "node": "n1", "runnable_s": 1.0, "started_s": 1.0, "running_s": 1.5, "ready_s": 4.0,
    "tries": 1, "estimate_s": 2.5, "ended_s": None,
}  # fmt: skip
WEB = {
    "name": "web", "node": "n2", "runnable_s": 4.0, "started_s": 4.75, "running_s": 5.0, "ready_s": 7.0,
    "tries": 2, "estimate_s": 2.0, "ended_s": 20.125,
}  # fmt: skip
LATE = {"name": "late", "node": "n2", "runnable_s": 7.0, "started_s": 7.0, "running_s": None, "ready_s": None}
DEPLOYMENT = {
    "critical_path": ["db", "web"],
    "seconds": 6.0,
    "estimated_critical_path": ["db", "web"],
    "estimated_seconds": 4.5,
    "limits": {"services": 4, "services_per_node": 0, "health_checks": 7},
    "lost_to_limits_s": 0.75,
    "lost_on_critical_path_s": 0.75,
    "slack_s": {"db": 0.0, "web": 0.0},
}
PATH = "Critical path: db → web, 6.0 s from the first start until the last was ready."
EXPECTED = "Expected before the run: the same path, 4.5 s."
LOST = "Lost to limits (at most 4 at once): web waited for a slot, 0.8 s in all, 0.8 s of it on the critical path."

SENTENCES: list[tuple[str, dict[str, Any], list[dict[str, Any]], tuple[str, ...]]] = [
    ("a-slot-was-missing", {}, [DB, WEB], (PATH, EXPECTED, LOST)),
    (
        "nothing-lost",
        {"lost_to_limits_s": 0.0, "lost_on_critical_path_s": 0.0},
        [DB],
        (PATH, EXPECTED, "Lost to limits: nothing, no service waited for a slot."),
    ),
    (
        "lost-beside-the-path-by-two-limits",
        {"limits": {"services": 4, "services_per_node": 2}, "lost_to_limits_s": 3.0, "lost_on_critical_path_s": 0.0},
        [WEB, {**WEB, "name": "web-2"}],
        (
            PATH,
            EXPECTED,
            "Lost to limits (at most 4 at once, 2 on each node): 2 services waited for a slot, 3.0 s in all, "
            "none of it on the critical path.",
        ),
    ),
    (
        "an-earlier-start-waited",
        {},
        [{**DB, "earlier": [{"runnable_s": 0.0, "started_s": 0.5}]}],
        (PATH, EXPECTED, LOST.replace("web", "db")),
    ),
    (
        "another-path-than-expected",
        {"estimated_critical_path": ["cache", "web"], "lost_to_limits_s": None},
        [DB, WEB],
        (PATH, "Expected before the run: cache → web, 4.5 s."),
    ),
    (
        "not-all-became-ready",
        {"lost_to_limits_s": None},
        [DB, WEB, LATE],
        (PATH.replace("path:", "path of the 2 of 3 services that became ready:"), EXPECTED),
    ),
    (
        "none-became-ready",
        {"critical_path": [], "lost_to_limits_s": None},
        [LATE],
        ("No service became ready.", "Expected before the run: db → web, 4.5 s."),
    ),
    (
        "recovered",
        {"lost_to_limits_s": None},
        [{**DB, "recovered": [{"at_s": 9.5, "what": "db died; started again (1)"}]}],
        (PATH, EXPECTED, "Recovered at 9.50 s, while the test ran: db died; started again (1)."),
    ),
    ("no-services", {}, [], ()),
]


@pytest.mark.parametrize(("changes", "services", "expected"), [r[1:] for r in SENTENCES], ids=[r[0] for r in SENTENCES])
def test_the_course_of_a_deployment_is_told(
    make_case: Make, changes: dict[str, Any], services: list[dict[str, Any]], expected: tuple[str, ...]
) -> None:
    assert course.sentences(make_case(services=services, deployment=DEPLOYMENT | changes)) == expected


@pytest.mark.parametrize("deployment", [None, {}, "text", []])
def test_a_record_that_says_nothing_of_its_deployment_tells_nothing(make_case: Make, deployment: object) -> None:
    record = make_case(deployment=deployment)
    assert course.sentences(record) == () == course.services(record)
    assert "## Deployment" not in case_page.render(record)


def test_each_service_has_its_moments(make_case: Make) -> None:
    record = make_case(services=[DB, WEB, LATE], deployment=DEPLOYMENT)
    assert [(s.name, s.critical, dict(zip(course.COLUMNS, s.cells, strict=True))) for s in course.services(record)] == [
        (
            "db",
            True,
            {
                "node": "n1", "could start": "1.00", "started": "1.00", "running": "1.50", "ready": "4.00",
                "end": "37.00", "took": "3.00", "expected": "2.50", "slack": "on the path", "starts": "1",
            },
        ),
        (
            "web",
            True,
            {
                "node": "n2", "could start": "4.00", "started": "4.75", "running": "5.00", "ready": "7.00",
                "end": "20.12", "took": "2.25", "expected": "2.00", "slack": "on the path", "starts": "2",
            },
        ),
        (
            "late",
            False,
            {
                "node": "n2", "could start": "7.00", "started": "7.00", "running": "-", "ready": "-",
                "end": "37.00", "took": "-", "expected": "-", "slack": "-", "starts": "-",
            },
        ),
    ]  # fmt: skip


def test_both_pages_show_the_path_what_was_lost_and_the_moments(
    tmp_path: Path, make_case: Make, make_run: Make
) -> None:
    record = make_case(services=[DB, WEB], deployment=DEPLOYMENT)
    for page in (case_page.render(record), html_page.render(make_run(record), tmp_path)):
        assert PATH in page and LOST in page and course.NOTE.replace("'", "&#39;") in page.replace("'", "&#39;")
    assert "| **web** | n2 | 4.00 | 4.75 | 5.00 | 7.00 | 20.12 |" in case_page.render(record)
    html = html_page.render(make_run(record), tmp_path)
    assert "<b>web</b>" in html and "waits for a slot" in html and '<polyline class="path"' in html


def test_the_table_of_the_timeline_says_which_start_and_what_was_critical(make_case: Make) -> None:
    earlier = [{"started_s": 1.0, "running_s": 1.0, "failed_s": 1.5, "why": "container_exited"}]
    record = make_case(services=[{**WEB, "earlier": earlier}], deployment=DEPLOYMENT, steps=[])
    assert tables.timeline(record).splitlines() == [
        "start_s,seconds,kind,name,node,ok,detail,start_number,critical_path",
        "1.0,0.5,starting,web,n2,false,container_exited,1,true",
        "1.5,2.5,dead,web,n2,false,container_exited,1,true",
        "4.0,0.75,waiting,web,n2,true,,2,true",
        "4.75,0.25,launching,web,n2,true,,2,true",
        "5.0,2.0,starting,web,n2,true,,2,true",
        "7.0,13.125,serving,web,n2,true,,2,true",
        "20.125,19.875,dead,web,n2,false,,2,true",
    ]
