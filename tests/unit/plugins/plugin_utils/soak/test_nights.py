# SPDX-License-Identifier: MIT
"""Nights side by side: each soak is a row, whatever became of its files."""

from __future__ import annotations

import json

import pytest
import soak_records
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import outputs
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.nights import nights
from soak_records import kill, window

CASE = {"scenario": "s", "case": "c", "attempt": 1}
PLAN = {
    "cases": [
        {"ref": CASE, "soak": {"topology": "single", "settings": {"profile": "soak_smoke", "duration_secs": 100}}}
    ]
}


@pytest.fixture
def make_run(tmp_path):
    """Return a maker of runs with one soak. Returns the folder of the run."""

    def make(run_id, *, plan=PLAN, verdict="pass", own=True, control=False):
        folder = tmp_path / run_id
        folder.mkdir()
        (folder / "plan.json").write_text(plan if isinstance(plan, str) else json.dumps(plan))
        if verdict:
            case = {**CASE, "labels": {"topology": "single"}, "verdict": verdict, "soak": {"gates": 3}}
            (folder / "summary.json").write_text(json.dumps({"cases": [case]}))
        if own:
            windows = [window(t, t + 10) for t in range(0, 100, 10)]
            faults = (kill(0, 30.0, "n1", "decode-1"),)
            record = soak_records.record(folder, windows=windows, schedule=faults, negative_control=control)
            outputs.write(folder / "s/c/soak", record)
        return folder

    return make


def told(results):
    return [(one.run_id, one.state, one.verdict) for one in nights(results)]


def test_nights_are_told_oldest_first_with_their_figures(make_run, tmp_path):
    make_run("20260102_000000")
    make_run("20260101_000000", verdict="fail")
    found = nights(tmp_path)
    assert [(one.run_id, one.verdict) for one in found] == [("20260101_000000", "fail"), ("20260102_000000", "pass")]
    first = found[0].as_dict()
    assert (first["faults"], first["faults_felt"], first["rto_max_s"], first["failure_ratio"]) == (1, 1, 2.0, 0.0)
    assert (first["lasted_s"], first["planned_s"], first["profile"]) == (100.0, 100.0, "soak_smoke")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ({"verdict": "", "own": False}, [("20260101_000000", "unfinished", "")]),
        ({"own": False, "verdict": "error"}, [("20260101_000000", "finished", "error")]),
        ({"plan": "{", "own": False}, [("20260101_000000", "finished", "pass")]),
        ({"plan": "[" * 100_000, "own": False, "verdict": ""}, []),
        ({"plan": {"cases": [1, None, {"ref": 5, "soak": 3}]}, "own": False, "verdict": ""}, []),
    ],
)
def test_a_damaged_run_is_told_as_far_as_it_is_known(make_run, tmp_path, damage, expected):
    make_run("20260101_000000", **damage)
    assert told(tmp_path) == expected


def test_a_summary_that_cannot_be_read_is_a_state(make_run, tmp_path):
    folder = make_run("20260101_000000", verdict="")
    (folder / "s/c/soak/summary.json").write_bytes(b"\xff{")
    assert told(tmp_path) == [("20260101_000000", "unreadable", "")]


def test_a_negative_control_is_told_from_a_night_that_survived_its_faults(make_run, tmp_path):
    make_run("20260101_000000", control=True)
    make_run("20260102_000000")
    settings = {"profile": "soak_smoke", "duration_secs": 100, "negative_control": True}
    plan = {"cases": [{"ref": CASE, "soak": {"topology": "single", "settings": settings}}]}
    make_run("20260103_000000", plan=plan, own=False, verdict="")
    assert [one.negative_control for one in nights(tmp_path)] == [True, False, True]


def test_nights_are_chosen_by_scenario_and_topology(make_run, tmp_path):
    make_run("20260101_000000")
    asked = [("s", "single"), ("s", ""), ("other", ""), ("s", "distributed")]
    assert [len(nights(tmp_path, *one)) for one in asked] == [1, 1, 0, 0]


def test_names_from_a_damaged_plan_do_not_lead_out_of_the_run(make_run, tmp_path):
    plan = {"cases": [{**PLAN["cases"][0], "ref": {"scenario": "../..", "case": "..", "attempt": 1}}]}
    make_run("20260101_000000", plan=plan, own=False, verdict="")
    assert [(one.scenario, one.case) for one in nights(tmp_path)] == [("", "")]


def test_no_folder_has_no_nights(tmp_path):
    assert nights(tmp_path / "none") == ()
