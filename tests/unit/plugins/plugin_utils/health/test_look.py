# SPDX-License-Identifier: MIT
from __future__ import annotations

from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import look
from ansible_collections.enginelab.testcell.plugins.plugin_utils.health.standard import Standard, first_cases, of_data
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError


def looker(client, *cases):
    ticks = iter(range(1000, 2000))
    return look.Looker(client, "n1", Standard(cases), lambda _: False, lambda: float(next(ticks)))


def test_one_look_is_one_question_and_no_lease(said, build):
    node = build.node(health=said())
    told = looker(node).look()
    assert told["name"] == "n1" and told["reachable"]
    assert [op for op, _ in node.calls] == ["health"]
    assert node.calls[0][1] == {"paths": [], "deep": True, "compose": True, "binds": [], "networks": [], "volumes": []}


def test_compose_is_looked_for_once_and_again_after_a_silence(said, build):
    lost = [False, False, True, False]

    def health(*, compose, **_):
        if lost.pop(0):
            raise NodeError("ssh_dropped", "the link ended")
        return said() if compose else said(compose=[])

    node = build.node(health=health)
    eye = looker(node)
    told = [eye.look() for _ in range(4)]
    assert [args["compose"] for _, args in node.calls] == [True, False, False, True]
    assert [entry["reachable"] for entry in told] == [True, True, False, True]
    assert told[1]["compose"] == told[0]["compose"]


def test_a_node_that_does_not_answer_is_told_with_the_reason(build):
    def health(**_):
        raise NodeError("ssh_auth", "Permission denied (publickey)")

    told = looker(build.node(health=health)).look()
    (problem,) = told["problems"]
    assert (told["reachable"], problem["error_kind"], problem["detail"]) == (
        False,
        "ssh_auth",
        "Permission denied (publickey)",
    )
    assert "ssh USER@HOST true" in problem["next"]


def test_a_node_is_asked_for_what_all_scenarios_take_for_granted_there(said, build):
    def needing(name, wanted, node="n1"):
        return build.replace(build.service(name, node=node), needs=wanted)

    one = build.case(services=[needing("a", {"binds": ["/a"], "networks": ["lab"]})])
    two = build.case(services=[needing("b", {"binds": ["/a", "/b"]}), needing("c", {"binds": ["/c"]}, "n2")])
    node = build.node(health=said())
    looker(node, one, two).look()
    assert {key: node.calls[0][1][key] for key in ("binds", "networks", "volumes")} == {
        "binds": ["/a", "/b"],
        "networks": ["lab"],
        "volumes": [],
    }


def test_cases_come_through_as_plain_data_without_what_may_be_secret(build):
    import json
    from dataclasses import asdict

    case = build.case(services=[build.service("a", ports=(8000,))], config={"token": "hunter2"})
    secret = build.replace(case, test=build.replace(case.test, environment={"TOKEN": "hunter2"}, args=("hunter2",)))
    later = build.replace(case, index=1)
    text = json.dumps([asdict(one) for one in first_cases([secret, later])])
    assert "hunter2" not in text
    (back,) = of_data(json.loads(text), 5).cases
    assert (back.services, back.nodes, back.test.node) == (case.services, case.nodes, "n1")
