# SPDX-License-Identifier: MIT
"""A long operation proves its lease before each order and renews it while its caller is heard of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import fence, lease
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock, Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.fence import Fence


@pytest.fixture
def node(tmp_path):
    """The context of a run that holds the node, and its clock's hand."""
    now = [100.0]
    context = Context(tmp_path / "root", RunRef("r1"), "me", clock=Clock(monotonic=lambda: now[0]))
    epoch = lease.op_lease(context, {"action": "acquire", "ttl_s": 60})["epoch"]
    return replace(context, run=RunRef("r1", epoch=epoch)), now


def expiry(context):
    return (context.root / lease.FILE).read_bytes()


def test_the_lease_is_renewed_now_and_then_only(node):
    context, now = node
    guard, before = Fence(context), expiry(context)
    guard.prove()
    assert expiry(context) == before
    now[0] += fence.RENEW_S
    guard.prove()
    assert expiry(context) != before


def test_a_lease_that_ran_out_is_renewed_at_once(node):
    context, _now = node
    guard = Fence(context)
    lease.op_lease(context, {"action": "renew", "ttl_s": 0.1})
    while lease.op_lease(context, {"action": "show"})["held"]:
        pass
    lapsed = expiry(context)
    guard.prove()
    assert expiry(context) != lapsed


@pytest.mark.parametrize("act", ["taken-over", "released"])
def test_a_lease_that_is_lost_is_refused_before_it_is_time_to_renew(node, act):
    context, _now = node
    guard = Fence(context)
    lease.op_lease(context, {"action": "release"})
    if act == "taken-over":
        lease.op_lease(replace(context, run=RunRef("r2"), owner="other"), {"action": "acquire"})
    for prove in (guard.prove, guard.prove_answer):
        with pytest.raises(CellError) as caught:
            prove()
        assert caught.value.kind == "lock_held"


def test_an_answer_renews_nothing(node):
    context, now = node
    guard, before = Fence(context), expiry(context)
    now[0] += fence.RENEW_S
    guard.prove_answer()
    assert expiry(context) == before


def test_without_a_lease_there_is_nothing_to_prove(tmp_path):
    Fence(Context(tmp_path, RunRef("r1"))).prove()
