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


def test_the_run_that_is_concerned_is_named():
    assert next_step("cleanup_failed", "20260101_000000").endswith("`testcell cleanup 20260101_000000`")
