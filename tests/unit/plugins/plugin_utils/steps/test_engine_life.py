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
    assert made.clock() - began == (3 if comes_back else engine_life.PATIENCE_S)


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
