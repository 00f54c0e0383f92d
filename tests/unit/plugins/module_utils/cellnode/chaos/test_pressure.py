# SPDX-License-Identifier: MIT
"""Extra load is felt where it is answered, and not where it is only sent."""

from __future__ import annotations

import json

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.fault import Aim, Place
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.pressure import Pressure
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef

OK = {"ok": True, "status": 200, "error_kind": None}
REFUSED = {"ok": False, "status": None, "error_kind": "http_refused"}
OVERLOADED = {"ok": False, "status": 429, "error_kind": "overloaded"}


@pytest.fixture
def measured(tmp_path):
    """Return a function that gives what is measured of these records."""

    def measure(*records):
        place = Place(Context(tmp_path, RunRef("r", "s", "c"), environ={}), None, tmp_path / "event", "e")
        folder = place.folder / "load"
        folder.mkdir(parents=True)
        (folder / "requests.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
        return Pressure().effect(place, Aim("", "", 0, {}), {})

    return measure


@pytest.mark.parametrize(
    ("records", "applied", "why"),
    [
        pytest.param([OK, REFUSED], True, "", id="answered"),
        pytest.param([OVERLOADED], True, "", id="turned-away"),
        pytest.param(
            [REFUSED, REFUSED], False, "none of 2 requests was answered (http_refused)", id="F67-nobody-there"
        ),
        pytest.param([], False, "no request was sent: the client has not begun", id="F67-none-sent"),
    ],
)
def test_requests_that_nobody_answers_press_nothing(measured, records, applied, why):
    """F67"""
    found = measured(*records)
    assert (found.applied, found.why) == (applied, why)
    assert found.measured["requests"] == len(records)
    assert found.measured["answered"] == sum(one["status"] is not None for one in records)
