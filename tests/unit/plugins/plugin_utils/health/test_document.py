# SPDX-License-Identifier: MIT
"""The form of what is told, which programs rely on and the reference page names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import document

PAGE = Path(__file__).resolve().parents[5] / "docs" / "reference" / "cli.md"
PORT = {"port": 8000, "address": "0.0.0.0", "pid": 7, "program": "nginx"}
LEFT = {"type": "volume", "id": "v", "name": "v", "run": "dead", "age_s": 5.0, "ours": True}
QUARANTINE = {"kind": "disk_full", "reason": "no room", "run": "r", "since": 900.0, "until": 4500.0}
CARD = {"index": 0, "name": "H", "uuid": "u", "memory_total_bytes": 8, "memory_used_bytes": 4, "utilization_percent": 9}


@pytest.fixture
def whole(said, told, entry, build):
    """Return the document of a node that has something of everything."""
    case = build.case(services=[build.service("a", ports=(8000, 8001))])
    facts = said(lease=entry["held"], services=[entry["service"]], leftovers=[LEFT], gpus=[CARD], listening=[PORT])
    return told({**facts, "memory": {"quarantine": QUARANTINE, "blames": []}}, case)


def test_a_healthy_node_is_told_as_such(told):
    node = told()
    assert (node["ok"], node["state"], node["reachable"], node["problems"]) == (True, "ok", True, [])
    assert (node["asked_unix"], node["seconds"], node["clock_offset_s"]) == (1000.0, 0.3, 0.0)
    assert node["compose"] == [{"kind": "plugin", "version": "2.26"}]
    assert node["engine"] == {"ok": True, "version": "20.10", "api": "1.41", "error": ""}


STATES = [
    pytest.param({"gpu_error": "x"}, True, "warning", id="warning"),
    pytest.param({"compose": [], "gpu_error": "x"}, False, "failed", id="error"),
]


@pytest.mark.parametrize(("changes", "ok", "state"), STATES)
def test_one_error_makes_a_node_unable_and_a_warning_does_not(said, told, changes, ok, state):
    node = told(said(**changes))
    assert (node["ok"], node["state"]) == (ok, state)


def test_the_clock_is_compared_when_the_answer_comes_so_that_a_slow_start_is_no_offset(said):
    asking = document.Asking(1000.0, 8.0)
    facts = said(time_unix=1007.9, answered_unix=1008.1)
    node = document.of_answer("n1", facts, asking, document.Standard(), lambda _: False)
    assert node["clock_offset_s"] == 0.1


def test_services_are_those_of_the_run_that_holds_the_node(said, told, entry):
    other = {**entry["service"], "run": "dead"}
    assert told(said(services=[other]))["services"] == []
    found = told(said(lease=entry["held"], services=[other, entry["service"]]))["services"]
    assert [one["run"] for one in found] == [entry["run"]]


def test_wanted_ports_are_told_with_who_has_them(whole):
    assert whole["ports"] == [
        {"port": 8000, "taken": True, "program": "nginx", "pid": 7, "service": "router", "run": "20260101_000000"},
        {"port": 8001, "taken": False, "program": "", "pid": None, "service": "", "run": ""},
    ]


def test_scenarios_are_told_on_the_nodes_that_they_use_alone(said, told, build):
    case = build.case(services=[build.service("a", ports=(8000,)), build.service("b", node="n2")])
    assert told(said(), case)["scenarios"] == [{"name": "s", "services": ["a"], "runs_test": True, "ok": True}]
    assert told(said(), case, name="n2")["scenarios"] == [
        {"name": "s", "services": ["b"], "runs_test": False, "ok": True}
    ]
    assert told(said(), case, name="n3")["scenarios"] == []
    assert told(said(listening=[PORT]), case)["scenarios"][0]["ok"] is False
    assert told(said(compose=[]), case)["scenarios"][0]["ok"] is False


@pytest.mark.parametrize(
    ("node", "ok", "state"),
    [
        (document.of_silence("n1", "ssh_refused", "refused", document.Asking(1.0, 2.0)), False, "failed"),
        (document.of_disabled("n1", 1.0), True, "disabled"),
    ],
    ids=["silent", "disabled"],
)
def test_a_node_without_an_answer_has_every_field(told, node, ok, state):
    assert set(node) == set(told()) and (node["ok"], node["state"], node["reachable"]) == (ok, state, False)
    assert node["lease"] is None and node["services"] == []


def test_the_services_of_all_who_share_a_node_are_told(said, told, entry):
    theirs = {**entry["service"], "run": entry["other"]["run"]}
    node = told(said(lease=entry["shared"], services=[entry["service"], theirs, {**theirs, "run": "dead"}]))
    assert [one["run"] for one in node["services"]] == [entry["run"], entry["other"]["run"]]


def test_a_round_is_well_when_every_node_is(told):
    good, bad = told(), document.of_silence("n2", "ssh_timeout", "x", document.Asking(1.0, 2.0))
    assert document.of_round(3, 1000.12345, [good], ["s"])["ok"] is True
    found = document.of_round(3, 1000.12345, [good, bad], ["s"])
    assert (found["ok"], found["round"], found["at_unix"], found["scenarios"]) == (False, 3, 1000.123, ["s"])


def paths(value, path=""):
    """Yield the path of every field; `[]` stands for each item of a list."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (here := f"{path}.{key}" if path else key)
            yield from paths(item, here)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        yield from paths(value[0], f"{path}[]")


def test_the_reference_page_names_every_field(whole):
    found = set(paths(document.of_round(1, 1000.0, [whole], ["s"])))
    section = PAGE.read_text().split("#### The answer for programs", 1)[1].split("\n### ", 1)[0]
    rows = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    assert len(rows) == len(set(rows)) and set(rows) == found - {"nodes[].problems[]"}
    json.dumps(whole, allow_nan=False)
