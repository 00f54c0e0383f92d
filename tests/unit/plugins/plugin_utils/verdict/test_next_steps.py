# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import kinds
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict.next_steps import NEXT_STEPS, next_step


@pytest.mark.parametrize("kind", NEXT_STEPS)
def test_a_step_belongs_to_a_kind_that_there_is(kind):
    assert kinds.get(kind).name == kind


@pytest.mark.parametrize(
    "kind", ["ssh_dropped", "node_unreachable", "ssh_timeout", "container_oom", "service_unhealthy", "service_died"]
)
def test_a_node_that_is_silent_and_a_service_that_ends_come_with_what_to_do(kind):
    assert next_step(kind, "20260101_000000")


CHECKS = {
    "not ready on n1 within 20 s: a (exit code 1: /bin/sh: 1: curl: not found)": True,
    'not ready on n1 within 20 s: a (exit code 126: exec: "curl": executable file not found in $PATH: unknown)': True,
    "container a is unhealthy: bash: line 1: wget: command not found": True,
    "not ready on n1 within 20 s: a (HTTP 404: not found)": False,
}


@pytest.mark.parametrize("kind", ["health_timeout", "service_unhealthy"])
@pytest.mark.parametrize(("message", "lacks"), CHECKS.items())
def test_a_healthcheck_that_the_image_cannot_run_comes_with_another_one(kind, message, lacks):
    assert ("the image lacks" in next_step(kind, "20260101_000000", message)) is lacks


def test_the_run_that_is_concerned_is_named():
    assert next_step("cleanup_failed", "20260101_000000").endswith("`testcell cleanup 20260101_000000`")
