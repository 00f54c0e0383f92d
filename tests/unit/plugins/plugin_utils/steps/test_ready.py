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


def bad(kind, seconds=0.0):
    return {"ok": False, "error_kind": kind, "error": kind, "seconds": seconds}


@pytest.mark.parametrize(
    ("said", "retries", "asked"),
    [
        pytest.param([bad("overloaded"), bad("http_5xx"), answers()], 4, 3, id="better-a-moment-later"),
        pytest.param([bad("overloaded")] * 9, 2, 3, id="as-often-as-allowed"),
        pytest.param([bad("http_4xx"), answers()], 4, 1, id="never-better"),
        pytest.param([bad("http_timeout", 5.0), answers()], 4, 1, id="time-is-over"),
        pytest.param([bad("http_timeout", 4.0)] * 2, 4, 2, id="within-one-time-limit"),
        pytest.param([bad("overloaded"), answers()], 0, 1, id="not-at-all"),
    ],
)
def test_a_bad_answer_is_asked_for_again_while_that_may_help(make_cell, build, said, retries, asked):
    services = (build.service("router", role="router"),)
    case = build.replace(case_of(build, canary_retries=retries), services=services)
    cell, replies, limits = make_cell(case), iter(said), []

    def canary(timeout_s, **_):
        reply = next(replies)
        limits.append(timeout_s)
        cell.clock.sleep(min(reply.get("seconds", 0.0), timeout_s))
        return reply

    cell.client = build.node(watch=ALIVE, canary=canary)
    if said[asked - 1]["ok"]:
        assert ready.check(cell)["canaries"] == 1
        assert cell.board.read("warning.canary.engine")["message"] == f"a token came back only when asked {asked} times"
    else:
        with pytest.raises(StepFailure, match="asked 3 times" if asked == 3 else said[0]["error"]):
            ready.check(cell)
    assert len(limits) == asked and limits[0] == case.canary_timeout_s
    assert cell.clock.now - 1000.0 <= case.canary_timeout_s


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        pytest.param("http_timeout", "engine_dead", "although all services are ready: no answer", id="silent"),
        pytest.param("http_reset", "engine_dead", "although all services are ready", id="breaks-off"),
        pytest.param("http_5xx", "engine_dead", "although all services are ready", id="errors"),
        pytest.param("overloaded", "overloaded", "no token came back: no answer", id="busy"),
        pytest.param("http_4xx", "http_4xx", "no token came back: no answer", id="a-wrong-question"),
    ],
)
def test_f38_an_engine_that_does_no_work_behind_a_healthy_face_is_dead(make_cell, build, said, kind, told):
    case = build.replace(case_of(build), services=(build.service("router", role="router"),))
    node = build.node(watch=ALIVE, canary={**bad(said), "error": "no answer"})
    with pytest.raises(StepFailure, match=told) as caught:
        ready.check(make_cell(case, client=node))
    assert caught.value.kind == kind


def test_an_engine_s_own_words_say_more_than_its_status(make_cell, build):
    case = build.replace(case_of(build), services=(build.service("router", role="router"),))
    node = build.node(watch=ALIVE, canary={**bad("http_5xx"), "error": "HTTP 500: KVTransferError(room=1)"})
    with pytest.raises(StepFailure) as caught:
        ready.check(make_cell(case, client=node))
    assert caught.value.kind == "kv_transfer_failed"


def test_an_engine_that_the_question_killed_has_died(make_cell, build):
    died = {"service": "router", "exit_code": 3, "error_kind": "service_died", "log_tail": ["boom"]}
    case = build.replace(case_of(build), services=(build.service("router", role="router"),))
    node = build.node(watch=lambda services, wait_s: {"died": [died] if wait_s else []}, canary=bad("http_reset"))
    with pytest.raises(StepFailure, match="router on n1 ended with exit status 3") as caught:
        ready.check(make_cell(case, client=node))
    assert (caught.value.kind, caught.value.evidence) == ("service_died", ("boom",))


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
