# SPDX-License-Identifier: MIT
"""What the pages of a run say of a soak, and that they lead to its page."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import (
    case_page,
    html_page,
    run_page,
    soaks,
    summary,
)

FACTS = {
    "page": "soak/soak.html",
    "metric_gate": "insufficient_data",
    "planned_s": 1200.0,
    "lasted_s": 1201.0,
    "gates": 40,
    "gates_passed": 31,
    "gates_no_data": 9,
    "faults": 6,
    "faults_felt": 5,
    "rto_max_s": 1.25,
}
HELD = "31 of 40 gates hold, 9 had no data: insufficient data."
RUN = {
    "run_id": "20260101_000000",
    "verdict": "pass",
    "exit_code": 0,
    "started_at": 0.0,
    "ended_at": 1.0,
    "seconds": 1.0,
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {},
            (
                "The load lasted 20 min 01 s of 20 min 00 s.",
                HELD,
                "5 of 6 faults were felt; the slowest recovery took 1.25 s.",
            ),
        ),
        ({"rto_max_s": None}, ("The load lasted 20 min 01 s of 20 min 00 s.", HELD, "5 of 6 faults were felt.")),
        ({"faults": 0}, ("The load lasted 20 min 01 s of 20 min 00 s.", HELD, "No faults were planned.")),
    ],
)
def test_a_soak_is_told_in_sentences(changes, expected):
    assert soaks.sentences({**FACTS, **changes}) == expected


def test_what_is_no_soak_is_not_told():
    assert soaks.sentences({}) == ()


def test_every_page_says_what_the_gates_came_to_and_leads_to_the_page(make_case, tmp_path):
    record = make_case(soak=FACTS, scenario="a b", case="c", attempt=1)
    run = {**RUN, "cases": [record]}
    pages = {
        "soak/soak.html": case_page.render(record),
        "a%20b/c/soak/soak.html": run_page.render(run),
        "./a%20b/c/soak/soak.html": html_page.render(run, tmp_path),
    }
    for link, page in pages.items():
        assert HELD in page and link in page
    assert summary.build(run)["cases"][0]["soak"] == FACTS


def test_pages_of_other_runs_have_no_such_chapter(make_case, tmp_path):
    record = make_case()
    run = {**RUN, "cases": [record]}
    assert all(
        "soak" not in page.lower()
        for page in (case_page.render(record), run_page.render(run), html_page.render(run, tmp_path))
    )
    assert "soak" not in summary.build(run)["cases"][0]
