# SPDX-License-Identifier: MIT
"""A container that ended with the node's Docker engine is no failure of the service in it."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import engine_life
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import StepFailure

AWAY = {"ok": False, "error_kind": "docker_timeout", "error": "no answer in time", "life": ""}


def unreachable(**_):
    raise NodeError("ssh_timeout", "no answer")


@pytest.fixture
def cell(make_cell, build):
    """A cell on a node whose engine had the life `before` at its preparation, and answers now."""

    def make(before, now):
        made = make_cell(build.case(services=[build.service("a")]), client=build.node(facts=now))
        made.facts["engine"] = {"life": before}
        return made

    return make


@pytest.mark.parametrize(("comes_back", "told"), [(True, "was started again"), (False, "does not answer: refused")])
def test_an_engine_that_is_away_is_waited_for_so_that_the_node_can_be_cleaned(cell, comes_back, told):
    made = cell("7.1", None)
    began = made.clock()

    def facts(**_):
        back = comes_back and made.clock() >= began + 3
        away = {"ok": False, "error_kind": "docker_daemon_down", "error": "refused", "life": ""}
        return {"engine": {"ok": True, "life": "9.5"} if back else away}

    made.client.answers["facts"] = facts
    assert told in engine_life.fault(made, "service_died").words
    assert made.clock() - began == (3 if comes_back else engine_life.PATIENCE_S["docker_daemon_down"])


@pytest.mark.parametrize(
    ("kind", "before", "now", "blamed"),
    [
        pytest.param(
            "container_exited", "7.1", {"ok": True, "life": "9.5"}, "docker_daemon_down", id="F29-started-again"
        ),
        pytest.param("service_died", "7.1", AWAY, "docker_timeout", id="F29-away"),
        pytest.param("service_died", "7.1", {"ok": True, "life": "7.1"}, "service_died", id="F30-goes-on"),
        pytest.param("service_died", "7.1", {"ok": True, "life": ""}, "service_died", id="cannot-be-told-now"),
        pytest.param("service_died", "", AWAY, "service_died", id="could-not-be-told-before"),
        pytest.param("health_timeout", "7.1", AWAY, "health_timeout", id="no-end-of-a-container"),
        pytest.param("service_died", "7.1", None, "service_died", id="node-does-not-answer"),
    ],
)
def test_the_engine_is_to_blame_for_what_ended_with_it(cell, kind, before, now, blamed):
    made = cell(before, {"engine": now} if now else unreachable)
    found = engine_life.blamed(made, StepFailure(kind, "service a exited", service="a", evidence=("bye",)))
    assert (found.kind, found.service, found.evidence) == (blamed, "a", ("bye",))
    assert str(found).endswith("service a exited")
    assert ("the Docker engine of n1" in str(found)) == (blamed != kind)


def facts_of(made, kinds):
    """Answer with an engine that is away in each of these ways, one after the other, and then is back."""
    left = list(kinds)

    def facts(**_):
        kind = left.pop(0) if left else ""
        made.sleep(5)
        return {"engine": {"ok": not kind, "error_kind": kind, "error": f"it is {kind}", "life": ""}}

    return facts


DOWN, FROZEN = "docker_daemon_down", "docker_timeout"
OUTAGES = {
    "F29-started-again": ([DOWN], True),
    "F29-gone": ([DOWN] * 9, False),
    "F29-frozen-for-a-while": ([FROZEN] * 5, True),
    "F29-frozen-for-ever": ([FROZEN] * 30, False),
    "F29-frozen-and-then-gone": ([FROZEN] * 5 + [DOWN] * 30, False),
    "no-right-to-ask": (["docker_permission"] * 3, False),
}


@pytest.mark.parametrize("row", OUTAGES)
def test_work_that_an_engine_did_not_answer_is_done_again_once_it_is_back(cell, row):
    kinds, comes_back = OUTAGES[row]
    made, done = cell("7.1", None), []
    made.client.answers["facts"] = facts_of(made, kinds)

    def work():
        done.append(made.clock())
        if len(done) == 1:
            raise NodeError(kinds[0], "no engine answers")
        return "cleaned"

    if comes_back:
        assert engine_life.with_engine(made, work) == "cleaned"
        (told,) = made.board.notes("warning.").values()
        assert "the Docker engine of n1 did not answer and was waited for" in told["message"]
    else:
        with pytest.raises(NodeError, match="no engine answers"):
            engine_life.with_engine(made, work)
    assert done[-1] - done[0] <= made.plan.lease_ttl_s / 2 + 10


def test_an_engine_that_was_waited_for_is_not_waited_for_again_in_the_case(cell):
    made = cell("7.1", None)
    made.client.answers["facts"] = facts_of(made, [FROZEN] * 50)
    assert not engine_life.wait(made)
    began = made.clock()
    assert not engine_life.wait(made)
    assert made.clock() - began <= 10


@pytest.mark.parametrize(("kind", "times"), [(FROZEN, 2), ("docker_leftover", 1)])
def test_a_result_that_lacks_the_engine_is_asked_for_again(cell, kind, times):
    made, results = cell("7.1", None), [[kind], []]
    made.client.answers["facts"] = facts_of(made, [])
    done = []

    def work():
        done.append(results[len(done)])
        return done[-1]

    assert engine_life.with_engine(made, work, lambda found: FROZEN in found) == results[times - 1]
    assert len(done) == times
