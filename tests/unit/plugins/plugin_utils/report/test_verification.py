# SPDX-License-Identifier: MIT
"""A node is clean after a run when every case that used it left it clean; else the reports name the case and what it left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import html_page, run_page, verification
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.summary import build

Make = Callable[..., dict[str, Any]]

CLEAN = {"clean": True, "leftovers": [], "errors": []}
LEFT = {"type": "container", "name": "d-1", "owner": "run x", "age_s": 4.0, "detail": "running"}
DIRTY = {"clean": False, "leftovers": [LEFT], "errors": []}
UNSEEN = {"clean": None}
FAILED = {"clean": False, "leftovers": [], "errors": [{"what": "ports", "error": "ss: no answer", "when": "after"}]}
SKIPPED = {"verdict": "skipped", "nodes": ["n1"], "verify": None}

# the state of each node after cases a, b, ...: None for a case that was not run; then the run's state, and the cases that are named
RUNS: dict[str, tuple[list[dict[str, Any] | None], dict[str, tuple[bool | None, list[str]]]]] = {
    "no-case": ([], {}),
    "one-clean": ([{"n1": CLEAN}], {"n1": (True, [])}),
    "two-clean": ([{"n1": CLEAN}, {"n1": CLEAN, "n2": CLEAN}], {"n1": (True, []), "n2": (True, [])}),
    "dirty-after-the-first": ([{"n1": DIRTY}, {"n1": CLEAN}], {"n1": (False, ["a"])}),
    "dirty-after-the-last": ([{"n1": CLEAN}, {"n1": FAILED}], {"n1": (False, ["b"])}),
    "one-node-of-two": ([{"n1": CLEAN, "n2": DIRTY}], {"n1": (True, []), "n2": (False, ["a"])}),
    "never-verified": ([{"n1": UNSEEN}], {"n1": (None, ["a"])}),
    "verified-only-once": ([{"n1": CLEAN}, {"n1": UNSEEN}], {"n1": (None, ["b"])}),
    "dirty-and-never-verified": ([{"n1": UNSEEN}, {"n1": DIRTY}], {"n1": (False, ["a", "b"])}),
    "a-state-that-says-nothing": ([{"n1": {}}], {"n1": (False, ["a"])}),
    "not-run-behind-a-clean-one": ([{"n1": CLEAN}, None], {"n1": (True, [])}),
    "not-run-behind-a-dirty-one": ([{"n1": DIRTY}, None], {"n1": (False, ["a"])}),
    "none-was-run": ([None, None], {}),
}


@pytest.mark.parametrize(("cases", "expected"), RUNS.values(), ids=RUNS)
def test_the_state_of_a_node_after_a_run_follows_from_all_cases(
    make_case: Make,
    cases: list[dict[str, Any] | None],
    expected: dict[str, tuple[bool | None, list[str]]],
) -> None:
    records = [
        make_case(case=name, **(SKIPPED if states is None else {"verify": states}))
        for name, states in zip("abc", cases, strict=False)
    ]
    found = verification.of_run(records)
    assert {node: (one["clean"], [case["case"] for case in one["cases"]]) for node, one in found.items()} == expected


REPORTS: dict[str, tuple[list[dict[str, Any]], str, str, list[str]]] = {
    "clean": ([CLEAN, CLEAN], "clean", "clean", []),
    "dirty": (
        [CLEAN, DIRTY],
        "**not clean**",
        "not clean",
        ["container d-1 running, owner run x, 4.0 s old, after 001_baseline / b"],
    ),
    "twice": ([DIRTY, DIRTY], "**not clean**", "not clean", ["after 001_baseline / a", "after 001_baseline / b"]),
    "list": (
        [FAILED, CLEAN],
        "**not clean**",
        "not clean",
        ["could not be verified ports: ss: no answer, after 001_baseline / a"],
    ),
    "unseen": (
        [CLEAN, UNSEEN],
        "not verified",
        "not verified",
        ["not verified it was not compared with its state before, after 001_baseline / b"],
    ),
}


@pytest.mark.parametrize(("states", "cell", "chip", "named"), REPORTS.values(), ids=REPORTS)
def test_the_reports_of_a_run_say_which_case_left_what(
    tmp_path: Path,
    make_case: Make,
    make_run: Make,
    states: list[dict[str, Any]],
    cell: str,
    chip: str,
    named: list[str],
) -> None:
    cases = [make_case(case=name, verify={"node1": state}) for name, state in zip("ab", states, strict=True)]
    verify = verification.of_run(cases)
    run = make_run(*cases, cleaning=cases[0]["cleaning"], verify=verify)
    page, html = run_page.render(run), html_page.render(run, tmp_path)
    assert f"| node1 | 1 container, 1 network | 0.5 s | 0 | {cell} |" in page
    lines = [line for line in page.splitlines() if line.startswith("- node1: ")]
    assert len(lines) == len(named) and all(words in line for words, line in zip(named, lines, strict=True))
    of_the_run = html[html.index("The run") : html.index('id="case-1"')]
    assert f"node1: {chip}</span>" in of_the_run
    assert of_the_run.count(", after 001_baseline / ") == len(named)
    assert build(run)["verify"] == verify


@pytest.mark.parametrize(
    ("nodes", "shown"),
    [
        pytest.param(["node1", "local"], [], id="names-alone"),
        pytest.param([{"name": "node1", "gpus": [], "role": ""}], [], id="no-plain-fact"),
        pytest.param([], [], id="none"),
        pytest.param(
            [{"name": "node1", "engine": "20.10.24"}, "local"],
            [("node1", "engine: 20.10.24"), ("local", "")],
            id="a-fact-of-one",
        ),
    ],
)
def test_nodes_have_a_table_only_where_something_is_known_of_them(
    tmp_path: Path, make_case: Make, make_run: Make, nodes: list[Any], shown: list[tuple[str, str]]
) -> None:
    run = make_run(make_case(nodes=nodes), nodes=nodes)
    page, html = run_page.render(run), html_page.render(run, tmp_path)
    assert ("## Nodes" in page) is bool(shown)
    assert (html.count("<h2>Nodes</h2>"), html.count("<h3>Nodes</h3>")) == ((1, 1) if shown else (0, 0))
    for name, facts in shown:
        assert f"| {name} | {facts} |" in page and html.count(f"<td>{name}</td><td>{facts}</td>") == 2
