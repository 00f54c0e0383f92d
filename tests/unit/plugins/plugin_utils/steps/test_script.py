# SPDX-License-Identifier: MIT
"""Following a test: how long a node that does not answer is asked again."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import script

CALM = {"unit": None, "died": [], "unhealthy": []}


@pytest.fixture
def watched(make_cell, build):
    """Return the cell of a node without the test, whose questions are answered by a list; it ends with the test."""

    def make(*said):
        case = build.case(services=[build.service("a", node="n2"), build.service("b")])
        cell = make_cell(case, node="n2")
        answers = iter(said)

        def follow(**_):
            reply = next(answers, None)
            if isinstance(reply, str):
                raise NodeError(reply, f"it was {reply}")
            if reply is None:
                cell.board.post("test", {"state": "exited"})
            return reply or CALM

        cell.client = build.node(follow=follow)
        cell.client.line = None
        return cell

    return make


AWAY = "docker_daemon_down"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        pytest.param([CALM, AWAY, AWAY, CALM], "", id="F29-an-engine-that-is-started-again"),
        pytest.param([*[AWAY] * 9, CALM, *[AWAY] * 9], "", id="away-twice"),
        pytest.param([CALM, *[AWAY] * 11], AWAY, id="F29-an-engine-that-is-gone"),
        pytest.param(["docker_timeout"], "docker_timeout", id="F29-an-engine-that-does-not-answer"),
        pytest.param(["ssh_timeout"], "ssh_timeout", id="F24-a-node-that-is-gone"),
    ],
)
def test_an_engine_that_is_away_for_a_moment_is_waited_for(watched, said, kind):
    cell = watched(*said)
    if kind:
        with pytest.raises(NodeError, match=r"^node n2: it was") as caught:
            script.run(cell)
        assert caught.value.kind == kind
    else:
        assert script.run(cell) == {"died": ""}


def test_a_death_on_a_node_without_the_test_is_told_to_the_board(watched):
    died = {"service": "a", "error_kind": "service_died", "exit_code": 3, "log_tail": []}
    cell = watched(CALM, {**CALM, "died": [died]})
    assert script.run(cell) == {"died": "a"}
    assert cell.board.read("died.a")["node"] == "n2"
