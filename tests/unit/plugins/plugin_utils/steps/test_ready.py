# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import ready
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import StepFailure

ALIVE = {"died": [], "unhealthy": []}


def case_of(build, **fields):
    roles = {"router": "router", "p-1": "prefill", "p-2": "prefill", "d-1": "decode"}
    services = [build.service(name, role=role) for name, role in roles.items()]
    case = build.case(services=services, strategy="thorough", **fields)
    return build.replace(case, test=build.replace(case.test, service="router", port=80))


def answers(text="a", **fields):
    return {"ok": True, "tokens": 4, "ms": 1.0, "text": text, **fields}


def test_thorough_asks_for_tokens_through_every_pair(make_cell, build):
    node = build.node(watch=ALIVE, canary=answers())
    result = ready.check(make_cell(case_of(build), client=node))
    pairs = [args["headers"]["X-Testcell-Pair"] for op, args in node.calls if op == "canary"]
    assert pairs == ["p-1,d-1", "p-2,d-1"]
    assert result == {"strategy": "thorough", "canaries": 2, "slowest_ms": 1.0}


@pytest.mark.parametrize("strategy", ["quick", "standard"])
def test_other_strategies_only_look_whether_services_still_run(make_cell, build, strategy):
    node = build.node(watch=ALIVE)
    ready.check(make_cell(build.replace(case_of(build), strategy=strategy), client=node))
    assert [op for op, _ in node.calls] == ["watch"]


def test_a_pair_without_a_token_is_named(make_cell, build):
    def canary(headers, **_):
        bad = "p-2" in headers["X-Testcell-Pair"]
        return {"ok": False, "error_kind": "kv_transfer_failed", "error": "500"} if bad else answers()

    with pytest.raises(StepFailure, match="through p-2 and d-1: 500") as caught:
        ready.check(make_cell(case_of(build), client=build.node(watch=ALIVE, canary=canary)))
    assert caught.value.kind == "kv_transfer_failed"


def test_workers_that_the_router_does_not_see_are_counted(make_cell, build):
    node = build.node(watch=ALIVE, workers={"ok": False, "counts": {"prefill": 1}})
    with pytest.raises(StepFailure, match="prefill 1 of 2, decode 0 of 1"):
        ready.check(make_cell(case_of(build, expected_roles={"prefill": 2, "decode": 1}), client=node))


def test_pairs_that_answer_differently_are_a_warning_with_their_texts(make_cell, build):
    texts = iter("ab")
    cell = make_cell(case_of(build), client=build.node(watch=ALIVE, canary=lambda **_: answers(next(texts))))
    ready.check(cell)
    assert "p-2 and d-1: 'b'" in cell.board.read("warning.pairs")["message"]


def test_a_service_that_ended_after_it_was_ready_is_a_failure_with_its_log(make_cell, build):
    died = {"service": "d-1", "exit_code": 139, "error_kind": "container_exited", "log_tail": ["boom"]}
    with pytest.raises(StepFailure, match="d-1 on n1 ended with exit status 139") as caught:
        ready.check(make_cell(case_of(build), client=build.node(watch={"died": [died]})))
    assert caught.value.evidence == ("boom",)


@pytest.mark.parametrize(("path", "key"), [("/v1/completions", "prompt"), ("/v1/chat/completions", "messages")])
def test_the_question_has_the_form_of_the_api(path, key):
    body = ready.question(path, "m")
    assert key in body and body["model"] == "m"
