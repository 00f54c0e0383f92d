# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import document, words

GIB = 1 << 30


def card(used, busy):
    return {"memory_total_bytes": 80 * GIB, "memory_used_bytes": used, "utilization_percent": busy}


def test_a_node_is_told_in_one_line(said, told, entry):
    line = words.line(told())
    assert line == "engine 20.10, compose plugin 2.26, python 3.11.2, 3.0 GiB free, not held"
    facts = said(lease=entry["held"], gpus=[card(GIB, 50)], gpu_error="driver\nlost")
    assert words.line(told(facts)) == (
        "engine 20.10, compose plugin 2.26, python 3.11.2, 3.0 GiB free, GPUs 1, 1.0 GiB of 80.0 GiB, 50 %, "
        "held by run 20260101_000000 of me@box:7, 2 min 45 s; warning: gpu: driver lost"
    )


def test_a_node_without_an_answer_is_told_by_its_reason():
    silent = document.of_silence("n1", "ssh_refused", "refused", document.Asking(1.0, 0.0))
    assert words.line(silent) == "error: node: refused"
    assert words.line(document.of_disabled("n1", 1.0)).startswith("warning: disabled: testcell_enabled is false")


def test_a_node_without_an_engine_says_so(said, told):
    facts = said(engine={"ok": False, "version": "", "error": "x"}, compose=[], disks=[])
    assert words.line(told(facts)).startswith("no engine, compose none, python 3.11.2, - free, not held; error: engine")


CELLS = [
    pytest.param(words.gpus, {}, "0", id="no-gpu"),
    pytest.param(words.gpus, {"gpus": [card(GIB, 10), card(None, 40)]}, "2, 1.0 GiB of 160 GiB, 25 %", id="gpus"),
    pytest.param(words.gpus, {"gpus": [card(0, None)]}, "1, 0 B of 80.0 GiB", id="gpu-that-does-not-say"),
    pytest.param(words.engine, {"engine": {"ok": False, "version": ""}}, "-", id="no-engine"),
    pytest.param(words.compose, {"compose": []}, "-", id="no-compose"),
    pytest.param(
        words.free_disk,
        {"disks": [{"path": "/a", "free_bytes": 5 * GIB}, {"path": "/b", "free_bytes": 2 * GIB}]},
        "2.0 GiB",
        id="the-fullest-disk",
    ),
    pytest.param(words.clock, {"answered_unix": 1000.26}, "+0.0 s", id="no-minus-nought"),
    pytest.param(words.clock, {"answered_unix": 940.3}, "-60.0 s", id="clock"),
    pytest.param(words.lease, {}, "free", id="free"),
    pytest.param(words.quarantine, {}, "none", id="no-quarantine"),
    pytest.param(
        words.quarantine,
        {"memory": {"quarantine": {"kind": "disk_full", "reason": "r", "run": "x", "since": 0.0, "until": 86400.0}}},
        "disk_full until 1970-01-02 00:00:00 UTC",
        id="quarantine",
    ),
    pytest.param(words.leftovers, {}, "none", id="no-leftovers"),
    pytest.param(
        words.leftovers,
        {"leftovers": [{"run": run, "type": "volume", "ours": True} for run in ("a", "a", "b")]},
        "3 of 2 runs",
        id="leftovers",
    ),
    pytest.param(words.ports, {}, "-", id="no-port-wanted"),
]


@pytest.mark.parametrize(("cell", "changes", "text"), CELLS)
def test_a_cell_of_the_screen_is_short(said, told, cell, changes, text):
    assert cell(told(said(**changes))) == text


CELLS_OF_FACTS = [words.gpus, words.engine, words.clock, words.lease, words.quarantine, words.leftovers, words.ports]


def test_each_who_shares_a_node_is_named(said, told, entry):
    text = words.lease(told(said(lease=entry["shared"])))
    assert text == f"run {entry['run']} of me@box:7, 2 min 45 s; run {entry['other']['run']} of you@box:8, 2 min 45 s"


@pytest.mark.parametrize("cell", CELLS_OF_FACTS)
def test_what_is_not_known_is_a_dash(cell):
    assert cell(document.of_disabled("n1", 1.0)) == "-"


def test_wanted_ports_are_counted_or_named(said, told, build):
    case = build.case(services=[build.service("a", ports=(8000, 8001))])
    assert words.ports(told(said(), case)) == "2 free"
    taken = said(listening=[{"port": 8001, "pid": None, "program": ""}, {"port": 8000, "pid": 7, "program": "nginx"}])
    assert words.ports(told(taken, case)) == "8000 nginx, 8001 taken"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "healthy"),
        ({"health": ""}, "-"),
        ({"exit_code": 3}, "exit code 3"),
        ({"exit_code": 137, "oom": True}, "out of memory"),
    ],
)
def test_the_health_of_a_service_is_its_end_where_it_has_ended(entry, changes, text):
    assert words.health({**entry["service"], **changes}) == text


def test_problems_stand_errors_first_with_node_and_next_step(said, told):
    warned, failed = told(said(gpu_error="x\x1b[2J")), told(said(compose=[]), name="n2")
    silent = document.of_silence("n3", "ssh_timeout", "late", document.Asking(1.0, 0.0))
    found = words.problems([warned, failed, silent])
    assert [(level, line.split(":")[0]) for level, line in found] == [
        ("error", "n2"),
        ("error", "n3"),
        ("warning", "n1"),
    ]
    assert found[1][1] == "n3: error: node: late; next: check that the node is up and reachable from here"
    assert "\x1b" not in found[2][1], "what a node says cannot move the cursor"


def test_a_problem_of_a_scenario_names_it(said, told, build):
    case = build.case(services=[build.service("a", ports=(8000,))])
    node = told(said(listening=[{"port": 8000, "pid": 7, "program": "nginx"}]), case)
    assert words.problems([node])[0][1].startswith("n1: error: need for s: port 8000 is taken by nginx (pid 7)")
