# SPDX-License-Identifier: MIT
"""Epoch reports as series: what the mappings find, when it was written, and each report that says nothing."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.begin import Begin
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.report_readings import read

BEGIN = Begin(1_700_000_000.0, 5000.0, "x", 60.0, 4900.0)
MAPPING = {
    "service": "sim",
    "path": "reports/*.json",
    "progress": "node.height",
    "network": "node.network",
    "checks": {"total": "checks.total", "failed": "checks.failed", "reasons": "checks.reasons"},
    "invariants": {"ledger": "node.ledger_ok"},
    "monotonic": ["progress"],
}
CHECKS = {"total": 10, "failed": 1, "reasons": {"timeout": 1}}
REPORT = {"node": {"height": 5, "network": 7, "ledger_ok": True}, "checks": CHECKS}


@pytest.fixture
def node(tmp_path):
    """Return a function that reads reports: name -> (seconds after the begin, content), noted by the node or not."""

    def reading(reports, entries=(MAPPING,), noted=True, more=""):
        index = []
        for name, (at, content) in reports.items():
            path = tmp_path / "report" / "sim" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
            os.utime(path, (BEGIN.unix_s + at, BEGIN.unix_s + at))
            index.append(json.dumps({"f": f"sim/{name}", "b": BEGIN.boottime_s + at, "t": BEGIN.unix_s + at}))
        if noted:
            (tmp_path / "reports.jsonl").write_text("".join(f"{line}\n" for line in index) + more)
        series, reported, problems = read("n1", tmp_path, BEGIN, entries)
        values = {(one.subject, one.metric): tuple(zip(one.times, one.values, strict=True)) for one in series}
        assert all(one.node == "n1" for one in series)
        return values, {one.service: one.times for one in reported}, [one.render() for one in problems]

    return reading


def changed(**node):
    return {**REPORT, "node": {**REPORT["node"], **node}}


def test_each_mapping_is_a_series(node):
    values, times, problems = node({"e1.json": (10, REPORT), "e2.json": (20, changed(height=6, ledger_ok=False))})
    of = {metric: points for (subject, metric), points in values.items() if subject == "report:sim"}
    assert of == {
        "progress": ((10.0, 5.0), (20.0, 6.0)),
        "network": ((10.0, 7.0), (20.0, 7.0)),
        "lag": ((10.0, 2.0), (20.0, 1.0)),
        "checks_total": ((10.0, 10.0), (20.0, 10.0)),
        "checks_failed": ((10.0, 1.0), (20.0, 1.0)),
        "reason:timeout": ((10.0, 1.0), (20.0, 1.0)),
        "invariant:ledger": ((10.0, 1.0), (20.0, 0.0)),
    }
    assert (times, problems) == ({"sim": (10.0, 20.0)}, [])


def test_reports_are_in_the_order_in_which_they_were_written(node):
    reports = {
        "e10.json": (30, changed(height=3)),
        "e2.json": (20, changed(height=2)),
        "e1.json": (10, changed(height=1)),
    }
    values, times, _ = node(reports)
    assert values["report:sim", "progress"] == ((10.0, 1.0), (20.0, 2.0), (30.0, 3.0))
    assert times["sim"] == (10.0, 20.0, 30.0)


def test_reports_of_the_same_moment_stay_two(node):
    _, times, _ = node({"e1.json": (10, REPORT), "e2.json": (10, REPORT), "e3.json": (10.0005, REPORT)})
    assert times["sim"] == (10.0, 10.001, 10.002)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "report/sim/e1.json:1: is empty"),
        ('{"node": {', "report/sim/e1.json:1: is not JSON"),
        ("[1, 2]", "report/sim/e1.json:1: holds a list; expected an object"),
        ('{"node": {"height": NaN}}', "report/sim/e1.json:1: node.height: NaN is not a number that JSON has"),
        ('{"node": {"height": Infinity}}', "report/sim/e1.json:1: node.height: Infinity is not a number"),
        ('{"node": 1, "node": 2}', "report/sim/e1.json:1: node: the key is given twice"),
    ],
)
def test_g02_what_is_no_report_is_named_and_has_no_value(node, content, said):
    """G02"""
    values, times, problems = node({"e1.json": (10, content), "e2.json": (20, REPORT)})
    assert values["report:sim", "progress"] == ((20.0, 5.0),) and times == {"sim": (20.0,)}
    assert len(problems) == 1 and problems[0].startswith(said)


@pytest.mark.parametrize(
    ("report", "metric", "said"),
    [
        (changed(height="5"), "progress", "progress: is '5'; expected a finite number"),
        (changed(height=True), "progress", "progress: is True; expected a finite number"),
        ({}, "network", "network: is not there; expected a finite number"),
        (changed(ledger_ok="yes"), "invariant:ledger", "invariant:ledger: is 'yes'; expected true or false"),
        (changed(ledger_ok=1), "invariant:ledger", "invariant:ledger: is 1; expected true or false"),
        (
            {**REPORT, "checks": {**CHECKS, "reasons": {"x": None}}},
            "reason:x",
            "reason:x: is not there; expected a finite",
        ),
        (
            {**REPORT, "checks": {**CHECKS, "reasons": ["x"]}},
            "reason:",
            "reason:: is ['x']; expected an object of reason",
        ),
    ],
)
def test_a_value_of_another_type_is_none_and_is_named(node, report, metric, said):
    values, times, problems = node({"e1.json": (10, report), "e2.json": (20, report)})
    assert values["report:sim", metric] == ((10.0, None), (20.0, None))
    assert times == {"sim": (10.0, 20.0)}
    mine = [text for text in problems if f"e1.json: {said}" in text]
    assert len(mine) == 1 and mine[0].endswith("(and in 1 more, such as report/sim/e2.json)")


def test_a_lag_needs_both_of_its_sides(node):
    values, _, _ = node({"e1.json": (10, changed(network=None)), "e2.json": (20, REPORT)})
    assert values["report:sim", "lag"] == ((20.0, 2.0),)


def test_a_report_without_reasons_has_none(node):
    bare = {**REPORT, "checks": {"total": 10, "failed": 0}}
    values, _, problems = node({"e1.json": (10, bare), "e2.json": (20, REPORT)})
    assert (values["report:sim", "reason:timeout"], problems) == (((20.0, 1.0),), [])


def test_g03_a_report_that_is_older_than_the_run_is_named_and_one_from_before_the_load_is_passed_over(node):
    """G03"""
    values, times, problems = node({"e0.json": (-4000, REPORT), "e1.json": (-50, REPORT), "e2.json": (10, REPORT)})
    assert times == {"sim": (10.0,)} and len(values["report:sim", "progress"]) == 1
    assert problems == ["report/sim/e0.json: is older than the run: written 3900 s before it took the node"]


def test_a_report_that_the_node_had_not_noted_has_the_time_of_its_file(node):
    _, times, problems = node({"e1.json": (10, REPORT)}, noted=False)
    assert (times, problems) == ({"sim": (10.0,)}, [])


def test_an_index_that_is_cut_is_read_as_far_as_it_goes(node):
    _, times, problems = node({"e1.json": (10, REPORT)}, more='{"f": "sim/e2.js')
    assert (times, problems) == ({"sim": (10.0,)}, [])
    _, _, problems = node({"e1.json": (10, REPORT)}, more="what is this\n")
    assert problems[0].startswith("reports.jsonl:2: is no entry: ")


def test_two_mappings_of_a_service_take_what_is_theirs(node):
    other = {"service": "sim", "path": "other/*.json", "progress": "other.done"}
    values, times, problems = node(
        {"e1.json": (10, REPORT), "o1.json": (15, {"other": {"done": 9}})}, ({**MAPPING, "checks": None}, other)
    )
    assert values["report:sim", "progress"] == ((10.0, 5.0), (15.0, 9.0))
    assert (times, problems) == ({"sim": (10.0, 15.0)}, [])


def test_an_expression_that_fails_on_a_report_is_named(node):
    odd = {**MAPPING, "progress": "length(node.height)", "network": None, "checks": None, "invariants": None}
    values, _, problems = node({"e1.json": (10, REPORT)}, (odd,))
    assert values == {("report:sim", "progress"): ((10.0, None),)}
    assert "length()" in problems[0]


def test_a_service_without_a_report_has_no_times(node):
    assert node({}) == ({}, {"sim": ()}, [])
