# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import CaseRef
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import opening
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import run_board


def result(verdict, failure=None, dirty=()):
    return {"verdict": verdict, "failure": failure, "dirty_nodes": list(dirty)}


def failure(kind, owner, retriable=False):
    return {"error_kind": kind, "owner": owner, "retriable": retriable}


CASES = [
    ("first case", 0, {}, True, ""),
    ("after a pass", 2, {0: result("pass"), 1: result("skipped")}, False, ""),
    ("after a fail, going on", 2, {0: result("fail"), 1: result("fail")}, True, ""),
    ("after a fail, stopping", 2, {0: result("fail"), 1: result("fail")}, False, "s / attempt 2 did not pass"),
    ("after a flaky", 2, {0: result("fail"), 1: result("pass")}, False, ""),
    ("repeat not needed", 1, {0: result("pass")}, True, "the attempt before passed"),
    ("repeat of a failed test", 1, {0: result("fail", failure("test_failed", "test"))}, True, ""),
    ("repeat without a failure", 1, {0: result("invalid")}, True, ""),
    (
        "repeat cannot help",
        1,
        {0: result("error", failure("image_not_found", "image"))},
        True,
        "cannot help against image_not_found",
    ),
    ("repeat of a retriable", 1, {0: result("error", failure("ssh_dropped", "network", True))}, True, ""),
    ("dirty node", 2, {0: result("pass", dirty=["n1"])}, True, "n1 was left dirty"),
    ("dirty node elsewhere", 2, {0: result("pass", dirty=["n9"]), 1: result("skipped")}, True, ""),
]


@pytest.mark.parametrize(
    ("index", "results", "go_on", "reason"), [row[1:] for row in CASES], ids=[row[0] for row in CASES]
)
def test_a_case_is_run_or_says_why_not(tmp_path, build, index, results, go_on, reason):
    refs = [CaseRef("s", "", 1), CaseRef("s", "", 2), CaseRef("t", "", 1)]
    cases = [build.case(n, services=[build.service("a")], ref=ref) for n, ref in enumerate(refs)]
    run = build.plan(tmp_path, *cases, continue_on_failure=go_on)
    board = run_board(run.boards)
    for number, note in results.items():
        board.post(f"case-result.{number}", note)
    found = opening.reason_to_skip(run, cases[index], board)
    assert reason in found and bool(found) == bool(reason)
