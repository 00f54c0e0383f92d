# SPDX-License-Identifier: MIT
from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.enginelab.testcell.plugins.callback.progress import CallbackModule


def ended(action, **result):
    task = SimpleNamespace(action=action, get_name=lambda: "Do it")
    return SimpleNamespace(host=SimpleNamespace(get_name=lambda: "node1"), task=task, result=result)


@pytest.mark.parametrize(
    ("action", "result", "shown"),
    [
        ("enginelab.testcell.node_health", {"msg": "engine 20\n"}, "  node1        engine 20\n"),
        (
            "enginelab.testcell.validate_scenarios",
            {"msg": "1 checked\na: note: b"},
            "  node1        1 checked\na: note: b\n",
        ),
        ("enginelab.testcell.prep_node", {"steps": {"lease": {"epoch": 1}}}, ""),
        ("enginelab.testcell.reclaim_node", {"msg": ""}, ""),
        ("ansible.builtin.assert", {"msg": "All assertions passed"}, ""),
    ],
)
def test_what_our_own_actions_answer_is_shown(capsys, action, result, shown):
    CallbackModule().v2_runner_on_ok(ended(action, **result))
    assert capsys.readouterr().out == shown


def test_a_failure_is_shown_with_its_host_and_task(capsys):
    CallbackModule().v2_runner_on_failed(ended("enginelab.testcell.run_test", msg="it broke"))
    assert capsys.readouterr().out == "  node1        FAILED   Do it: it broke\n"
